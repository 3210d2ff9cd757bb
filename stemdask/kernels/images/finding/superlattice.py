"""Where columns of two kinds are nearly equally bright: a cell that is larger than it looks."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from stemdask.kernels.arrays import Floats

#: Smallest alternation of the heights, relative to them.
ALTERNATION = 0.03
#: Smallest alternation in units of its standard error.
SIGNIFICANCE = 6.0


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
    if use.sum() < 16:
        return (1, 0), (0, 1)
    difference = grid_heights[use] / around[use] - 1.0
    i, j = np.nonzero(use)
    spread = float(np.std(difference)) / np.sqrt(use.sum())
    alternates = []
    for parity in (i % 2, j % 2, (i + j) % 2):
        amplitude = abs(float(np.mean(difference * (1 - 2 * parity))))
        # What is left when the alternation itself is taken out of the spread.
        left = np.sqrt(max(spread**2 - amplitude**2 / use.sum(), 1e-12))
        alternates.append(amplitude > ALTERNATION and amplitude > SIGNIFICANCE * left)
    if sum(alternates) > 1:
        return (2, 0), (0, 2)
    if alternates[0]:
        return (2, 0), (0, 1)
    if alternates[1]:
        return (1, 0), (0, 2)
    if alternates[2]:
        return (1, 1), (-1, 1)
    return (1, 0), (0, 1)
