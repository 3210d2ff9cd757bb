"""Registration: how far each frame of a stack has drifted, and the average of the aligned frames."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.images.stack.series import find_sites, site_variables
from stemdask.errors import StemdaskError
from stemdask.kernels.images.stacks.drift import UNRELATED, Drift, follow_drift
from stemdask.kernels.images.stacks.shift import is_blank
from stemdask.kernels.images.stacks.shift_image import shift_image
from stemdask.model import Analysis, Array, ImageFrame, Params, Stack, Variable

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
    """series: all frames show one area; its columns are found once, on the average, and each is followed through all
    frames under one index (frames that have no area in common are analysed as independent ones). independent: columns
    are found in each frame by itself."""
    reference: Literal["running"] | Annotated[int, Field(ge=0)] = "running"
    """What each frame is compared with: a running average of the aligned frames, or the frame of this number."""
    average: bool = True
    """Store the average and the variance of the aligned frames; reads the whole stack once more."""


def outputs(params: RegistrationParams) -> tuple[Variable, ...]:
    """Declare the shifts, the references and the average."""
    frame, image = ("frame",), ("y", "x")
    variables = [
        Variable(
            "registration/reference_image", ("reference", *image), "float32", "1", "reference image", stage="prepare"
        ),
        Variable("registration/reference_start", ("reference",), "int64", "1", "first frame of it", stage="prepare"),
        Variable(
            "registration/reference_y", ("reference",), "float64", "nm", "shift of the reference in y", stage="prepare"
        ),
        Variable(
            "registration/reference_x", ("reference",), "float64", "nm", "shift of the reference in x", stage="prepare"
        ),
        Variable("registration/usual_quality", (), "float64", "1", "quality of most frames", stage="prepare"),
        Variable("registration/key_frame", ("key",), "int64", "1", "frame followed at first", stage="prepare"),
        Variable("registration/key_y", ("key",), "float64", "nm", "its shift in y", stage="prepare"),
        Variable("registration/key_x", ("key",), "float64", "nm", "its shift in x", stage="prepare"),
        Variable(
            "registration/shift_y", frame, "float64", "nm", "drift of the specimen in y", "registration/shift_y_err"
        ),
        Variable(
            "registration/shift_x", frame, "float64", "nm", "drift of the specimen in x", "registration/shift_x_err"
        ),
        Variable("registration/shift_y_err", frame, "float64", "nm", "standard error of the drift in y"),
        Variable("registration/shift_x_err", frame, "float64", "nm", "standard error of the drift in x"),
        Variable("registration/quality", frame, "float64", "1", "correlation with the reference"),
        Variable("registration/checksum", frame, "int64", "1", "CRC-32 of the pixels"),
        Variable("registration/flag", frame, "int8", "1", "what the frame is", flags=FLAGS, stage="finish"),
    ]
    if params.mode == "series":
        variables += site_variables()
    if params.average:
        variables += [
            Variable("registration/average", image, "float32", "1", "average of the aligned frames", stage="finish"),
            Variable("registration/variance", image, "float32", "1", "variance of the aligned frames", stage="finish"),
            Variable("registration/coverage", image, "int32", "1", "frames that saw the pixel", stage="finish"),
        ]
    return tuple(variables)


def prepare(frames: Sequence[ImageFrame], params: RegistrationParams) -> Mapping[str, Array]:
    """Follow the drift over as many frames as it takes, average what they show, and find the columns of the area."""
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
        "registration/reference_image": drift.references,
        "registration/reference_start": drift.starts,
        "registration/reference_y": drift.offsets[:, 0] * nm_y,
        "registration/reference_x": drift.offsets[:, 1] * nm_x,
        "registration/usual_quality": np.asarray(drift.quality),
        "registration/key_frame": drift.frames,
        "registration/key_y": drift.shifts[:, 0] * nm_y,
        "registration/key_x": drift.shifts[:, 1] * nm_x,
    }
    return found | (find_sites(drift, read.last) if params.mode == "series" else {})


def run(frame: ImageFrame, params: RegistrationParams) -> Mapping[str, Array]:
    """Measure the shift of a frame against the reference of its time.

    A feature at p in the aligned stack is at p + shift in the frame. A blank frame has no quality; one that can't be
    compared with the reference (no common area, another size) has quality 0.
    """
    shift = _drift(frame).measure(frame.index, frame.pixels)
    nm_y, nm_x = frame.pixel_size
    unrelated = np.isnan(shift.quality) and not is_blank(frame.pixels)
    values = {
        "shift_y": shift.y * nm_y,
        "shift_x": shift.x * nm_x,
        "shift_y_err": shift.y_err * nm_y,
        "shift_x_err": shift.x_err * nm_x,
        "quality": 0.0 if unrelated else shift.quality,
        "checksum": zlib.crc32(np.ascontiguousarray(frame.pixels).data),
    }
    return {f"registration/{name}": np.asarray(value) for name, value in values.items()}


def finish(stack: Stack, params: RegistrationParams) -> None:
    """Flag the frames, and average those that belong together."""
    prepared = {v.path: stack.read(v.path) for v in outputs(params) if v.stage == "prepare"}
    quality, checksum = stack.read("registration/quality"), stack.read("registration/checksum")
    failed = np.flatnonzero(checksum < 0)
    for index in map(int, failed):  # a blank frame has no columns, and so no results; what it is can still be said
        try:
            frame = stack.frame(index)
        except StemdaskError:
            continue
        frame.results.update(prepared)
        found = run(frame, params)  # type: ignore[arg-type]
        quality[index], checksum[index] = found["registration/quality"], found["registration/checksum"]
    flag = _flags(quality, checksum, UNRELATED * float(prepared["registration/usual_quality"]))
    flag[failed[flag[failed] == REGISTERED]] = NOT_ANALYSED
    for frames in stack.blocks:
        stack.write("registration/flag", flag[frames], frames)
    if not params.average:
        return
    shape = prepared["registration/reference_image"].shape[1:]
    total, square, seen = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int32)
    base = 0.0
    for frames in stack.blocks:
        shift_y, shift_x = (stack.read(f"registration/shift_{axis}", frames) for axis in "yx")
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
    stack.write("registration/average", (mean + base).astype(np.float32))
    stack.write("registration/variance", variance.astype(np.float32))
    stack.write("registration/coverage", seen)


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
        np.column_stack([frame.results[f"registration/{of}_{axis}"] for axis in "yx"]) / frame.pixel_size
        for of in ("reference", "key")
    )
    return Drift(
        frames=frame.results["registration/key_frame"],
        shifts=shifts,
        references=frame.results["registration/reference_image"],
        starts=frame.results["registration/reference_start"],
        offsets=np.rint(offsets).astype(np.int64),
        quality=float(frame.results["registration/usual_quality"]),
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
    prepare=prepare,
    run=run,
    finish=finish,
)
