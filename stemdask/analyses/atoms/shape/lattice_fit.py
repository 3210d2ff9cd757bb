"""The lattice of each grain: lattice parameter, orientation, and the strain of each atom against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import structure
from stemdask.kernels.arrays import Booleans, Floats
from stemdask.kernels.atoms import kinds, ordering
from stemdask.kernels.atoms.lattice_fit import FEWEST, LatticeFit, fit_lattice
from stemdask.kernels.atoms.lattices import CUBIC, LATTICES, ROCK_SALT
from stemdask.kernels.atoms.neighbours import Neighbours, find_neighbours
from stemdask.kernels.atoms.quaternions import rotation_of
from stemdask.kernels.atoms.strain import AtomicStrain, atomic_strain
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable
from stemdask.units import LengthAngstrom

NAMES = {
    kinds.FCC: "fcc",
    kinds.HCP: "hcp",
    kinds.BCC: "bcc",
    kinds.CUBIC_DIAMOND: "cubic_diamond",
    kinds.HEXAGONAL_DIAMOND: "hexagonal_diamond",
    kinds.SIMPLE_CUBIC: "simple_cubic",
    ROCK_SALT: "rock_salt",
}
FITTED, NO_GRAIN, TOO_FEW, UNKNOWN = 0, 1, 2, 3
REASONS = {
    FITTED: "fitted",
    NO_GRAIN: "no atoms of one orientation hang together",
    TOO_FEW: f"fewer than {FEWEST} atoms with all neighbours in three dimensions",
    UNKNOWN: "no atoms are on a lattice that is known here",
}
#: Neighbours are looked for up to this multiple of their distance in the grain.
_REACH = 1.2
#: Components of the strain tensor by the cube axes.
COMPONENTS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}
AXES = {"100": 0, "010": 1, "001": 2}


class LatticeFitParams(Params):
    """Lattice fit and strain."""

    lattice_parameter: Literal["auto"] | LengthAngstrom = "auto"
    """First edge (a) of the unstrained cell, such as that of the bulk; auto: that of the grain itself."""
    min_bonds: Annotated[int, Field(ge=3, le=12)] = 6
    """An atom with fewer lattice bonds than this gets no strain. The number refers to twelve neighbours; for lattices
    with fewer it is reduced in proportion, but not below four."""


_FRAME, _ATOM = ("frame",), ("frame", "atom")
LATTICE_PARAMETER = Variable(
    "lattice_fit/lattice_parameter",
    _FRAME,
    "float64",
    "angstrom",
    "lattice parameter of the largest grain",
    "lattice_fit/lattice_parameter_err",
    trend=True,
)
LATTICE_PARAMETER_ERR = Variable(
    "lattice_fit/lattice_parameter_err", _FRAME, "float64", "angstrom", "standard error of the lattice parameter"
)
LATTICE = Variable("lattice_fit/lattice", _FRAME, "int8", "1", "lattice of the largest grain", flags=NAMES)
REASON = Variable("lattice_fit/reason", _FRAME, "int8", "1", "whether there is a lattice, or why none", flags=REASONS)
#: Edges of the cell that describes a hexagonal lattice by right angles.
_HEXAGONAL = dict(zip(AXES, ("a", "a √3", "c"), strict=True))
EDGES = {
    axis: Variable(
        f"lattice_fit/a_{axis}",
        _FRAME,
        "float64",
        "angstrom",
        f"edge of the cell along [{axis}] (hexagonal: {_HEXAGONAL[axis]})",
        f"lattice_fit/a_{axis}_err",
    )
    for axis in AXES
}
EDGE_ERRORS = {
    axis: Variable(f"lattice_fit/a_{axis}_err", _FRAME, "float64", "angstrom", f"standard error of the edge [{axis}]")
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
DISTORTION = Variable(
    "lattice_fit/distortion",
    _FRAME,
    "float64",
    "angstrom",
    "root mean square displacement from the sites that recurs from cell to cell; 0: none",
)
SHEAR = Variable(
    "lattice_fit/shear",
    _FRAME,
    "float64",
    "degree",
    "largest deviation from right angles between the edges",
    "lattice_fit/shear_err",
)
SHEAR_ERR = Variable("lattice_fit/shear_err", _FRAME, "float64", "degree", "standard error of that deviation")
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


_GRAIN = ("frame", "grain")
GRAIN_LATTICE = Variable("lattice_fit/grain_lattice", _GRAIN, "int8", "1", "lattice of the grain", flags=NAMES)
GRAIN_PARAMETER = Variable(
    "lattice_fit/grain_parameter",
    _GRAIN,
    "float64",
    "angstrom",
    "lattice parameter of the grain",
    "lattice_fit/grain_parameter_err",
)
GRAIN_PARAMETER_ERR = Variable(
    "lattice_fit/grain_parameter_err", _GRAIN, "float64", "angstrom", "standard error of that lattice parameter"
)
GRAIN_RMS = Variable(
    "lattice_fit/grain_rms", _GRAIN, "float64", "angstrom", "root mean square distance of the grain's atoms from sites"
)


def outputs(params: LatticeFitParams) -> tuple[Variable, ...]:
    """Declare the lattice of each grain and the strain of each atom."""
    of_frame = (LATTICE, REASON, LATTICE_PARAMETER, LATTICE_PARAMETER_ERR, *EDGES.values(), *EDGE_ERRORS.values())
    of_grain = (GRAIN_LATTICE, GRAIN_PARAMETER, GRAIN_PARAMETER_ERR, GRAIN_RMS)
    of_atom = (*STRAIN.values(), STRAIN_ERR, STRAIN_VOLUME, LATTICE_ROTATION, DISTANCE_TO_SITE)
    return (*of_frame, *DIRECTIONS.values(), RMS, DISTORTION, SHEAR, SHEAR_ERR, N_CORE, *of_grain, *of_atom)


class _Grain(NamedTuple):
    """A lattice fitted to one grain, and what it fits."""

    kind: int
    atoms: Array
    """Atoms among which it was fitted; arrays of the fit are in their order."""
    fit: LatticeFit
    edges: Floats
    """(3,), of its cell without strain."""
    strain: AtomicStrain

    @property
    def parameter(self) -> tuple[float, float]:
        """Lattice parameter and its error: of cubic cells the edge of a cube as large, of hexagonal ones a."""
        if self.kind in CUBIC:
            return self.fit.size, self.fit.size_err
        return float(np.linalg.norm(self.fit.cell[:, 0])), float(self.fit.edge_err[0])


def run(frame: AtomsFrame, params: LatticeFitParams) -> Mapping[str, Array]:
    """Fit the lattice of each grain of one frame; NaN and a reason where there is none."""
    arrays = _nothing(frame, params)
    n_grains = min(int(frame[structure.N_GRAINS]), len(frame[structure.GRAIN_ATOMS]))
    found = {grain: fitted for grain in range(n_grains) if (fitted := _fit(frame, grain, params)) is not None}
    why_not = TOO_FEW if n_grains else NO_GRAIN if (frame[structure.LATTICE] > 0).any() else UNKNOWN
    arrays[REASON.path] = np.array(FITTED if found else why_not, np.int8)
    for grain, one in found.items():
        arrays[GRAIN_LATTICE.path][grain] = one.kind
        arrays[GRAIN_PARAMETER.path][grain], arrays[GRAIN_PARAMETER_ERR.path][grain] = one.parameter
        arrays[GRAIN_RMS.path][grain] = one.fit.rms
        for name, (row, column) in COMPONENTS.items():
            arrays[STRAIN[name].path][one.atoms] = one.strain.strain[:, row, column]
        arrays[STRAIN_ERR.path][one.atoms] = one.strain.error
        arrays[STRAIN_VOLUME.path][one.atoms] = one.strain.volume
        arrays[LATTICE_ROTATION.path][one.atoms] = one.strain.rotation
        arrays[DISTANCE_TO_SITE.path][one.atoms] = _distance_to_site(frame, one)
    if found:
        arrays |= _of_frame(next(iter(found.values())))
    return arrays


def _of_frame(one: _Grain) -> dict[str, Array]:
    parameter, error = one.parameter
    edges = np.linalg.norm(one.fit.cell, axis=0)
    cosines = (one.fit.cell / edges).T @ (one.fit.cell / edges) - np.eye(3)
    shear = np.degrees(np.arcsin(np.abs(cosines).max()))
    return {
        LATTICE.path: np.array(one.kind, np.int8),
        LATTICE_PARAMETER.path: np.array(parameter),
        LATTICE_PARAMETER_ERR.path: np.array(error),
        **{EDGES[axis].path: np.array(edges[k]) for axis, k in AXES.items()},
        **{EDGE_ERRORS[axis].path: np.array(one.fit.edge_err[k]) for axis, k in AXES.items()},
        **{
            DIRECTIONS[axis, along].path: np.array(one.fit.orientation[row, k])
            for axis, k in AXES.items()
            for row, along in enumerate("xyz")
        },
        RMS.path: np.array(one.fit.rms),
        DISTORTION.path: np.array(one.fit.distortion),
        SHEAR.path: np.array(shear),
        SHEAR_ERR.path: np.array(np.degrees(np.sqrt(2) * (one.fit.edge_err / edges).max())),
        N_CORE.path: np.array(one.fit.fitted.sum(), np.int32),
    }


def _fit(frame: AtomsFrame, grain: int, params: LatticeFitParams) -> _Grain | None:
    """Fit the lattice of a grain; of a compound whose elements are crystals of their own, that of the fcc one."""
    inside = frame[structure.GRAIN] == grain
    of_template, ordered = frame[structure.LATTICE], frame[structure.ORDERING]
    order = np.argmax(np.bincount(ordered[inside]))
    template = kinds.FCC if order == ordering.FLUORITE else int(frame[structure.GRAIN_LATTICE][grain])
    kind = ROCK_SALT if order == ordering.ROCK_SALT else template
    atoms = np.flatnonzero(inside & (of_template == template))
    if not len(atoms):
        return None
    distance = float(np.median(frame[structure.INTERATOMIC_DISTANCE][atoms]))
    near = find_neighbours(frame.positions[atoms], _REACH * distance, frame.cell, frame.periodic)
    complete: Booleans = frame[structure.N_MISSING][atoms] == 0
    quaternion = np.array([float(frame[part][grain]) for part in structure.GRAIN_ORIENTATION])
    rotation = np.empty((3, 3))
    rotation_of(quaternion, rotation)
    fit = fit_lattice(frame.positions[atoms], near, complete, LATTICES[kind], rotation, distance)
    if fit is None:
        return None
    edges = _unstrained(fit, kind, params, tetragonal=order == ordering.L1_0)
    return _Grain(kind, atoms, fit, edges, _strain(near, fit, kind, edges, params))


def _strain(near: Neighbours, fit: LatticeFit, kind: int, edges: Floats, params: LatticeFitParams) -> AtomicStrain:
    lattice = LATTICES[kind]
    least = max(4, round(params.min_bonds * lattice.n_bonds / 12))
    return atomic_strain(near, fit.site, fit.on_site, fit.orientation, lattice, edges, least)


def _unstrained(fit: LatticeFit, kind: int, params: LatticeFitParams, *, tetragonal: bool) -> Floats:
    """Return the edges of the cell without strain: alike by the symmetry of the lattice, and as long as is given."""
    edges: Floats = np.linalg.norm(fit.cell, axis=0)
    if kind not in CUBIC:
        a = (edges[0] + edges[1] / np.sqrt(3)) / 2
        edges = np.array([a, np.sqrt(3) * a, edges[2]])
    elif not tetragonal:
        edges = np.full(3, fit.size)
    given = params.lattice_parameter
    return edges if given == "auto" else edges * (given.angstrom() / edges[0])


def _distance_to_site(frame: AtomsFrame, one: _Grain) -> Array:
    fit = one.fit
    away = frame.positions[one.atoms] - fit.origin - fit.site / LATTICES[one.kind].divisions @ fit.cell.T
    if frame.cell is not None:
        turns = np.rint(away @ np.linalg.inv(frame.cell)) * np.array(frame.periodic)
        away = away - turns @ frame.cell
    return np.where(fit.on_site, np.linalg.norm(away, axis=1), np.nan)


def _nothing(frame: AtomsFrame, params: LatticeFitParams) -> dict[str, Array]:
    lengths = {"atom": len(frame.positions), "grain": len(frame[structure.GRAIN_ATOMS])}
    empty: dict[str, Array] = {}
    for variable in outputs(params):
        fill = np.nan if variable.dtype == "float64" else -1 if variable.flags else 0
        empty[variable.path] = np.full([lengths[dim] for dim in variable.dims[1:]], fill, variable.dtype)
    return empty


ANALYSIS = Analysis(
    name="lattice_fit",
    kind="atoms",
    summary="Lattice parameter and orientation of each grain, and the strain of each atom against its grain's lattice",
    params=LatticeFitParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.lattice_fit",
    needs=("positions", "structure"),
    run=run,
)
