"""Registration: how far each frame of a stack has drifted, and the average of the aligned frames."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.errors import StemdaskError
from stemdask.kernels.images.stacks.drift import UNRELATED, Drift, follow_drift, stitch
from stemdask.kernels.images.stacks.shift import is_blank
from stemdask.kernels.images.stacks.shift_image import shift_image
from stemdask.model import Analysis, Array, ImageFrame, Params, Stack, Variable

#: Usual quality below which frames show different areas: it is 0.9 and more for ten electrons a column, and 0.3 for two
#: areas of one crystal turned against each other.
_ONE_AREA = 0.6
NOT_ANALYSED, REGISTERED, BLANK, DUPLICATE, UNRELATED_FRAME = range(-1, 4)
FLAGS = {
    NOT_ANALYSED: "not analysed",
    REGISTERED: "registered",
    BLANK: "blank",
    DUPLICATE: "duplicate of an earlier frame",
    UNRELATED_FRAME: "unrelated to the reference",
}


class RegistrationParams(Params):
    """How the drift of a stack is found."""

    mode: Literal["series", "independent"] = "series"
    """series: the frames show one drifting area; the columns of all that they show are found once, on the average, and
    each is followed through all frames under one index (frames that have no area in common are analysed as independent
    ones). independent: columns are found in each frame by itself."""
    reference: Literal["running"] | Annotated[int, Field(ge=0)] = "running"
    """What each frame is compared with: a running average of the aligned frames, or the frame with this index."""
    average: bool = True
    """Store the average and the variance of the aligned frames; reads the whole stack a second time."""


_FRAME, _IMAGE = ("frame",), ("y", "x")


def _constant(name: str, dims: tuple[str, ...], dtype: str, units: str, long_name: str) -> Variable:
    return Variable(f"registration/{name}", dims, dtype, units, long_name, stage="prepare")


REFERENCE_IMAGE = _constant("reference_image", ("reference", *_IMAGE), "float32", "1", "reference image")
REFERENCE_START = _constant("reference_start", ("reference",), "int64", "1", "first frame of the reference")
REFERENCE_Y = _constant("reference_y", ("reference",), "float64", "nm", "shift of the reference in y")
REFERENCE_X = _constant("reference_x", ("reference",), "float64", "nm", "shift of the reference in x")
USUAL_QUALITY = _constant("usual_quality", (), "float64", "1", "quality of most frames")
KEY_FRAME = _constant("key_frame", ("key",), "int64", "1", "key frame, followed before the others")
KEY_Y = _constant("key_y", ("key",), "float64", "nm", "shift of the key frame in y")
KEY_X = _constant("key_x", ("key",), "float64", "nm", "shift of the key frame in x")
SHIFT_Y = Variable(
    "registration/shift_y", _FRAME, "float64", "nm", "drift of the specimen in y", "registration/shift_y_err"
)
SHIFT_X = Variable(
    "registration/shift_x", _FRAME, "float64", "nm", "drift of the specimen in x", "registration/shift_x_err"
)
SHIFT_Y_ERR = Variable("registration/shift_y_err", _FRAME, "float64", "nm", "standard error of the drift in y")
SHIFT_X_ERR = Variable("registration/shift_x_err", _FRAME, "float64", "nm", "standard error of the drift in x")
QUALITY = Variable("registration/quality", _FRAME, "float64", "1", "correlation with the reference")
CHECKSUM = Variable("registration/checksum", _FRAME, "int64", "1", "CRC-32 of the pixels")
FLAG = Variable("registration/flag", _FRAME, "int8", "1", "state of the frame", flags=FLAGS, stage="finish")
AVERAGE = Variable("registration/average", _IMAGE, "float32", "1", "average of the aligned frames", stage="finish")
VARIANCE = Variable("registration/variance", _IMAGE, "float32", "1", "variance of the aligned frames", stage="finish")
COVERAGE = Variable("registration/coverage", _IMAGE, "int32", "1", "frames that saw the pixel", stage="finish")
#: Of a series, for its columns; empty where the frames show different areas.
AREA_IMAGE = Variable(
    "registration/area_image",
    ("area_y", "area_x"),
    "float32",
    "1",
    "average over all that the frames show",
    stage="prepare",
    stored=False,
)
AREA_FIRST = Variable(
    "registration/area_first",
    ("axis",),
    "int64",
    "pixel",
    "place of its pixel (0, 0) in a frame that has not drifted",
    stage="prepare",
    stored=False,
)
_CONSTANTS = (
    REFERENCE_IMAGE, REFERENCE_START, REFERENCE_Y, REFERENCE_X, USUAL_QUALITY, KEY_FRAME, KEY_Y, KEY_X,
)  # fmt: skip


def outputs(params: RegistrationParams) -> tuple[Variable, ...]:
    """Declare the shifts, the references and the average."""
    of_frames = (SHIFT_Y, SHIFT_X, SHIFT_Y_ERR, SHIFT_X_ERR, QUALITY, CHECKSUM, FLAG)
    area = (AREA_IMAGE, AREA_FIRST) if params.mode == "series" else ()
    images = (AVERAGE, VARIANCE, COVERAGE) if params.average else ()
    return (*_CONSTANTS, *of_frames, *area, *images)


def prepare(frames: Sequence[ImageFrame], params: RegistrationParams) -> Mapping[str, Array]:
    """Follow the drift over as many frames as it takes, average what they show."""
    read = _Reader(frames)
    given = None if params.reference == "running" else params.reference
    if given is not None and given >= len(frames):
        raise StemdaskError(
            "there is no such frame to register against",
            where="registration.reference",
            value=given,
            allowed=f"0 to {len(frames) - 1}",
        )
    drift = follow_drift(read, len(frames), given)
    if read.last is None:
        raise StemdaskError("no frame of the stack can be read", where="registration")
    if drift is None:
        drift = _unknown_drift(read.last.pixels.shape)
    nm_y, nm_x = read.last.pixel_size
    found: dict[str, Array] = {
        REFERENCE_IMAGE.path: drift.references,
        REFERENCE_START.path: drift.starts,
        REFERENCE_Y.path: drift.offsets[:, 0] * nm_y,
        REFERENCE_X.path: drift.offsets[:, 1] * nm_x,
        USUAL_QUALITY.path: np.asarray(drift.quality),
        KEY_FRAME.path: drift.frames,
        KEY_Y.path: drift.shifts[:, 0] * nm_y,
        KEY_X.path: drift.shifts[:, 1] * nm_x,
    }
    if params.mode == "series":
        average, first = stitch(drift)
        one_area = drift.quality >= _ONE_AREA
        found |= {AREA_IMAGE.path: average if one_area else average[:0, :0], AREA_FIRST.path: np.asarray(first)}
    return found


def run(frame: ImageFrame, params: RegistrationParams) -> Mapping[str, Array]:
    """Measure the shift of a frame against the reference of its time.

    A feature at p in the aligned stack is at p + shift in the frame. A blank frame has no quality; one that can't be
    compared with the reference (no common area, another size) has quality 0.
    """
    shift = _drift(frame).measure(frame.index, frame.pixels)
    nm_y, nm_x = frame.pixel_size
    unrelated = np.isnan(shift.quality) and not is_blank(frame.pixels)
    values = {
        SHIFT_Y: shift.y * nm_y,
        SHIFT_X: shift.x * nm_x,
        SHIFT_Y_ERR: shift.y_err * nm_y,
        SHIFT_X_ERR: shift.x_err * nm_x,
        QUALITY: 0.0 if unrelated else shift.quality,
        CHECKSUM: zlib.crc32(np.ascontiguousarray(frame.pixels).data),
    }
    return {variable.path: np.asarray(value) for variable, value in values.items()}


def finish(stack: Stack, params: RegistrationParams) -> None:
    """Flag the frames, and average those that belong together."""
    prepared = {v.path: stack.read(v.path) for v in _CONSTANTS}
    quality, checksum = stack.read(QUALITY.path), stack.read(CHECKSUM.path)
    failed = np.flatnonzero(checksum < 0)
    for index in map(int, failed):  # a blank frame has no columns, and so no results; what it is can still be said
        try:
            frame = stack.frame(index)
        except StemdaskError:
            continue
        frame.results.update(prepared)
        found = run(frame, params)  # type: ignore[arg-type]
        quality[index], checksum[index] = found[QUALITY.path], found[CHECKSUM.path]
    flag = _flags(quality, checksum, UNRELATED * float(prepared[USUAL_QUALITY.path]))
    flag[failed[flag[failed] == REGISTERED]] = NOT_ANALYSED
    for frames in stack.blocks:
        stack.write(FLAG.path, flag[frames], frames)
    if not params.average:
        return
    shape = prepared[REFERENCE_IMAGE.path].shape[1:]
    total, square, seen = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int32)
    base = 0.0
    for frames in stack.blocks:
        shift_y, shift_x = (stack.read(variable.path, frames) for variable in (SHIFT_Y, SHIFT_X))
        for k, index in enumerate(range(frames.start, frames.stop)):
            if flag[index] != REGISTERED:
                continue
            frame = stack.frame(index)
            assert isinstance(frame, ImageFrame)
            moved = shift_image(frame.pixels, (-shift_y[k] / frame.pixel_size[0], -shift_x[k] / frame.pixel_size[1]))
            finite = np.isfinite(moved)
            base = base or float(moved[finite].mean())  # squares of what is left don't lose digits
            moved = np.where(finite, moved - base, 0.0)
            total += moved
            square += moved * moved
            seen += finite
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / seen
        variance = np.where(seen > 1, (square - total * mean) / (seen - 1), np.nan)
    stack.write(AVERAGE.path, (mean + base).astype(np.float32))
    stack.write(VARIANCE.path, variance.astype(np.float32))
    stack.write(COVERAGE.path, seen)


def _flags(quality: Array, checksum: Array, least: float) -> Array:
    """Return what each frame is; the first of equal frames is no duplicate."""
    flag = np.full(quality.shape, REGISTERED, dtype=np.int8)
    flag[quality < least] = UNRELATED_FRAME
    first = np.unique(checksum, return_index=True)[1]
    repeated = np.ones(quality.shape, dtype=bool)
    repeated[first] = False
    flag[repeated] = DUPLICATE
    flag[np.isnan(quality)] = BLANK
    flag[checksum < 0] = NOT_ANALYSED
    return flag


def _drift(frame: ImageFrame) -> Drift:
    offsets, shifts = (
        np.column_stack([frame[y], frame[x]]) / frame.pixel_size
        for y, x in ((REFERENCE_Y, REFERENCE_X), (KEY_Y, KEY_X))
    )
    return Drift(
        frames=frame[KEY_FRAME],
        shifts=shifts,
        references=frame[REFERENCE_IMAGE],
        starts=frame[REFERENCE_START],
        offsets=np.rint(offsets).astype(np.int64),
        quality=float(frame[USUAL_QUALITY]),
    )


class _Reader:
    """Reads the pixels of frames, and remembers the last frame."""

    def __init__(self, frames: Sequence[ImageFrame]) -> None:
        self._frames = frames
        self.last: ImageFrame | None = None

    def __call__(self, index: int) -> Array | None:
        try:
            self.last = self._frames[index]
        except StemdaskError:  # the run gives that frame its status and reason
            return None
        return self.last.pixels


def _unknown_drift(shape: tuple[int, ...]) -> Drift:
    """Return what stands for the drift of blank frames: no frame can be compared with its reference."""
    return Drift(
        frames=np.zeros(1, dtype=np.int64),
        shifts=np.zeros((1, 2)),
        references=np.full((1, *shape), np.nan, dtype=np.float32),
        starts=np.zeros(1, dtype=np.int64),
        offsets=np.zeros((1, 2), dtype=np.int64),
        quality=1.0,
    )


ANALYSIS = Analysis(
    name="registration",
    kind="images",
    summary="Drift of a stack, and the average of the aligned frames",
    params=RegistrationParams,
    outputs=outputs,
    shows="stemdask.figures.images.registration",
    after=("preprocess",),
    prepare=prepare,
    run=run,
    finish=finish,
)
