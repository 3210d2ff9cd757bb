"""Images denoised for finding columns in them; off unless asked for, because it shrinks what is measured on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from stemdask.analyses.images.stack import preprocess
from stemdask.errors import FrameError
from stemdask.kernels.images.denoising import finding_slope
from stemdask.kernels.images.denoising.image_denoising import (
    ImageFilter,
    filter_image,
    fit_stack,
    noise_level,
    project_image,
)
from stemdask.kernels.images.denoising.low_rank import LowRank
from stemdask.kernels.images.stacks.shift import lattice_period
from stemdask.model import Analysis, Array, Frame, ImageFrame, Params, Stack, Variable

#: Frames to which the components are fitted, spread evenly, and bytes of them held at a time.
FITTED = 512
_BATCH_BYTES = 64 * 2**20
#: Lattice period, px, assumed where an image shows none.
_PERIOD = 12.0


class DenoiseImagesParams(Params):
    """How images are denoised before columns are found."""

    method: Literal["pca", ImageFilter] = "pca"
    """Components of the stack, which needs frames that don't drift, or a filter applied to each image."""
    n_components: Literal["auto"] | Annotated[int, Field(ge=0, le=64)] = "auto"
    """Components of the stack beyond its mean; `auto` keeps those that exceed the noise."""
    max_components: int = Field(16, ge=1, le=64)
    """Largest number of components kept by `auto`."""
    strength: float = Field(1.0, gt=0, le=10)
    """Strength of a filter; 1 is usual."""
    measure_on: Literal["raw", "filtered"] = "raw"
    """Measure positions on the counts, or on the denoised images; the latter shrinks displacements."""

    @model_validator(mode="after")
    def _consistent(self) -> DenoiseImagesParams:
        if self.method != "pca" and self.n_components != "auto":
            raise ValueError(f"n_components belongs to pca, not to {self.method}")
        return self


def _constant(name: str, dims: tuple[str, ...], long_name: str) -> Variable:
    return Variable(f"denoise_images/{name}", dims, "float32", "1", long_name, stage="prepare")


SLOPE = _constant("slope", (), "found over true displacement on such images, from a simulation")
SLOPE_ERR = _constant("slope_err", (), "standard error of the slope")
FIRST_REMOVED = _constant("first_removed", ("y", "x"), "what is removed from the first frame")
REMOVED = Variable(
    "denoise_images/removed", ("frame",), "float32", "1", "RMS of what was removed over that of the noise"
)
MEASURED = Variable(
    "denoise_images/measured", ("frame", "y", "x"), "floating", "1", "denoised pixels to measure on", stored=False
)
FOR_FINDING = Variable(
    "denoise_images/for_finding", ("frame", "y", "x"), "floating", "1", "denoised pixels to find on", stored=False
)
MEAN = _constant("mean", ("y", "x"), "mean of the frames")
COMPONENTS = _constant("components", ("image_component", "y", "x"), "leading components of the frames")
NOISE_VARIANCE = _constant("noise_variance", (), "variance of a pixel outside the components")
SINGULAR_VALUES = _constant("singular_values", ("image_component",), "singular values of the components")
_MODEL = (MEAN, COMPONENTS, NOISE_VARIANCE, SINGULAR_VALUES)
PERIOD = _constant("period", (), "lattice period of the first frame, in pixels")


def outputs(params: DenoiseImagesParams) -> tuple[Variable, ...]:
    """Declare the denoised pixels that are handed on, and what such denoising does."""
    found = [SLOPE, SLOPE_ERR, PERIOD, FIRST_REMOVED, REMOVED]
    found += _MODEL if params.method == "pca" else ()
    return (*found, FOR_FINDING, *((MEASURED,) if params.measure_on == "filtered" else ()))


def prepare(frames: Sequence[Frame], params: DenoiseImagesParams) -> Mapping[str, Array]:
    """Fit the components, and measure on a simulation what such denoising does to displacements."""
    first = _image(frames[0])
    period = lattice_period(first.astype(np.float32))
    period = period if np.isfinite(period) else _PERIOD
    noise = noise_level(first)
    finite = first[np.isfinite(first)]
    contrast = float(np.sqrt(max(finite.var() - noise**2, 0.0))) if finite.size else 0.0
    constants: dict[Variable, Array] = {}
    model: LowRank | None = None
    if params.method == "pca":
        model = _fit(frames, params)
        shape = first.shape
        constants = {
            MEAN: model.mean.reshape(shape),
            COMPONENTS: model.components.reshape(-1, *shape),
            NOISE_VARIANCE: np.asarray(model.noise_variance),
            SINGULAR_VALUES: model.singular_values,
        }
    rank = model.rank if model is not None else 0

    def denoise(images: Array) -> Array:
        if params.method != "pca":
            return np.stack([filter_image(image, params.method, params.strength, period) for image in images])
        rows = images.reshape(len(images), -1)
        # As many components for as many frames as in the stack.
        share = max(round(rank * len(images) / max(min(len(frames), FITTED), 1)), min(rank, 1))
        simulated = fit_stack(lambda: [rows], rows.shape[1], share, share)
        return np.stack([project_image(simulated, image) for image in images])

    slope = finding_slope.Slope(np.nan, np.nan)
    if contrast > 0:
        slope = finding_slope.finding_slope(denoise, period, contrast, noise)
    constants |= {
        SLOPE: np.asarray(slope.value),
        SLOPE_ERR: np.asarray(slope.error),
        PERIOD: np.asarray(period),
    }
    kept = _denoised(first, constants, params)
    constants[FIRST_REMOVED] = first - kept
    return {variable.path: np.asarray(array, dtype=np.float32) for variable, array in constants.items()}


