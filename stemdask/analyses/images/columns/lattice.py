"""The lattice of a frame: its vectors, and which column of which cell each column is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stemdask.kernels.images.crystal.dislocations import near_dislocation
from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.model import Analysis, Array, ImageFrame, Params, Stack, Variable
from stemdask.units import LengthNm

DISLOCATION = {-1: "unknown", 0: "no", 1: "yes"}
SUBLATTICES = {-1: "none", 0: "A", 1: "B", 2: "C", 3: "D", 4: "E", 5: "F", 6: "G", 7: "H"}


#: Shortest lattice vectors of crystals in projection are this long, nm; another length speaks of a wrong scale.
_PLAUSIBLE = (0.12, 3.0)
_TOLERANCE = 0.02
_UNEQUAL = 0.005
PLAUSIBLE, ABSURD, UNEQUAL, DIFFERENT = range(4)
CALIBRATION = {
    -1: "unknown",
    PLAUSIBLE: "plausible",
    ABSURD: "no crystal has such a lattice vector",
    UNEQUAL: "the pixels are not square",
    DIFFERENT: "the lattice constant is not the one given",
}


class LatticeParams(Params):
    """What is known of the crystal."""

    constant: LengthNm | None = None
    """Known length of the lattice vector a or b, whichever is nearer: the scale of the image is checked against it."""


def outputs(params: LatticeParams) -> tuple[Variable, ...]:
    """Declare the lattice, and the place of each column in it."""
    column = ("frame", "column")
    return (
        Variable("columns/sublattice", column, "int8", "1", "sublattice, A the brightest", flags=SUBLATTICES),
        Variable("columns/i", column, "int32", "1", "index of the cell along a, to the right"),
        Variable("columns/j", column, "int32", "1", "index of the cell along b, downwards"),
        Variable("columns/grain", column, "int8", "1", "grain, a region with a lattice of its own; -1 none"),
        Variable("columns/dislocation", column, "int8", "1", "whether A is near a dislocation", flags=DISLOCATION),
        Variable("lattice/a_y", ("frame",), "float64", "nm", "lattice vector a along y"),
        Variable("lattice/a_x", ("frame",), "float64", "nm", "lattice vector a along x"),
        Variable("lattice/b_y", ("frame",), "float64", "nm", "lattice vector b along y"),
        Variable("lattice/b_x", ("frame",), "float64", "nm", "lattice vector b along x"),
        Variable("lattice/origin_y", ("frame",), "float64", "nm", "site of A in cell (0, 0) along y"),
        Variable("lattice/origin_x", ("frame",), "float64", "nm", "site of A in cell (0, 0) along x"),
        Variable("lattice/confidence", ("frame",), "float64", "1", "how well the lattice predicts the autocorrelation"),
        Variable("lattice/calibration", ("frame",), "int8", "1", "whether the scale can be right", flags=CALIBRATION),
    )


def run(frame: ImageFrame, params: LatticeParams) -> Mapping[str, Array]:
    """Fit the mean lattice to the A columns of the first grain.

    Of the two shortest vectors, a is the one nearest to +x and b turns from +x towards +y (downwards); see
    :func:`stemdask.kernels.images.crystal.lattice.name_vectors`.
    """
    results = frame.results
    sublattice, i, j = (results[f"_columns_{name}"] for name in ("sublattice", "i", "j"))
    grain = results["_columns_grain"]
    positions = np.column_stack([results["columns/y"], results["columns/x"]])
    corner = (sublattice == 0) & (grain == 0)
    lattice = fit_lattice(positions[corner], i[corner], j[corner])
    dislocation = np.full(len(i), -1, np.int8)
    for number in np.unique(grain[grain >= 0]):
        of = np.flatnonzero((sublattice == 0) & (grain == number))
        own = fit_lattice(positions[of], i[of], j[of])
        dislocation[of] = near_dislocation(positions[of], own.a, own.b)
    return {
        "columns/sublattice": sublattice,
        "columns/i": i,
        "columns/j": j,
        "columns/grain": grain,
        "columns/dislocation": dislocation,
        "lattice/a_y": lattice.a[0],
        "lattice/a_x": lattice.a[1],
        "lattice/b_y": lattice.b[0],
        "lattice/b_x": lattice.b[1],
        "lattice/origin_y": lattice.origin[0],
        "lattice/origin_x": lattice.origin[1],
        "lattice/confidence": results["_lattice_confidence"],
        "lattice/calibration": np.int8(_calibration(np.hypot(*lattice.a), np.hypot(*lattice.b), frame, params)),
    }


def _calibration(a: float, b: float, frame: ImageFrame, params: LatticeParams) -> int:
    if not np.isfinite(a + b):
        return -1
    if not (_PLAUSIBLE[0] <= min(a, b) and max(a, b) <= _PLAUSIBLE[1]):
        return ABSURD
    if abs(frame.pixel_size[0] / frame.pixel_size[1] - 1.0) > _UNEQUAL:
        return UNEQUAL
    if params.constant is not None and abs(_ratio(a, b, params.constant.nm()) - 1.0) > _TOLERANCE:
        return DIFFERENT
    return PLAUSIBLE


def _ratio(a: float, b: float, constant: float) -> float:
    """Known constant over the measured length that is nearer to it."""
    return constant / min((a, b), key=lambda length: abs(np.log(length / constant)))


def finish(stack: Stack, params: LatticeParams) -> None:
    """Say in words what is wrong with the scale, and how to put it right."""
    flag = stack.read("lattice/calibration")
    if not (flag > PLAUSIBLE).any():
        return
    worst = int(np.bincount(flag[flag > PLAUSIBLE]).argmax())
    of = flag == worst
    a, b = (
        float(np.median(np.hypot(stack.read(f"lattice/{name}_y")[of], stack.read(f"lattice/{name}_x")[of])))
        for name in "ab"
    )
    words = f"{np.count_nonzero(of)} of {stack.n_frames} frames: {CALIBRATION[worst]} (a = {a:.4g} nm, b = {b:.4g} nm)"
    remedy = "check the scale of the file, and give the right one: input: {pixel_size: ... nm}"
    if worst == DIFFERENT and params.constant is not None:
        ratio = _ratio(a, b, params.constant.nm())
        remedy = f"if {params.constant} is right, multiply the pixel size by {ratio:.5g}: input: {{pixel_size: ... nm}}"
    elif worst == UNEQUAL:
        remedy = "if the scan was square, give one pixel size: input: {pixel_size: ... nm}"
    stack.set_attributes("lattice", {"warning": f"{words}; {remedy}"})


ANALYSIS = Analysis(
    name="lattice",
    kind="images",
    summary="Lattice vectors, sublattices and cell indices",
    params=LatticeParams,
    outputs=outputs,
    needs=("columns",),
    run=run,
    finish=finish,
)
