"""Where a column of the lattice should be, judged from its neighbours: the local affine prediction.

Indexed columns are laid out on their index grid, an array (ni, nj, 2) of positions with NaN where a column is missing.
Everything here is local in that grid, so it costs time and memory in proportion to the number of columns.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.finding.growth import UNINDEXED

_REACH = 2
_WIDTH = 1.2
#: How strongly a local gradient is held to zero, in units of one neighbour at distance 1.
_STIFFNESS = 0.3
_GATE = 0.45
#: Columns less than so many cells away support a site.
SUPPORT_REACH = 1.5


def to_grid(positions: Floats, i: Integers32, j: Integers32, padding: int = 0) -> tuple[Floats, int, int]:
    """Lay indexed columns out on their index grid.

    Parameters
    ----------
    positions
        (n, 2), px, (y, x).
    i, j
        (n,), indices; columns with `UNINDEXED` are left out.
    padding
        Empty cells to add on each side.

    Returns
    -------
    grid
        (ni, nj, 2), px, NaN where there is no column.
    i0, j0
        Indices of ``grid[0, 0]``.
    """
    part = i != UNINDEXED
    if not part.any():
        return np.full((0, 0, 2), np.nan), 0, 0
    i0, j0 = int(i[part].min()) - padding, int(j[part].min()) - padding
    shape = (int(i[part].max()) - i0 + 1 + padding, int(j[part].max()) - j0 + 1 + padding, 2)
    grid = np.full(shape, np.nan)
    grid[i[part] - i0, j[part] - j0] = positions[part]
    return grid, i0, j0


@kernel
def predict_sites(
    grid: Floats,
    a: Floats,
    b: Floats,
    offset: Floats,
    without_itself: bool,
) -> tuple[Floats, Integers]:
    """Predict the site at ``(i, j) + offset`` of every cell from the columns around it.

    The deviations from the mean lattice of the columns within two cells are fitted by an affine function, weighted by a
    Gaussian of 1.2 cells, with the gradient held gently to zero where there are few of them. Columns that are off by
    almost a lattice vector from what the nearest one says belong to the other side of a dislocation, and don't count.

    Parameters
    ----------
    grid
        (ni, nj, 2), px, NaN where a column is missing.
    a, b
        Mean lattice vectors, px, (y, x).
    offset
        (2,), fractional position of the site in the cell, along (a, b).
    without_itself
        Leave out the column of the same indices, to judge it by the others; sites without a column get no prediction.

    Returns
    -------
    sites
        (ni, nj, 2), px; NaN without at least two columns around.
    support
        (ni, nj), number of columns less than 1.5 cells away.
    """
    ni, nj, _ = grid.shape
    sites = np.full((ni, nj, 2), np.nan)
    support = np.zeros((ni, nj), np.int64)
    base_i = int(np.floor(offset[0] + 0.5))
    base_j = int(np.floor(offset[1] + 0.5))
    gate2 = _GATE * _GATE * min(a[0] * a[0] + a[1] * a[1], b[0] * b[0] + b[1] * b[1])
    for i in range(ni):
        for j in range(nj):
            s00 = s01 = s02 = s11 = s12 = s22 = 0.0
            r = np.zeros((3, 2))
            count = 0
            near_y, near_x, near_d2 = np.nan, np.nan, np.inf
            for m in range(max(i + base_i - _REACH, 0), min(i + base_i + _REACH + 1, ni)):
                for n in range(max(j + base_j - _REACH, 0), min(j + base_j + _REACH + 1, nj)):
                    di = m - i - offset[0]
                    dj = n - j - offset[1]
                    d2 = di * di + dj * dj
                    if np.isfinite(grid[m, n, 0]) and d2 < near_d2 and (not without_itself or (m == i and n == j)):
                        near_d2 = d2
                        near_y = grid[m, n, 0] - di * a[0] - dj * b[0]
                        near_x = grid[m, n, 1] - di * a[1] - dj * b[1]
            if not np.isfinite(near_y):
                continue
            for m in range(max(i + base_i - _REACH, 0), min(i + base_i + _REACH + 1, ni)):
                for n in range(max(j + base_j - _REACH, 0), min(j + base_j + _REACH + 1, nj)):
                    if not np.isfinite(grid[m, n, 0]) or (without_itself and m == i and n == j):
                        continue
                    di = m - i - offset[0]
                    dj = n - j - offset[1]
                    d2 = di * di + dj * dj
                    off_y = grid[m, n, 0] - di * a[0] - dj * b[0] - near_y
                    off_x = grid[m, n, 1] - di * a[1] - dj * b[1] - near_x
                    if off_y * off_y + off_x * off_x > gate2:
                        continue
                    w = np.exp(-0.5 * d2 / (_WIDTH * _WIDTH))
                    count += 1
                    if d2 < SUPPORT_REACH * SUPPORT_REACH:
                        support[i, j] += 1
                    s00 += w
                    s01 += w * di
                    s02 += w * dj
                    s11 += w * di * di
                    s12 += w * di * dj
                    s22 += w * dj * dj
                    for c in range(2):
                        deviation = grid[m, n, c] - di * a[c] - dj * b[c]
                        r[0, c] += w * deviation
                        r[1, c] += w * di * deviation
                        r[2, c] += w * dj * deviation
            if count < 2:
                continue
            s11 += _STIFFNESS
            s22 += _STIFFNESS
            # Deviations are taken about the target, so that holding the gradient doesn't pull the site itself.
            m00 = s11 * s22 - s12 * s12
            m01 = s12 * s02 - s01 * s22
            m02 = s01 * s12 - s11 * s02
            determinant = s00 * m00 + s01 * m01 + s02 * m02
            for c in range(2):
                sites[i, j, c] = (m00 * r[0, c] + m01 * r[1, c] + m02 * r[2, c]) / determinant
    return sites, support
