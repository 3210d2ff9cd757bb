"""The lattice of a frame: its vectors, and which column of which cell each column is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stemdask.kernels.images.lattice import fit_lattice
from stemdask.model import Analysis, Array, ImageFrame, Params, Variable

SUBLATTICES = {-1: "none", 0: "A", 1: "B", 2: "C", 3: "D", 4: "E", 5: "F", 6: "G", 7: "H"}


class LatticeParams(Params):
    """What is known of the crystal."""


def outputs(params: LatticeParams) -> tuple[Variable, ...]:
    """Declare the lattice, and the place of each column in it."""
    column = ("frame", "column")
    return (
        Variable("columns/sublattice", column, "i1", "1", "sublattice, A the brightest", flags=SUBLATTICES),
        Variable("columns/i", column, "i4", "1", "index of the cell along a, to the right"),
        Variable("columns/j", column, "i4", "1", "index of the cell along b, downwards"),
        Variable("columns/grain", column, "i1", "1", "grain, a region with a lattice of its own; -1 none"),
        Variable("lattice/a_y", ("frame",), "f8", "nm", "lattice vector a along y"),
        Variable("lattice/a_x", ("frame",), "f8", "nm", "lattice vector a along x"),
        Variable("lattice/b_y", ("frame",), "f8", "nm", "lattice vector b along y"),
        Variable("lattice/b_x", ("frame",), "f8", "nm", "lattice vector b along x"),
        Variable("lattice/origin_y", ("frame",), "f8", "nm", "site of A in cell (0, 0) along y"),
        Variable("lattice/origin_x", ("frame",), "f8", "nm", "site of A in cell (0, 0) along x"),
        Variable("lattice/confidence", ("frame",), "f8", "1", "how well the lattice predicts the autocorrelation"),
    )


def run(frame: ImageFrame, params: LatticeParams) -> Mapping[str, Array]:
    """Fit the mean lattice to the A columns of the first grain.

    Of the two shortest vectors, a is the one nearest to +x and b turns from +x towards +y (downwards); see
    :func:`stemdask.kernels.images.lattice.name_vectors`.
    """
    results = frame.results
    sublattice, i, j = (results[f"_columns_{name}"] for name in ("sublattice", "i", "j"))
    grain = results["_columns_grain"]
    positions = np.column_stack([results["columns/y"], results["columns/x"]])
    corner = (sublattice == 0) & (grain == 0)
    lattice = fit_lattice(positions[corner], i[corner], j[corner])
    return {
        "columns/sublattice": sublattice,
        "columns/i": i,
        "columns/j": j,
        "columns/grain": grain,
        "lattice/a_y": lattice.a[0],
        "lattice/a_x": lattice.a[1],
        "lattice/b_y": lattice.b[0],
        "lattice/b_x": lattice.b[1],
        "lattice/origin_y": lattice.origin[0],
        "lattice/origin_x": lattice.origin[1],
        "lattice/confidence": results["_lattice_confidence"],
    }


ANALYSIS = Analysis(
    name="lattice",
    kind="images",
    summary="lattice vectors, sublattices and cell indices",
    params=LatticeParams,
    outputs=outputs,
    needs=("columns",),
    run=run,
)
