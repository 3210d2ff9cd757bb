"""Where columns of two kinds are nearly equally bright: a cell that is larger than it looks.

Columns are not independent: a row of another material at an interface, a step of the thickness or a bent crystal raises
many of them at once, and may make an alternation of many standard errors out of one place; layers of an odd number of
rows make one everywhere, but not in every row. A larger cell must alternate everywhere: in each block of the image, in
each row and in each column of cells. Where it doesn't, there are regions of different brightness in one lattice.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from stemdask.kernels.arrays import Floats, Integers

#: Smallest alternation of the heights, relative to them.
ALTERNATION = 0.03
#: Smallest alternation in units of its standard error.
SIGNIFICANCE = 6.0
#: Smallest alternation in units of the deviation that is left. Columns that are uneven without order, of which a few
#: happen to repeat, alternate by less.
_ORDER = 0.5
#: Columns of a block; blocks along a side, at most.
_COLUMNS = 16
_MOST_BLOCKS = 6
#: Least part of the mean alternation that a part of the image shows, but for so many of its standard errors, and how
#: many of the parts may show less: a hole, a defect.
_SHOWN, _ERRORS = 0.5, 2.0
_EXCEPT = 0.1


def find_superlattice(grid_heights: Floats) -> tuple[tuple[int, int], tuple[int, int]]:
    """Tell whether the heights of the columns alternate from cell to cell, as where A and B are nearly equally bright.

    The relative difference of each column from the mean of its eight neighbours is tested for each of the three
    alternations with twice the cell: along a, along b, and as on a chessboard.

    Parameters
    ----------
    grid_heights
        (ni, nj), NaN where a column is missing.

    Returns
    -------
    new_a, new_b
        The vectors of the true cell as combinations (along a, along b); ((1, 0), (0, 1)) where nothing alternates.
    """
    known = np.isfinite(grid_heights)
    filled = np.where(known, grid_heights, 0.0)
    kernel = np.ones((3, 3))
    kernel[1, 1] = 0.0
    weight = ndimage.convolve(known.astype(float), kernel, mode="constant")
    around = ndimage.convolve(filled, kernel, mode="constant") / np.maximum(weight, 1.0)
    use = known & (weight == 8) & (around > 0)
    if use.sum() < _COLUMNS:
        return (1, 0), (0, 1)
    difference = grid_heights[use] / around[use] - 1.0
    i, j = np.nonzero(use)
    parts = (i, j, _blocks(i, j))
    doubled = [_alternates(difference * (1 - 2 * parity), parts) for parity in (i % 2, j % 2, (i + j) % 2)]
    if sum(doubled) > 1:
        return (2, 0), (0, 2)
    if doubled[0]:
        return (2, 0), (0, 1)
    if doubled[1]:
        return (1, 0), (0, 2)
    if doubled[2]:
        return (1, 1), (-1, 1)
    return (1, 0), (0, 1)


def _blocks(i: Integers, j: Integers) -> Integers:
    """Return the number of the block of each column (n,): equal parts of the grid along both of its sides."""
    side = int(np.clip(np.sqrt(len(i) / _COLUMNS), 1, _MOST_BLOCKS))
    part = [np.minimum((of - of.min()) * side // (np.ptp(of) + 1), side - 1) for of in (i, j)]
    return np.asarray(part[0] * side + part[1])


def _alternates(signed: Floats, parts: tuple[Integers, ...]) -> bool:
    """Tell whether differences (n,), of alternating sign made equal, have one mean, and have it in every part.

    `parts` are divisions of the image, each as the number of the part (n,) that a column belongs to.
    """
    mean, deviation = float(signed.mean()), float(signed.std())
    error = deviation / np.sqrt(len(signed))
    if abs(mean) < max(ALTERNATION, SIGNIFICANCE * error, _ORDER * deviation):
        return False
    for part in parts:
        count = np.bincount(part)
        whole = count >= _COLUMNS // 2
        means = np.bincount(part, signed)[whole] / count[whole]
        errors = np.sqrt(np.maximum(np.bincount(part, signed**2)[whole] / count[whole] - means**2, 0.0) / count[whole])
        short = means * np.sign(mean) < _SHOWN * abs(mean) - _ERRORS * errors
        if np.count_nonzero(short) > _EXCEPT * len(means):
            return False
    return True
