"""Strain: how each cell is stretched and turned against a reference lattice, and its lattice parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from stemdask.kernels.images.octahedral_tilt import octahedral_tilt
from stemdask.kernels.images.strain import (
    CellVectors,
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
        variables.append(Variable(f"strain/{name}", dims, "f8", units, long_name, error=error))
        variables.append(Variable(error, dims, "f8", units, f"standard error of the {long_name}"))
    variables += [
        Variable(f"strain/{name}", dims, "f8", units, long_name) for name, (units, long_name) in _WITHOUT_ERROR.items()
    ]
    return tuple(variables)


def run(frame: ImageFrame, params: StrainParams) -> Mapping[str, Array]:
    """Measure strain, rotation and shape of each cell of a frame.

    The cells are those of the displacement where it is measured; else all that have their four A columns.
    """
    results = frame.results
    places = [results.get(f"_columns_{axis}", results[f"columns/{axis}"]) for axis in "yx"]  # free of the scan's error
    positions = np.column_stack(places).astype(np.float64)
    errors = np.column_stack([results["columns/y_err"], results["columns/x_err"]]).astype(np.float64)
    sublattice = results["columns/sublattice"]
    indices = np.column_stack([results["columns/i"], results["columns/j"]]).astype(np.int64)
    corner = np.where((sublattice == _A)[:, None], indices, -1)
    if "displacement/i" in results:
        cells = np.column_stack([results["displacement/i"], results["displacement/j"]]).astype(np.int64)
    else:
        cells = complete_cells(corner[:, 0], corner[:, 1])
    vectors = cell_vectors(positions, errors, corner[:, 0], corner[:, 1], cells)
    found = _measured(vectors, _reference(results, params))
    if params.octahedral_tilt:
        middle = np.where((sublattice == _B)[:, None], indices, -1)
        centres = columns_of_cells(positions, middle[:, 0], middle[:, 1], cells)
        oxygen = sublattice >= _OXYGEN
        tilt = octahedral_tilt(centres, vectors.a, vectors.b, positions[oxygen], errors[oxygen])
        found["octahedral_tilt"], found["octahedral_tilt_err"] = tilt
    return {f"strain/{name}": value for name, value in found.items()}


def _reference(results: Mapping[str, Array], params: StrainParams) -> Array:
    """Return the reference vectors a and b as rows of (y, x), nm."""
    mean = np.array([[results[f"lattice/{vector}_{axis}"] for axis in "yx"] for vector in "ab"], dtype=np.float64)
    if params.reference_a is None or params.reference_b is None or not np.isfinite(mean).all():
        return mean
    return oriented_reference(params.reference_a.nm(), params.reference_b.nm(), params.reference_gamma, mean)


def _measured(cells: CellVectors, reference: Array) -> dict[str, Array]:
    shape = lattice_parameters(cells)
    names = ("exx", "eyy", "exy", "rotation")
    if np.isfinite(reference).all():
        strain = strain_of(cells, reference)
        found = {f"{name}{suffix}": getattr(strain, name + suffix) for name in names for suffix in ("", "_err")}
    else:
        found = {f"{name}{suffix}": np.full(len(cells.a), np.nan) for name in names for suffix in ("", "_err")}
    return found | {
        "c_over_a": shape.ratio,
        "c_over_a_err": shape.ratio_err,
        "a": shape.a,
        "a_err": shape.a_err,
        "b": shape.b,
        "b_err": shape.b_err,
        "gamma": shape.gamma,
        "spacing_a": shape.spacing_a,
        "spacing_b": shape.spacing_b,
        "curvature_a": cells.curvature_a,
        "curvature_b": cells.curvature_b,
    }


ANALYSIS = Analysis(
    name="strain",
    kind="images",
    summary="strain, rotation and lattice parameters of each cell",
    params=StrainParams,
    outputs=outputs,
    needs=("columns", "lattice"),
    run=run,
)
