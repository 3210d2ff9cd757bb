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
#: How far the level may be from a smooth field in all but a part of the cells, in units of the columns' height: 0.02 in
#: clean images, 0.1 with contamination everywhere.
_OFTEN, _REST = 0.05, 10.0
#: The same of a single spot, and in units of the median: 4 to 5 in clean images, 8 at the rim of a boundary, 16 and
#: more for a spot 0.3 times as high as the columns that is wider than half of their distance.
_SOMEWHERE, _OUTSTANDING = 0.08, 12.0
#: Fewest cells that tell; a cell that is farther from the field than so many standard deviations doesn't make it.
_FEWEST, _STANDS_OUT, _FIELD_FITS = 16, 3.0, 6
#: Standard deviation of normal deviates over the median of their sizes.
_NORMAL = 1.48


def unevenness(image: Image, positions: Floats, spacing: float, smooth: SmoothBasis) -> float:
    """Return how far the level between the columns is from any smooth field, in a tenth of the cells or a spot.

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
        More than 1 where no smooth field is the level.
    """
    off = _off_the_field(image, positions, spacing, smooth)
    if not len(off):
        return 0.0
    often, most = np.percentile(off, [100.0 - _REST, 100.0])
    return float(max(often / _OFTEN, most / max(_SOMEWHERE, _OUTSTANDING * float(np.median(off)))))


def _off_the_field(image: Image, positions: Floats, spacing: float, smooth: SmoothBasis) -> Floats:
    """Return how far the level around each cell is from the field, in units of the columns' height."""
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
        return np.empty(0)
    level, top = np.percentile(tiles[counts], [_LEVEL, _TOP], axis=1)
    height = float(np.median(top - level))
    if height <= 0.0:
        return np.empty(0)
    places: Floats = np.asarray((np.argwhere(counts) + 0.5) * side - 0.5, np.float64)
    off = np.zeros(counts.shape)
    off[counts] = _without_a_field(np.asarray(level, np.float64) / height, places, smooth)
    known = uniform_filter(counts.astype(np.float64), 3, mode="constant")
    return np.asarray(np.abs(uniform_filter(off, 3, mode="constant")[counts] / known[counts]))


def _without_a_field(level: Floats, places: Floats, smooth: SmoothBasis) -> Floats:
    """Return levels (n,) without the smooth field that most of them show."""
    used, rest = np.ones(len(level), np.bool_), level
    for _ in range(_FIELD_FITS):
        rest = level - smooth.values(smooth.fit(level[used], places[used]), places)
        usual = _STANDS_OUT * _NORMAL * float(np.median(np.abs(rest)))
        now = np.abs(rest) <= max(_OFTEN, usual)
        if np.count_nonzero(now) < _FEWEST or np.array_equal(now, used):
            break
        used = now
    return rest
