"""Which columns overlap: pairs near enough for one's tail to carry information about the other."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Indices, Integers, Integers32
from stemdask.kernels.compiled import kernel

_TILE = 64.0


def tile_order(positions: Floats) -> Indices:
    """Return the order of columns (n, 2) along tiles of 64 px, in which the pixels of neighbours stay in the cache."""
    tiles = np.floor(positions / _TILE)
    return np.lexsort((positions[:, 1], tiles[:, 1], tiles[:, 0]))


def overlapping_pairs(positions: Floats, reach: Floats) -> Integers32:
    """Return all pairs of columns nearer to each other than the sum of their reaches.

    Parameters
    ----------
    positions
        (n, 2), px, finite.
    reach
        (n,), px.

    Returns
    -------
    Integers32
        (pairs, 2), the lower index first, sorted.
    """
    if len(positions) < 2:
        return np.empty((0, 2), np.int32)
    cell = max(2.0 * float(reach.max()), 1e-6)
    low = positions.min(axis=0)
    # Cells never outnumber the columns by much: a lone column far away must not cost memory.
    cell = max(cell, float(np.sqrt(np.prod(np.ptp(positions, axis=0) + cell) / (4.0 * len(positions) + 64.0))))
    cells = np.floor((positions - low) / cell).astype(np.int64)
    columns = int(cells[:, 1].max()) + 1
    flat = cells[:, 0] * columns + cells[:, 1]
    order = np.argsort(flat, kind="stable")
    start = np.searchsorted(flat[order], np.arange((int(cells[:, 0].max()) + 1) * columns + 1))
    pairs = np.empty((6 * len(positions), 2), np.int32)
    found = _pairs(positions, reach, cells, order, start, columns, pairs)
    if found > len(pairs):
        pairs = np.empty((found, 2), np.int32)
        _pairs(positions, reach, cells, order, start, columns, pairs)
    return pairs[:found]


@kernel
def _pairs(
    positions: Floats,
    reach: Floats,
    cells: Integers,
    order: Indices,
    start: Indices,
    columns: int,
    pairs: Integers32,
) -> int:
    """Fill `pairs` as far as it goes and return how many there are."""
    rows = (len(start) - 1) // columns
    found = 0
    for k in range(len(positions)):
        first = found
        for row in range(max(0, cells[k, 0] - 1), min(rows, cells[k, 0] + 2)):
            begin = start[row * columns + max(0, cells[k, 1] - 1)]
            end = start[row * columns + min(columns - 1, cells[k, 1] + 1) + 1]
            for s in range(begin, end):
                other = order[s]
                if other <= k:
                    continue
                dy, dx = positions[k, 0] - positions[other, 0], positions[k, 1] - positions[other, 1]
                limit = reach[k] + reach[other]
                if dy * dy + dx * dx < limit * limit:
                    if found < len(pairs):
                        place = found
                        while place > first and pairs[place - 1, 1] > other:
                            pairs[place, 0], pairs[place, 1] = pairs[place - 1, 0], pairs[place - 1, 1]
                            place -= 1
                        pairs[place, 0], pairs[place, 1] = k, other
                    found += 1
    return found
