"""A halo: the part of the counts of every column that the tails of the probe spread far beyond its core.

All columns have it in the same proportion, so it acts on the image of all of them together. What is seen of columns S
without a halo is S + h·(C·S - S), where C is the mean under a wide Gaussian and h the part of the counts. Neither the
background nor the counts of a column change.

Left out of the model, it becomes displacement where columns overlap: it fills the gap towards which a column moves.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.images.fitting.aberrations import render_shaped
from stemdask.kernels.images.fitting.ellipses import mean_width
from stemdask.kernels.images.fitting.gaussian import render

#: How many times wider a halo is than its column.
WIDER = 2.2
#: Standard deviation of its part beforehand.
SPREAD = 0.15
#: The Gaussian of the mean is drawn to so many of its standard deviations.
_REACH = 3.0


def add_columns(
    image: Image, positions: Floats, amplitude: Floats, precision: Floats, terms: Floats, halo: float = 0.0
) -> None:
    """Add columns to an image.

    Parameters
    ----------
    image
        (ny, nx); columns are added to it.
    positions
        (n, 2), px, (y, x).
    amplitude, precision
        (n,), and (n, 3), px⁻², of the Gaussian that has the counts of the column.
    terms
        (3,), how all columns deviate from Gaussians; see :mod:`~stemdask.kernels.images.fitting.aberrations`.
    halo
        The part of their counts that lies in their halo.
    """
    if terms.any():
        render_shaped(image, positions, amplitude, precision, 1.0, terms)
    else:
        render(image, positions, amplitude, precision)
    if halo:
        spread = redistributed((image.shape[0], image.shape[1]), positions, amplitude, precision, terms)
        image += np.float32(halo) * spread


def redistributed(
    shape: tuple[int, int], positions: Floats, amplitude: Floats, precision: Floats, terms: Floats
) -> Image:
    """Return what a halo adds to the image of columns if all of their counts are in it, C·S - S.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    positions, amplitude, precision, terms
        As of :func:`add_columns`; those beyond the border too, as far as they are known. Still further out the mean
        goes on.
    """
    known = np.isfinite(positions).all(axis=1) & np.isfinite(amplitude) & np.isfinite(precision).all(axis=1)
    if not known.any():
        return np.zeros(shape, dtype=np.float32)
    positions, amplitude, precision = positions[known], amplitude[known], precision[known]
    reach = float(np.median(mean_width(precision))) * float(np.sqrt(WIDER**2 - 1.0))
    size, around = np.array(shape), int(np.ceil(_REACH * reach))
    canvas = np.zeros(tuple(size + 2 * around), dtype=np.float32)
    add_columns(canvas, positions + around, amplitude, precision, terms)
    sharp = canvas[around:-around, around:-around].copy()
    first = np.clip(np.floor(positions.min(axis=0)), -around, 0).astype(int) + around
    last = np.clip(np.ceil(positions.max(axis=0)) + 1, size, size + around).astype(int) + around
    for axis in (0, 1):
        drawn = np.zeros((canvas.shape[axis], 1), dtype=np.float32)
        drawn[first[axis] : last[axis]] = 1.0
        along = drawn if axis == 0 else drawn.T
        seen = range(around, around + size[axis])
        spread, part = (
            ndimage.gaussian_filter1d(image, reach, axis, mode="constant", truncate=_REACH).take(seen, axis)
            for image in (canvas * along, along)
        )
        canvas = spread / part
    return np.asarray(canvas - sharp, dtype=np.float32)
