"""The fcc lattice of the particle: lattice parameter, orientation, and the strain of each atom against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import rdf, structure
from stemdask.kernels.atoms.kinds import FCC
from stemdask.kernels.atoms.lattice_fit import LatticeFit, fit_fcc_lattice
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.strain import atomic_strain
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable
from stemdask.units import LengthAngstrom

#: Components of the strain tensor by the cube axes.
COMPONENTS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}
AXES = {"100": 0, "010": 1, "001": 2}


class LatticeFitParams(Params):
    """Lattice fit and strain."""

    lattice_parameter: Literal["auto"] | LengthAngstrom = "auto"
    """Edge of the unstrained cubic cell, such as that of the bulk; auto: that of the core of the same frame."""
    min_bonds: Annotated[int, Field(ge=3, le=12)] = 6
    """An atom with fewer bonds of the lattice has no strain."""


_FRAME, _ATOM = ("frame",), ("frame", "atom")
LATTICE_PARAMETER = Variable(
    "lattice_fit/lattice_parameter",
    _FRAME,
    "float64",
    "angstrom",
    "lattice parameter of the core",
    "lattice_fit/lattice_parameter_err",
    trend=True,
)
LATTICE_PARAMETER_ERR = Variable(
    "lattice_fit/lattice_parameter_err", _FRAME, "float64", "angstrom", "standard error of the lattice parameter"
)
EDGES = {
    axis: Variable(f"lattice_fit/a_{axis}", _FRAME, "float64", "angstrom", f"edge of the cell along [{axis}]")
    for axis in AXES
}
DIRECTIONS = {
    (axis, along): Variable(
        f"lattice_fit/axis_{axis}_{along}", _FRAME, "float64", "1", f"direction of [{axis}] along {along}"
    )
    for axis in AXES
    for along in "xyz"
}
RMS = Variable("lattice_fit/rms", _FRAME, "float64", "angstrom", "root mean square distance of core atoms from sites")
N_CORE = Variable("lattice_fit/n_core", _FRAME, "int32", "1", "atoms that the lattice was fitted to")
STRAIN = {
    name: Variable(f"atoms/strain_{name}", _ATOM, "float64", "1", f"strain {name} in cube axes", "atoms/strain_err")
    for name in COMPONENTS
}
STRAIN_ERR = Variable("atoms/strain_err", _ATOM, "float64", "1", "standard error of a component of the strain")
STRAIN_VOLUME = Variable("atoms/strain_volume", _ATOM, "float64", "1", "relative change of volume")
LATTICE_ROTATION = Variable("atoms/lattice_rotation", _ATOM, "float64", "degree", "rotation against the fitted lattice")
DISTANCE_TO_SITE = Variable(
    "atoms/distance_to_site", _ATOM, "float64", "angstrom", "distance from the site of the fitted lattice"
)


def outputs(params: LatticeFitParams) -> tuple[Variable, ...]:
    """Declare the lattice of each frame and the strain of each atom."""
    of_frame = (LATTICE_PARAMETER, LATTICE_PARAMETER_ERR, *EDGES.values(), *DIRECTIONS.values(), RMS, N_CORE)
    return (*of_frame, *STRAIN.values(), STRAIN_ERR, STRAIN_VOLUME, LATTICE_ROTATION, DISTANCE_TO_SITE)


def run(frame: AtomsFrame, params: LatticeFitParams) -> Mapping[str, Array]:
    """Fit the lattice of one frame; all is NaN where fewer than eight atoms have fcc surroundings."""
    neighbours = find_neighbours(frame.positions, float(frame[rdf.CUTOFF]), frame.cell, frame.periodic)
    fit = fit_fcc_lattice(frame.positions, neighbours, frame[structure.STRUCTURE] == FCC)
    if fit is None:
        return _nothing(params, len(frame.positions))
    given = params.lattice_parameter
    parameter = fit.parameter if given == "auto" else given.angstrom()
    found = atomic_strain(neighbours, fit.site, fit.on_site, fit.orientation, parameter, params.min_bonds)
    edges = np.linalg.norm(fit.cell, axis=0)
    return {
        LATTICE_PARAMETER.path: np.array(fit.parameter),
        LATTICE_PARAMETER_ERR.path: np.array(fit.parameter_err),
        **{EDGES[axis].path: np.array(edges[k]) for axis, k in AXES.items()},
        **{
            DIRECTIONS[axis, along].path: np.array(fit.orientation[row, k])
            for axis, k in AXES.items()
            for row, along in enumerate("xyz")
        },
        RMS.path: np.array(fit.rms),
        N_CORE.path: np.array(fit.fitted.sum(), np.int32),
        **{STRAIN[name].path: found.strain[:, row, column] for name, (row, column) in COMPONENTS.items()},
        STRAIN_ERR.path: found.error,
        STRAIN_VOLUME.path: found.volume,
        LATTICE_ROTATION.path: found.rotation,
        DISTANCE_TO_SITE.path: _distance_to_site(frame, fit),
    }


def _distance_to_site(frame: AtomsFrame, fit: LatticeFit) -> Array:
    away = frame.positions - fit.origin - 0.5 * fit.site @ fit.cell.T
    if frame.cell is not None:
        turns = np.rint(away @ np.linalg.inv(frame.cell)) * np.array(frame.periodic)
        away = away - turns @ frame.cell
    return np.where(fit.on_site, np.linalg.norm(away, axis=1), np.nan)


def _nothing(params: LatticeFitParams, n: int) -> Mapping[str, Array]:
    empty: dict[str, Array] = {}
    for variable in outputs(params):
        fill = np.nan if variable.dtype == "float64" else 0
        empty[variable.path] = np.full((n,) * (len(variable.dims) - 1), fill, variable.dtype)
    return empty


ANALYSIS = Analysis(
    name="lattice_fit",
    kind="atoms",
    summary="Lattice parameter and orientation of an fcc particle, and the strain of each atom against its lattice",
    params=LatticeFitParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.lattice_fit",
    needs=("positions", "rdf", "structure"),
    run=run,
)
