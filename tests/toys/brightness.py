"""A toy analysis with a figure: all that a new analysis takes is here and in the file that it names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stemdask.analyses.images.stack.pixels import pixels_of
from stemdask.model import Analysis, Array, ImageFrame, Params, Variable


class BrightnessParams(Params):
    """How bright a frame is."""

    scale: float = 1.0
    """Multiplies."""


MEAN = Variable("brightness/mean", ("frame",), "float64", "1", "mean of the pixels", trend=True)


def outputs(params: BrightnessParams) -> tuple[Variable, ...]:
    """Declare the mean."""
    return (MEAN,)


def run(frame: ImageFrame, params: BrightnessParams) -> Mapping[str, Array]:
    """Average the pixels that are looked at."""
    return {MEAN.path: np.asarray(params.scale * np.nanmean(pixels_of(frame).measured))}


ANALYSIS = Analysis(
    name="brightness",
    kind="images",
    summary="Mean of the pixels",
    params=BrightnessParams,
    outputs=outputs,
    shows="brightness_shown",
    after=("preprocess", "denoise_images"),
    run=run,
)
