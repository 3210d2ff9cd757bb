"""Strain: how each cell is stretched and turned against a reference lattice, and its lattice parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.kernels.images.crystal.octahedral_tilt import octahedral_tilt
from stemdask.kernels.images.crystal.strain import (
    cell_vectors,
    columns_of_cells,
    complete_cells,
    lattice_parameters,
    oriented_reference,
    strain_of,
)
from stemdask.model import Analysis, Array, ImageFrame, Params, Variable
from stemdask.units import LengthNm

_A, _B, _OXYGEN = 0, 1, 2


class StrainParams(Params):
    """What strain is measured against."""

    reference_a: LengthNm | None = None
    """Length of a of the reference lattice; absent: the mean lattice of the frame is the reference."""
    reference_b: LengthNm | None = None
    """Length of b of the reference lattice, given together with reference_a."""
    reference_gamma: Annotated[float, Field(gt=20, lt=160)] = 90.0
    """Angle between a and b of a reference given by its lengths, degree; it is turned to lie like the mean lattice."""
    octahedral_tilt: bool = False
    """Measure the rotation of octahedra about the beam; needs oxygen columns as a third sublattice."""

    @model_validator(mode="after")
    def _both_lengths(self) -> StrainParams:
        if (self.reference_a is None) != (self.reference_b is None):
            raise ValueError("reference_a and reference_b must be given together")
        return self


_VARIABLES = {
    "exx": ("1", "strain along x"),
    "eyy": ("1", "strain along y"),
    "exy": ("1", "shear strain"),
    "rotation": ("degree", "rotation of the lattice, counter-clockwise"),
    "c_over_a": ("1", "length of b (downwards) over length of a (to the right)"),
    "a": ("nm", "length of the cell along a"),
    "b": ("nm", "length of the cell along b"),
}
_WITHOUT_ERROR = {
    "gamma": ("degree", "angle between a and b"),
    "spacing_a": ("nm", "distance of the planes along a"),
    "spacing_b": ("nm", "distance of the planes along b"),
    "curvature_a": ("nm-1", "curvature of the planes along a, positive towards +b"),
    "curvature_b": ("nm-1", "curvature of the planes along b, positive towards +a"),
}


def outputs(params: StrainParams) -> tuple[Variable, ...]:
    """Declare strain, rotation and shape of each cell."""
    dims = ("frame", "cell")
    tilt = {"octahedral_tilt": ("degree", "rotation of the octahedron about the beam, counter-clockwise")}
    with_error = _VARIABLES | (tilt if params.octahedral_tilt else {})
    variables = []
    for name, (units, long_name) in with_error.items():
        error = f"strain/{name}_err"
        variables.append(Variable(f"strain/{name}", dims, "float64", units, long_name, error=error))
        variables.append(Variable(error, dims, "float64", units, f"standard error of the {long_name}"))
    variables += [
        Variable(f"strain/{name}", dims, "float64", units, long_name)
        for name, (units, long_name) in _WITHOUT_ERROR.items()
    ]
    return tuple(variables)


def run(frame: ImageFrame, params: StrainParams) -> Mapping[str, Array]:
    """Measure strain, rotation and shape of each cell of a frame.

    The cells are those of the displacement where it is measured; else all that have their four A columns. Each grain is
    measured against its own lattice.
    """
    results = frame.results
    places = [results.get(f"_columns_{axis}", results[f"columns/{axis}"]) for axis in "yx"]  # free of the scan's error
    positions = np.column_stack(places).astype(np.float64)
    errors = np.column_stack([results["columns/y_err"], results["columns/x_err"]]).astype(np.float64)
    columns = _Columns(
        positions,
        errors,
        results["columns/sublattice"],
        results["columns/i"].astype(np.int64),
        results["columns/j"].astype(np.int64),
    )
    grain = results["columns/grain"]
    numbers = np.unique(grain[grain >= 0])
    if "displacement/i" in results:
        cells = np.column_stack([results["displacement/i"], results["displacement/j"]]).astype(np.int64)
        of_cell = grain[results["displacement/column"]]
    else:
        corners = [columns.of((grain == number) & (columns.sublattice == _A)) for number in numbers]
        parts = [complete_cells(of.i, of.j) for of in corners]
        cells = np.concatenate([np.empty((0, 2), dtype=np.int64), *parts])
        of_cell = np.repeat(numbers, [len(part) for part in parts])
    found = {variable.path: np.full(len(cells), np.nan) for variable in outputs(params)}
    for number in numbers:
        here = of_cell == number
        for name, values in _measured(columns.of(grain == number), cells[here], params).items():
            found[f"strain/{name}"][here] = values
    return found


@dataclass(frozen=True, slots=True)
class _Columns:
    positions: Array
    errors: Array
    sublattice: Array
    i: Array
    j: Array

    def of(self, part: Array) -> _Columns:
        return _Columns(self.positions[part], self.errors[part], self.sublattice[part], self.i[part], self.j[part])


def _measured(columns: _Columns, cells: Array, params: StrainParams) -> dict[str, Array]:
    """Measure cells (n, 2) of one grain."""
    corners = columns.of(columns.sublattice == _A)
    vectors = cell_vectors(corners.positions, corners.errors, corners.i, corners.j, cells)
    shape = lattice_parameters(vectors)
    found = {
        "c_over_a": shape.ratio,
        "c_over_a_err": shape.ratio_err,
        "a": shape.a,
        "a_err": shape.a_err,
        "b": shape.b,
        "b_err": shape.b_err,
        "gamma": shape.gamma,
        "spacing_a": shape.spacing_a,
        "spacing_b": shape.spacing_b,
        "curvature_a": vectors.curvature_a,
        "curvature_b": vectors.curvature_b,
    }
    mean = fit_lattice(corners.positions, corners.i, corners.j)
    reference = np.stack([mean.a, mean.b])
    if np.isfinite(reference).all():
        if params.reference_a is not None and params.reference_b is not None:
            lengths = params.reference_a.nm(), params.reference_b.nm()
            reference = oriented_reference(*lengths, params.reference_gamma, reference)
        strain = strain_of(vectors, reference)
        names = (f"{name}{suffix}" for name in ("exx", "eyy", "exy", "rotation") for suffix in ("", "_err"))
        found |= {name: getattr(strain, name) for name in names}
    if params.octahedral_tilt:
        middles, oxygen = columns.of(columns.sublattice == _B), columns.of(columns.sublattice >= _OXYGEN)
        centres = columns_of_cells(middles.positions, middles.i, middles.j, cells)
        tilt = octahedral_tilt(centres, vectors.a, vectors.b, oxygen.positions, oxygen.errors)
        found["octahedral_tilt"], found["octahedral_tilt_err"] = tilt
    return found


ANALYSIS = Analysis(
    name="strain",
    kind="images",
    summary="Strain, rotation and lattice parameters of each cell",
    params=StrainParams,
    outputs=outputs,
    needs=("columns", "lattice"),
    run=run,
)
