"""The intensity of each column's Voronoi cell: every pixel belongs to the column that is nearest to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from stemdask.kernels.arrays import AnyFloats, Floats, Integers
from stemdask.kernels.compiled import kernel

#: Cells end this far from their column, in units of the usual distance of neighbours; those of a honeycomb reach 1.0.
_REACH = 1.05
#: A cell that extends to this part of its reach isn't closed by neighbours.
_OPEN = 0.97


class Cells(NamedTuple):
    """What the Voronoi cell of each column holds."""

    total: Floats
    """(n,), sum of the pixels; NaN where the cell is cut by the border, lacks a neighbour there, or misses a pixel."""
    n_pixels: Integers
    """(n,)"""


def voronoi_cells(image: AnyFloats, positions: Floats) -> Cells:
    """Sum the pixels of each column's Voronoi cell.

    Parameters
    ----------
    image
        (ny, nx); missing pixels are NaN.
    positions
        (n, 2), px, (y, x); a column without a position (NaN) has no cell.

    Notes
    -----
    A cell next to vacuum is bounded by a circle of 1.05 times the usual distance of neighbours. A pixel equally far
    from two columns belongs to the first of them.

    Examples
    --------
    >>> positions = np.array([[y, x] for y in (5.0, 15, 25) for x in (5.0, 15, 25)])
    >>> int(voronoi_cells(np.ones((30, 30)), positions).n_pixels[4])
    100
    """
    known = np.isfinite(positions).all(axis=1)
    total = np.full(len(positions), np.nan)
    n_pixels = np.zeros(len(positions), dtype=np.int64)
    if known.sum() < 2:
        return Cells(total, n_pixels)
    at = np.ascontiguousarray(positions[known])
    distance = KDTree(at).query(at, k=2)[0][:, 1]
    reach = _REACH * float(np.median(distance))
    total[known], n_pixels[known] = _sums(np.ascontiguousarray(image), at, reach)
    return Cells(total, n_pixels)


@kernel
def _sums(image: AnyFloats, positions: Floats, reach: float) -> tuple[Floats, Integers]:
    ny, nx = image.shape
    nearest = np.full((ny, nx), np.float32(np.inf), dtype=np.float32)
    owner = np.full((ny, nx), -1, dtype=np.int32)
    for k in range(len(positions)):
        y, x = positions[k]
        for row in range(max(0, int(np.ceil(y - reach))), min(ny, int(np.floor(y + reach)) + 1)):
            for col in range(max(0, int(np.ceil(x - reach))), min(nx, int(np.floor(x + reach)) + 1)):
                squared = np.float32((row - y) ** 2 + (col - x) ** 2)
                if squared <= reach * reach and squared < nearest[row, col]:
                    nearest[row, col] = squared
                    owner[row, col] = k
    total = np.zeros(len(positions))
    n_pixels = np.zeros(len(positions), dtype=np.int64)
    open_squared = (_OPEN * reach) ** 2
    for row in range(ny):
        for col in range(nx):
            k = owner[row, col]
            if k < 0:
                continue
            n_pixels[k] += 1
            y, x = positions[k]
            beside = min(y, x, ny - 1 - y, nx - 1 - x) < reach
            if row == 0 or col == 0 or row == ny - 1 or col == nx - 1 or (beside and nearest[row, col] > open_squared):
                total[k] = np.nan
            else:
                total[k] += image[row, col]
    for k in range(len(positions)):
        if n_pixels[k] == 0:
            total[k] = np.nan
    return total, n_pixels