def run(frame: ImageFrame, params: DenoiseImagesParams) -> Mapping[str, Array]:
    """Denoise the pixels on which columns are found and, where that is asked for, measured.

    Raises
    ------
    FrameError
        The frame has another size than the components of the stack.
    """
    pixels = np.asarray(frame.get(preprocess.FOR_FINDING, frame.pixels))
    constants = {variable: frame[variable] for variable in (*_MODEL, PERIOD) if variable in frame}
    if MEAN in constants and constants[MEAN].shape != pixels.shape:
        raise FrameError(
            "the size of the frame is not that of the components of the stack",
            where=f"frame {frame.index}",
            value=pixels.shape,
            allowed=constants[MEAN].shape,
            remedy="Crop or turn the frames without 'denoise_images', or denoise with a filter",
        )
    denoised = _denoised(pixels, constants, params).astype(pixels.dtype)
    noise = noise_level(pixels)
    removed = (pixels - denoised)[np.isfinite(pixels)].astype(float)
    ratio = float(np.sqrt(np.mean(removed**2))) / noise if removed.size and noise > 0 else np.nan
    found = {FOR_FINDING.path: denoised, REMOVED.path: np.asarray(ratio)}
    return found | ({MEASURED.path: denoised} if params.measure_on == "filtered" else {})


def finish(stack: Stack, params: DenoiseImagesParams) -> None:
    """Say in the store what such denoising does to displacements."""
    slope = finding_slope.Slope(float(stack.read(SLOPE.path)), float(stack.read(SLOPE_ERR.path)))
    removed = np.asarray(stack.read(REMOVED.path), dtype=float)
    removed = removed[np.isfinite(removed)]
    said = finding_slope.in_words(params.method, slope) if np.isfinite(slope.value) else "No lattice was seen."
    if params.measure_on == "filtered":
        said += " Columns were found and measured on these images: the displacements are wrong by that factor."
    else:
        said += " Columns were found on these images and measured on the counts, so that the factor doesn't touch them."
    if removed.size:
        said += f" What was removed is {np.median(removed):.2f} times the noise of a pixel."
    stack.set_attributes(SLOPE.group, {"method": params.method, "statement": said})


def _denoised(pixels: Array, constants: Mapping[Variable, Array], params: DenoiseImagesParams) -> Array:
    if params.method != "pca":
        return filter_image(pixels, params.method, params.strength, float(constants[PERIOD]))
    components = np.asarray(constants[COMPONENTS], dtype=float)
    model = LowRank(
        np.asarray(constants[MEAN], dtype=float).ravel(),
        components.reshape(len(components), pixels.size),
        np.asarray(constants[SINGULAR_VALUES], dtype=float),
        FITTED,
        float(constants[NOISE_VARIANCE]),
    )
    return project_image(model, pixels)


def _fit(frames: Sequence[Frame], params: DenoiseImagesParams) -> LowRank:
    shape = _image(frames[0]).shape
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), FITTED)).round().astype(int)
    n_pixels = int(np.prod(shape))
    batch = max(_BATCH_BYTES // (8 * n_pixels), 1)

    def blocks() -> Iterator[Array]:
        for start in range(0, len(chosen), batch):
            images = [_image(frames[int(index)]) for index in chosen[start : start + batch]]
            rows = [image.reshape(n_pixels) for image in images if image.shape == shape]
            rows = [row for row in rows if np.isfinite(row).any()]
            yield np.array(rows).reshape(len(rows), n_pixels)

    return fit_stack(blocks, n_pixels, params.n_components, params.max_components)


def _image(frame: Frame) -> Array:
    assert isinstance(frame, ImageFrame)
    return np.asarray(frame.pixels, dtype=float)


ANALYSIS = Analysis(
    name="denoise_images",
    kind="images",
    summary="Images denoised for finding columns, with the shrinkage that measuring on them would bring",
    params=DenoiseImagesParams,
    outputs=outputs,
    shows="stemdask.figures.images.denoise_images",
    after=("preprocess",),
    prepare=prepare,
    run=run,
    finish=finish,
)
