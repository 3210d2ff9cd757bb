"""How fast the level between the columns changes: by contamination, the edge of a film, an afterglow.

A background that can't follow it is made up for by what it can be mistaken for, wide columns with long tails, and
these bend the displacements of all columns: with six contamination spots one to three distances wide in a simulated
perovskite the slope was 0.5 to 0.9, and is 1.00 with knots near enough. Knots that near where none are needed only cost
time. So the image is asked first, by its dark pixels alone, before any column is fitted.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.images.fitting.smooth import SmoothBasis

#: The level between columns, and their tops, as percentiles of the pixels of a cell.
_LEVEL, _TOP = 25.0, 97.0
#: Part of the cells in which the level may be further from a smooth field, and fewest cells that tell.
_REST, _FEWEST = 10.0, 16


def unevenness(image: Image, positions: Floats, spacing: float, smooth: SmoothBasis) -> float:
    """Return how far the level between the columns is from the smooth field that comes nearest to it.

    Parameters
    ----------
    image
        (y, x); NaN where a pixel is missing.
    positions
        (n, 2), px: only cells with columns count.
    spacing
        Side of a cell, px.
    smooth
        What the field may be.

    Returns
    -------
    float
        In units of the columns' height; exceeded in a tenth of the cells. 0 where there are hardly any.
    """
    side = max(round(spacing), 4)
    rows, columns = image.shape[0] // side, image.shape[1] // side
    index = np.floor((positions + 0.5) / side).astype(np.int64)
    index = index[((index >= 0) & (index < [rows, columns])).all(axis=1)]
    cut = image[: rows * side, : columns * side].reshape(rows, side, columns, side)
    tiles = cut.swapaxes(1, 2).reshape(rows, columns, side * side)
    counts = np.zeros((rows, columns), np.bool_)
    counts[index[:, 0], index[:, 1]] = True
    counts &= np.isfinite(tiles).all(axis=2)
    if np.count_nonzero(counts) < _FEWEST:
        return 0.0
    level, top = np.percentile(tiles[counts], [_LEVEL, _TOP], axis=1)
    height = float(np.median(top - level))
    places: Floats = np.asarray((np.argwhere(counts) + 0.5) * side - 0.5, np.float64)
    off = np.zeros(counts.shape)
    off[counts] = level - smooth.values(smooth.fit(level.astype(np.float64), places), places)
    known = uniform_filter(counts.astype(np.float64), 3, mode="constant")
    mean = uniform_filter(off, 3, mode="constant")[counts] / known[counts]
    return float(np.percentile(np.abs(mean), 100.0 - _REST)) / height if height > 0.0 else 0.0
