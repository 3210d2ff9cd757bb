"""What a fit leaves over, as far as a column could take it for a move of its own.

Contamination, a column that the model doesn't know, or the edge of a hole moves the columns around it by what noise
alone would not. They have settled, so nothing of it is left at their own places; but beside them the same structure is.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.special import chdtri, ndtr

from stemdask.kernels.arrays import Floats, Image, Indices
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.trust import usual_misfit

#: How far around a column is looked, in distances between neighbours.
_REACH = 0.6
#: A ratio is believed that noise makes of less than this part of the columns (_SURELY), and, within so many distances
#: of such a column (_BESIDE), one that it makes of less than _CHANCE.
_CHANCE, _SURELY, _BESIDE = 0.05, 1e-5, 2.0


def as_moves(
    image: Image,
    model: Image,
    weight: Image,
    positions: Floats,
    amplitude: Floats,
    sublattice: Indices,
    width: float,
    distance: float,
) -> Floats:
    """Return how many times larger than around most columns is what could be taken for a move of each.

    The residual is compared with the derivatives of a column at every place, as a fit compares it at one; the squares
    are averaged around each column.

    Parameters
    ----------
    image, model, weight
        (y, x): pixels, what is known of them, and one over their variance; 0 where a pixel doesn't count.
    positions, amplitude, sublattice
        (n, 2), px; (n,); (n,), from 0 up: columns are compared with those of their sublattice.
    width
        Of the columns, px.
    distance
        Between neighbouring columns, px.

    Returns
    -------
    Floats
        (n,), ratios of variances; 1 where it isn't more than chance may make of it.
    """
    # Averages are as good of tiles: of the residual within a width, of the squares within what is averaged over.
    side, reach = max(int(width / 1.25), 1), _REACH * distance
    sums = np.zeros((2, *(-(-n // side) for n in image.shape)), np.float32)
    _sum_tiles(image, model, weight, side, sums)
    moves = [_smooth(sums[0], width / side, along) ** 2 for along in ((1, 0), (0, 1))]
    coarse = max(int(reach / 1.5 / side), 1)
    tile = coarse * side
    squares = _smooth(_summed(moves[0] + moves[1], coarse), reach / tile)
    told = _smooth(_summed(sums[1], coarse), np.hypot(reach, width / np.sqrt(2.0)) / tile)
    row, column = np.clip(positions // tile, 0, np.array(squares.shape) - 1).astype(np.intp).T
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (squares / told)[row, column].astype(np.float64)
        height = np.square(amplitude)
        out = np.ones(len(positions))
        for kind in np.unique(sublattice):
            of = np.flatnonzero(sublattice == kind)
            out[of] = found[of] / usual_misfit(found[of], height[of], height[of])
    # A mean of squares varies as that of so many independent ones; at the border it is of fewer.
    before, after = (ndtr((edge - positions) / reach) for edge in (np.zeros(2), np.array(image.shape)))
    independent = 4.0 * (reach / width) ** 2 * (after - before).prod(axis=1)
    may_be, surely = (chdtri(independent, chance) / independent for chance in (_CHANCE, _SURELY))
    sure = positions[out > surely]
    if not len(sure):
        return np.ones(len(positions))
    beside = cKDTree(sure).query(positions)[0] < _BESIDE * distance
    return np.where(beside & (out > may_be), out, 1.0)


def _smooth(values: Image, sigma: float, along: tuple[int, int] = (0, 0)) -> Image:
    return np.asarray(gaussian_filter(values, sigma, along, mode="constant"))


def _summed(values: Image, side: int) -> Image:
    """Return the sums over tiles of `side` × `side`."""
    starts = [np.arange(0, n, side) for n in values.shape]
    return np.asarray(np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1))


@kernel
def _sum_tiles(image: Image, model: Image, weight: Image, side: int, sums: Image) -> None:
    """Add residual/variance, and one over the variance, to tiles of `side` px."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            if weight[row, column] > 0.0:
                sums[0, row // side, column // side] += (image[row, column] - model[row, column]) * weight[row, column]
                sums[1, row // side, column // side] += weight[row, column]
