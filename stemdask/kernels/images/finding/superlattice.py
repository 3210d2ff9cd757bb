"""Where columns of two kinds are nearly equally bright: a cell that is larger than it looks.

Columns are not independent: a row of another material at an interface, a step of the thickness or a bent crystal raises
many of them at once, and may make an alternation of many standard errors out of one place; layers of an odd number of
rows make one everywhere, but not in every row. A larger cell must alternate everywhere: in each block of the image, in
each row and in each column of cells. Where it doesn't, there are regions of different brightness in one lattice.

Or the bright columns are all alike and others tell the cell: those of oxygen in rutile lie along one diagonal about
every second column of titanium, and along the other about the rest. The mean of all cells then shows half a column at
each of these places, where there is none.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from stemdask.kernels.arrays import Floats, Image, Integers
from stemdask.kernels.images.finding.motif import bending, hills, mean_cell

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
#: Lowest curvature of a column in the mean of every second cell, in units of the highest and of its standard error. The
#: mean of the others is bent the other way there: columns would have to be displaced by more than their width for that.
_CURVATURE, _CLEAR = 0.02, 8.0
#: Width of the Gaussian under the Laplacian, in units of the shorter vector.
_SMOOTHING = 0.06


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
    return _doubled(doubled)


def find_alternating_columns(
    image: Image, grid: Floats, a: Floats, b: Floats
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Tell whether some columns are there in every second cell alone.

    Parameters
    ----------
    image
        (ny, nx).
    grid
        (ni, nj, 2), px, corners of the cells, NaN where one is missing.
    a, b
        Lattice vectors, px, (y, x).

    Returns
    -------
    new_a, new_b
        As those of :func:`find_superlattice`.
    """
    i, j = np.indices((grid.shape[0] - 1, grid.shape[1] - 1))
    samples = tuple(int(np.clip(round(float(np.hypot(*vector))), 12, 48)) for vector in (a, b))
    doubled = []
    for parity in (i % 2, j % 2, (i + j) % 2):
        halves = [mean_cell(image, grid, (samples[0], samples[1]), parity == which) for which in (0, 1)]
        doubled.append(all(np.isfinite(cell).all() for cell, _ in halves) and _differ(halves, a, b))
    return _doubled(doubled)


def _doubled(along: list[bool]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the cell of which something alternates along a, along b, and as on a chessboard."""
    if sum(along) > 1:
        return (2, 0), (0, 2)
    if along[0]:
        return (2, 0), (0, 1)
    if along[1]:
        return (1, 0), (0, 2)
    if along[2]:
        return (1, 1), (-1, 1)
    return (1, 0), (0, 1)


def _differ(halves: list[tuple[Floats, float]], a: Floats, b: Floats) -> bool:
    """Tell whether one of two mean cells has a column where the other has none."""
    short = float(min(np.hypot(*a), np.hypot(*b)))
    (one, noise), (other, more) = (bending(cell, error, a, b, _SMOOTHING * short) for cell, error in halves)
    least = max(_CURVATURE * max(float(one.max()), float(other.max())), _CLEAR * float(np.hypot(noise, more)))
    for there, away in ((one, other), (other, one)):
        pixels = np.round(hills(there, least) * there.shape).astype(np.int64)
        if (away[tuple(pixels.T)] < 0.0).any():
            return True
    return False


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
