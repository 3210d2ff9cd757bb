"""The pixels of a frame that its analyses look at: those of the source, or what was done to them before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.analyses.images.stack import denoise_images, preprocess
from stemdask.kernels.images.stacks.pixel_grid import PixelGrid
from stemdask.model import Array, ImageFrame


class Pixels(NamedTuple):
    """What is looked at of a frame; missing pixels are NaN."""

    measured: Array
    """(ny, nx), on which positions and intensities are measured."""
    for_finding: Array
    """(ny, nx), on which columns are found."""
    grid: PixelGrid
    """Where they lie among the pixels of the source."""


def pixels_of(frame: ImageFrame) -> Pixels:
    """Return the pixels of a frame as the analyses before have left them."""
    measured = frame.get(denoise_images.MEASURED, frame.get(preprocess.MEASURED, frame.pixels))
    for_finding = frame.get(denoise_images.FOR_FINDING, frame.get(preprocess.FOR_FINDING, measured))
    grid = PixelGrid(np.eye(2), np.zeros(2))
    if preprocess.GRID_MATRIX in frame:
        grid = PixelGrid(frame[preprocess.GRID_MATRIX], frame[preprocess.GRID_ORIGIN])
    return Pixels(measured, for_finding, grid)
