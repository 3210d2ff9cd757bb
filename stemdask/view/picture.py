"""The part of an image that is seen, as grey levels with no more pixels than a screen has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemdask.figures.canvas import extent
from stemdask.kernels.arrays import Array
from stemdask.model import ImageFrame

#: Pixels of what is sent to the browser, along either side.
MOST = 1024
#: Pixels that the contrast is taken from.
_SAMPLE = 200_000


class Picture(NamedTuple):
    """Grey levels where they are."""

    levels: NDArray[np.uint8]
    """(ny, nx), 1 to 255; 0 is a missing pixel."""
    left: float
    top: float
    width: float
    height: float


def picture(frame: ImageFrame, window: tuple[float, float, float, float] | None = None, most: int = MOST) -> Picture:
    """Return what is seen of an image.

    Parameters
    ----------
    frame
        The image.
    window
        Left, right, top and bottom of what is seen, in the lengths of the frame; by default all.
    most
        Pixels along either side; several pixels of the image become their mean where there are more.
    """
    (ny, nx), (dy, dx) = frame.pixels.shape, frame.pixel_size
    left, _, _, top = extent(frame)
    across, down = (0, nx), (0, ny)
    if window is not None:
        across = _pixels(window[0] - left, window[1] - left, dx, nx)
        down = _pixels(window[2] - top, window[3] - top, dy, ny)
    step = max(1, -(-max(across[1] - across[0], down[1] - down[0]) // most))
    seen = _means(frame.pixels[slice(*down), slice(*across)], step)
    levels = _grey(seen, *contrast(frame.pixels))
    height, width = (length * step for length in seen.shape)
    return Picture(levels, left + across[0] * dx, top + down[0] * dy, width * dx, height * dy)


def contrast(pixels: Array) -> tuple[float, float]:
    """Return the intensities that are black and white: nearly the least and the greatest."""
    step = max(1, int(np.sqrt(pixels.size / _SAMPLE)))
    sample = pixels[::step, ::step]
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, (0.5, 99.8)))
    return low, high if high > low else low + 1.0


def _grey(pixels: Array, low: float, high: float) -> NDArray[np.uint8]:
    part = np.clip((pixels - low) / (high - low), 0.0, 1.0)
    return np.where(np.isnan(part), 0.0, 1.0 + np.round(254.0 * part)).astype(np.uint8)


def _means(pixels: Array, step: int) -> Array:
    """Return the means of squares of pixels; rows and columns at the end that fill none are left out."""
    if step == 1:
        return pixels
    ny, nx = (length // step for length in pixels.shape)
    squares = pixels[: ny * step, : nx * step].reshape(ny, step, nx, step)
    means: Array = squares.mean(axis=(1, 3))
    return means


def _pixels(start: float, stop: float, size: float, n: int) -> tuple[int, int]:
    """Return the pixels between two lengths, at least one."""
    first = int(np.clip(np.floor(start / size), 0, n - 1))
    return first, int(np.clip(np.ceil(stop / size), first + 1, n))
