"""The lattice of a frame: its vectors, and which column of which cell each column is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field, model_validator

from stemdask.analyses.given_file import ReadFile
from stemdask.analyses.images.columns import columns, gate, structure
from stemdask.kernels.images.crystal.dislocations import near_dislocation
from stemdask.kernels.images.crystal.gaps import find_gaps
from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.model import Analysis, Array, ImageFrame, Params, Stack, Variable
from stemdask.units import LengthNm

YES = {0: "no", 1: "yes"}
DISLOCATION = {-1: "unknown"} | YES
Sublattice = Literal[
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L",
    "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X",
]  # fmt: skip
LETTERS: tuple[Sublattice, ...] = get_args(Sublattice)
SUBLATTICES = {-1: "none"} | dict(enumerate(LETTERS))


#: How far a known constant, and a structure, may be from what is measured.
_TOLERANCE, _TOLERANCE_OF_STRUCTURE = 0.02, 0.05
_Index = Annotated[int, Field(ge=-9, le=9)]
_UNEQUAL = 0.005
UNCALIBRATED, PLAUSIBLE, ABSURD, UNEQUAL, DIFFERENT = range(-1, 4)
CALIBRATION_FLAGS = {
    UNCALIBRATED: "unknown",
    PLAUSIBLE: "plausible",
    ABSURD: "no crystal has such a lattice vector",
    UNEQUAL: "the pixels are not square",
    DIFFERENT: "the lattice constant is not the one given",
}


class LatticeParams(Params):
    """What is known of the crystal."""

    constant: LengthNm | None = None
    """Known length of the lattice vector a or b, whichever is nearer: the scale of the image is checked against it."""
    structure: ReadFile | None = None
    """CIF of the crystal: names the sublattices by their elements, checks the scale, and is what displacements are
    measured against. A frame with another lattice fails."""
    zone: tuple[_Index, _Index, _Index] = (0, 0, 1)
    """Zone axis [u, v, w] of the structure along which the image was taken."""

    @model_validator(mode="after")
    def _consistent(self) -> LatticeParams:
        if not any(self.zone):
            raise ValueError("a zone axis can't be [0, 0, 0]")
        if self.structure is not None and self.constant is not None:
            raise ValueError("a structure already defines the lattice constant: give either structure or constant")
        return self


_COLUMN, _FRAME = ("frame", "column"), ("frame",)
SUBLATTICE = Variable("columns/sublattice", _COLUMN, "int8", "1", "sublattice, A the brightest", flags=SUBLATTICES)
I = Variable("columns/i", _COLUMN, "int32", "1", "index of the cell along a, to the right", coordinate=True)  # noqa: E741
J = Variable("columns/j", _COLUMN, "int32", "1", "index of the cell along b, downwards", coordinate=True)
GRAIN = Variable("columns/grain", _COLUMN, "int8", "1", "grain, a region with a lattice of its own; -1 none")
NEAR_DISLOCATION = Variable(
    "columns/dislocation", _COLUMN, "int8", "1", "whether A is near a dislocation", flags=DISLOCATION
)
BESIDE_GAP = Variable(
    "columns/beside_gap", _COLUMN, "int8", "1", "whether a gap that the lattice doesn't have is beside it", flags=YES
)
A_Y = Variable("lattice/a_y", _FRAME, "float64", "nm", "lattice vector a along y")
A_X = Variable("lattice/a_x", _FRAME, "float64", "nm", "lattice vector a along x")
B_Y = Variable("lattice/b_y", _FRAME, "float64", "nm", "lattice vector b along y")
B_X = Variable("lattice/b_x", _FRAME, "float64", "nm", "lattice vector b along x")
ORIGIN_Y = Variable("lattice/origin_y", _FRAME, "float64", "nm", "site of A in cell (0, 0) along y")
ORIGIN_X = Variable("lattice/origin_x", _FRAME, "float64", "nm", "site of A in cell (0, 0) along x")
N_GAPS = Variable(
    "lattice/n_gaps", _FRAME, "int32", "1", "number of gaps inside the crystal that are wider than those of its lattice"
)
WIDEST_GAP = Variable("lattice/widest_gap", _FRAME, "float64", "nm", "radius of the widest of these gaps; none: 0")
CONFIDENCE = Variable("lattice/confidence", _FRAME, "float64", "1", "how well the lattice predicts the autocorrelation")
CALIBRATION = Variable(
    "lattice/calibration", _FRAME, "int8", "1", "whether the scale can be right", flags=CALIBRATION_FLAGS
)


def outputs(params: LatticeParams) -> tuple[Variable, ...]:
    """Declare the lattice, and the place of each column in it."""
    of_columns = (SUBLATTICE, I, J, GRAIN, NEAR_DISLOCATION, BESIDE_GAP)
    of_structure = structure.VARIABLES if params.structure is not None else ()
    of_gaps = (N_GAPS, WIDEST_GAP)
    return (*of_columns, *of_structure, A_Y, A_X, B_Y, B_X, ORIGIN_Y, ORIGIN_X, *of_gaps, CONFIDENCE, CALIBRATION)


def prepare(frames: Sequence[ImageFrame], params: LatticeParams) -> Mapping[str, Array]:
    """Project the structure along its zone axis."""
    return structure.read(params.structure, params.zone) if params.structure is not None else {}


def run(frame: ImageFrame, params: LatticeParams) -> Mapping[str, Array]:
    """Fit the mean lattice to the A columns of the first grain.

    Of the two shortest vectors, a is the one nearest to +x and b turns from +x towards +y (downwards); see
    :func:`stemdask.kernels.images.crystal.lattice.name_vectors`.

    Raises
    ------
    FrameError
        The lattice isn't that of the structure.
    """
    sublattice, grain = frame[columns.FOUND_SUBLATTICE], frame[columns.FOUND_GRAIN]
    i, j = frame[columns.FOUND_I], frame[columns.FOUND_J]
    positions = np.column_stack([frame[columns.Y], frame[columns.X]])
    corner = (sublattice == 0) & (grain == 0)
    lattice = fit_lattice(positions[corner], i[corner], j[corner])
    dislocation = np.full(len(i), -1, np.int8)
    vectors = np.full((int(grain.max(initial=-1)) + 1, 2, 2), np.nan)
    for number in np.unique(grain[grain >= 0]):
        of = np.flatnonzero((sublattice == 0) & (grain == number))
        own = fit_lattice(positions[of], i[of], j[of])
        vectors[number] = own.a, own.b
        dislocation[of] = near_dislocation(positions[of], own.a, own.b)
    gaps = find_gaps(positions, grain, vectors)
    of_structure: Mapping[str, Array] = {}
    scale = None
    if params.structure is not None:
        of_structure = structure.matched(frame, lattice, sublattice, params.structure.path)
        scale = float(of_structure[structure.SCALE.path])
    return {
        **of_structure,
        SUBLATTICE.path: sublattice,
        I.path: i,
        J.path: j,
        GRAIN.path: grain,
        NEAR_DISLOCATION.path: dislocation,
        BESIDE_GAP.path: gaps.beside.astype(np.int8),
        N_GAPS.path: np.int32(len(gaps.radii)),
        WIDEST_GAP.path: float(gaps.radii.max(initial=0.0)),
        A_Y.path: lattice.a[0],
        A_X.path: lattice.a[1],
        B_Y.path: lattice.b[0],
        B_X.path: lattice.b[1],
        ORIGIN_Y.path: lattice.origin[0],
        ORIGIN_X.path: lattice.origin[1],
        CONFIDENCE.path: frame[columns.CONFIDENCE],
        CALIBRATION.path: np.int8(_calibration(np.hypot(*lattice.a), np.hypot(*lattice.b), frame, params, scale)),
    }


def _calibration(a: float, b: float, frame: ImageFrame, params: LatticeParams, scale: float | None) -> int:
    if not np.isfinite(a + b) or not frame.calibrated:
        return UNCALIBRATED
    if scale is not None and abs(scale - 1.0) > _TOLERANCE_OF_STRUCTURE:
        return DIFFERENT
    if not gate.is_plausible(a, b):
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
    """Name the sublattices; say in words what is wrong with the scale, and how to put it right."""
    if params.structure is not None:
        found = structure.elements(stack)
        stack.set_attributes(
            SUBLATTICE.group, {"elements": found[: max((k + 1 for k, of in enumerate(found) if of), default=0)]}
        )
    flag = stack.read(CALIBRATION.path)
    if params.structure is not None and (flag == UNCALIBRATED).all():
        pixel = float(np.nanmedian(stack.read(structure.SCALE.path)))
        said = f"by {params.structure.path} a pixel is {pixel:.4g} nm wide: input: {{pixel_size: {pixel:.4g} nm}}"
        stack.set_attributes(CALIBRATION.group, {"comment": said} if np.isfinite(pixel) else {})
    if not (flag > PLAUSIBLE).any():
        return
    worst = int(np.bincount(flag[flag > PLAUSIBLE]).argmax())
    of = flag == worst
    a, b = (
        float(np.median(np.hypot(stack.read(along_y.path)[of], stack.read(along_x.path)[of])))
        for along_y, along_x in ((A_Y, A_X), (B_Y, B_X))
    )
    fault = CALIBRATION_FLAGS[worst]
    words = f"{np.count_nonzero(of)} of {stack.n_frames} frames: {fault} (a = {a:.4g} nm, b = {b:.4g} nm)"
    remedy = "check the scale of the file, and give the right one: input: {pixel_size: ... nm}"
    if worst == DIFFERENT and params.constant is not None:
        ratio = _ratio(a, b, params.constant.nm())
        remedy = f"if {params.constant} is right, multiply the pixel size by {ratio:.5g}: input: {{pixel_size: ... nm}}"
    elif worst == DIFFERENT and params.structure is not None:
        ratio = float(np.median(stack.read(structure.SCALE.path)[of]))
        name = params.structure.path
        remedy = f"if {name} is right, multiply the pixel size by {ratio:.5g}: input: {{pixel_size: ... nm}}"
    elif worst == UNEQUAL:
        remedy = "if the scan was square, give one pixel size: input: {pixel_size: ... nm}"
    stack.set_attributes(CALIBRATION.group, {"warning": f"{words}; {remedy}"})


ANALYSIS = Analysis(
    name="lattice",
    kind="images",
    summary="Lattice vectors, sublattices and cell indices",
    params=LatticeParams,
    outputs=outputs,
    shows="stemdask.figures.images.lattice",
    needs=("columns",),
    prepare=prepare,
    run=run,
    finish=finish,
)
