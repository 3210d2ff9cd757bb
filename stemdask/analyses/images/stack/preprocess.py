"""Preprocessing: which pixels are looked at, and what is done to them before columns are found; off by default.

Columns keep the coordinates of the source: the pixels that are passed on carry the matrix that takes them there. Only
displacements and strain are turned where the config says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from stemdask.analyses.images.stack import rotation
from stemdask.errors import FrameError
from stemdask.kernels.images.stacks import filters
from stemdask.kernels.images.stacks.hot_pixels import find_hot_pixels
from stemdask.kernels.images.stacks.pixel_grid import PixelGrid, crop, turn
from stemdask.model import Analysis, Array, ImageFrame, Params, Stack, Variable
from stemdask.units import AsText, Length, LengthPx, parse_length


def _edge(value: Any) -> Length:
    length = parse_length(value, "px")
    if not 0 <= length.value < float("inf"):
        raise ValueError(f"edges can't be negative, got {length}")
    return length


Edge = Annotated[Length, BeforeValidator(_edge), AsText]


class Rotation(Params):
    """How coordinates or pixels are turned."""

    angle: Annotated[float, Field(gt=-360, lt=360)] = 0.0
    """Degree, counter-clockwise as displayed."""
    pixels: bool = False
    """Interpolate the pixels, and find and measure columns on these; results keep the coordinates of the file."""


def _rotation(value: Any) -> Any:
    return {"angle": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class PreprocessParams(Params):
    """What is done to the pixels, in the order of the keys."""

    hot_pixels: Annotated[float, Field(ge=3)] | None = None
    """Exclude single pixels that differ from all their neighbours by more than this many standard deviations."""
    detector: tuple[float, float] | None = None
    """Detector counts without beam and in the full beam; intensities become fractions of the beam."""
    invert: bool = False
    """Columns are dark (ABF, bright field): invert the contrast."""
    crop: tuple[Edge, Edge, Edge, Edge] | None = None
    """Region to keep, as distances from the top left corner: top, left, bottom, right; px or nm."""
    rotate: Annotated[Rotation, BeforeValidator(_rotation)] = Rotation()
    """Rotate the coordinates of displacements and strain about the middle of the image, degree, counter-clockwise as
    displayed; pixels stay as they are. {angle: -3.5, pixels: true} interpolates the image instead."""
    upsample: Annotated[int, Field(ge=1, le=8)] = 1
    """Upsampling factor along each axis, by cubic splines."""
    flatten: LengthPx | None = None
    """Subtract the local mean over a Gaussian of this standard deviation, a few cells wide. For finding columns."""
    smooth: LengthPx | None = None
    """Smooth by a Gaussian of this standard deviation; with `flatten` a band pass. For finding columns."""
    measure_on: Literal["raw", "filtered"] = "raw"
    """Measure positions on the counts, or on the filtered image; the latter reduces displacements."""

    @model_validator(mode="after")
    def _consistent(self) -> PreprocessParams:
        if self.detector is not None and not self.detector[1] > self.detector[0]:
            raise ValueError(f"the full beam must count more than no beam, got detector {list(self.detector)}")
        return self


_IMAGE = ("frame", "y", "x")
N_HOT_PIXELS = Variable("preprocess/n_hot_pixels", ("frame",), "int32", "1", "pixels left out as wrong")
INVERTED = Variable("preprocess/inverted", (), "int8", "1", "whether the contrast was inverted", stage="prepare")
VALID_FRACTION = Variable(
    "preprocess/valid_fraction", ("frame",), "float32", "1", "fraction of the examined pixels that have a value"
)
#: What the frame looks like from here on; its pixel p lies at ``GRID_MATRIX @ p + GRID_ORIGIN`` in the source.
MEASURED = Variable("preprocess/measured", _IMAGE, "floating", "1", "pixels to measure on", stored=False)
FOR_FINDING = Variable("preprocess/for_finding", _IMAGE, "floating", "1", "pixels to find columns on", stored=False)
GRID_MATRIX = Variable("preprocess/grid_matrix", ("frame", "axis", "grid_axis"), "float64", "1", "grid", stored=False)
GRID_ORIGIN = Variable(
    "preprocess/grid_origin", ("frame", "axis"), "float64", "1", "origin of the grid, in pixels", stored=False
)


def outputs(params: PreprocessParams) -> tuple[Variable, ...]:
    """Declare the pixels that are handed on, and how many were left out."""
    turned = rotation.TURN if params.rotate.angle and not params.rotate.pixels else ()
    return (*turned, N_HOT_PIXELS, INVERTED, VALID_FRACTION, MEASURED, FOR_FINDING, GRID_MATRIX, GRID_ORIGIN)


def prepare(frames: Sequence[ImageFrame], params: PreprocessParams) -> Mapping[str, Array]:
    """Tell those who look at averages of frames that columns are dark there."""
    return {INVERTED.path: np.asarray(params.invert, dtype=np.int8)}


def run(frame: ImageFrame, params: PreprocessParams) -> Mapping[str, Array]:
    """Prepare the pixels of a frame, those to measure on and those to find columns on, both on one grid.

    Raises
    ------
    FrameError
        Nothing is left of the frame.
    """
    pixels = frame.pixels
    n_hot = 0
    if params.hot_pixels is not None:
        hot = find_hot_pixels(pixels, params.hot_pixels)
        n_hot = int(hot.sum())
        pixels = np.where(hot, np.nan, pixels).astype(pixels.dtype)
    if params.detector is not None:
        dark, full = params.detector
        pixels = ((pixels - dark) / (full - dark)).astype(frame.pixels.dtype)
    if params.invert:
        pixels = filters.invert(pixels)
    pixels, grid = _placed(pixels, frame.pixel_size, params)
    filtered = pixels
    nm = (frame.pixel_size[0] * frame.pixel_size[1]) ** 0.5
    if params.flatten is not None:
        filtered = filters.flatten(filtered, params.flatten.nm(nm) / nm * params.upsample)
    if params.smooth is not None:
        filtered = filters.gaussian(filtered, params.smooth.nm(nm) / nm * params.upsample)
    turned: dict[str, Array] = {}
    if params.rotate.angle and not params.rotate.pixels:
        middle = frame.offset + 0.5 * (np.array(frame.pixels.shape) - 1) * frame.pixel_size
        values = (params.rotate.angle, *middle)
        turned = {variable.path: np.asarray(value) for variable, value in zip(rotation.TURN, values, strict=True)}
    return turned | {
        MEASURED.path: filtered if params.measure_on == "filtered" else pixels,
        FOR_FINDING.path: filtered,
        GRID_MATRIX.path: grid.matrix,
        GRID_ORIGIN.path: grid.origin,
        N_HOT_PIXELS.path: np.asarray(n_hot),
        VALID_FRACTION.path: np.asarray(np.isfinite(pixels).mean()),
    }


def finish(stack: Stack, params: PreprocessParams) -> None:
    """Say in the store what measuring on filtered pixels costs."""
    if params.measure_on == "filtered" and (params.flatten is not None or params.smooth is not None):
        stack.set_attributes(
            "preprocess",
            {
                "comment": "positions were measured on filtered pixels: displacements shrink (slope 0.98 to 1.04 for a "
                "Gaussian, 0.7 to 0.95 for other filters), and their standard errors are too small because the noise "
                "of neighbouring pixels is no longer independent"
            },
        )


def _placed(pixels: Array, pixel_size: tuple[float, float], params: PreprocessParams) -> tuple[Array, PixelGrid]:
    matrix, origin = np.eye(2), np.zeros(2)
    if params.crop is not None:
        edges = [round(edge.px(pixel_size[k % 2])) for k, edge in enumerate(params.crop)]
        pixels, cut = crop(pixels, (edges[0], edges[1], edges[2], edges[3]))
        if min(pixels.shape) < 8:
            raise FrameError(
                "the crop leaves nothing of the frame",
                where="preprocess.crop",
                value=", ".join(map(str, params.crop)),
                allowed="top < bottom and left < right within the image, 8 px at least",
            )
        origin = cut.origin
    angle = params.rotate.angle if params.rotate.pixels else 0.0
    if angle or params.upsample > 1:
        pixels, turned = turn(pixels, angle, params.upsample)
        matrix, origin = turned.matrix, turned.origin + origin
    return pixels, PixelGrid(matrix, origin)


ANALYSIS = Analysis(
    name="preprocess",
    kind="images",
    summary="Crop, turn and filter the pixels before columns are found",
    params=PreprocessParams,
    outputs=outputs,
    shows="stemdask.figures.images.preprocess",
    prepare=prepare,
    run=run,
    finish=finish,
)
