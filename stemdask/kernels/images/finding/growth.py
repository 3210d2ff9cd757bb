"""Integer indices for the columns of a lattice, grown outwards from a seed.

Each indexed column looks for its four neighbours where its own local basis expects them. The local basis follows what
is measured on the way, so drift, bending and strain are no obstacle, and the cost is proportional to the number of
columns.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.compiled import kernel

#: Index of a column that belongs to no lattice.
UNINDEXED = np.iinfo(np.int32).min


@kernel
def _bins(positions: Floats, size: float) -> tuple[Integers, Integers, Integers, Floats]:
    """Sort points into square bins; returns start of each bin, order, shape of the grid and its origin."""
    origin = np.array([np.inf, np.inf])
    top = np.array([-np.inf, -np.inf])
    for k in range(len(positions)):
        for axis in range(2):
            origin[axis] = min(origin[axis], positions[k, axis])
            top[axis] = max(top[axis], positions[k, axis])
    shape = np.ones(2, np.int64)
    if len(positions):
        shape[0] = int((top[0] - origin[0]) / size) + 1
        shape[1] = int((top[1] - origin[1]) / size) + 1
    start = np.zeros(shape[0] * shape[1] + 1, np.int64)
    bins = np.empty(len(positions), np.int64)
    for k in range(len(positions)):
        bins[k] = int((positions[k, 0] - origin[0]) / size) * shape[1] + int((positions[k, 1] - origin[1]) / size)
        start[bins[k] + 1] += 1
    start = np.cumsum(start)
    fill = start[:-1].copy()
    order = np.empty(len(positions), np.int64)
    for k in range(len(positions)):
        order[fill[bins[k]]] = k
        fill[bins[k]] += 1
    return start, order, shape, origin


@kernel
def _nearest(
    positions: Floats,
    start: Integers,
    order: Integers,
    shape: Integers,
    origin: Floats,
    size: float,
    y: float,
    x: float,
) -> int:
    """Index of the point nearest to (y, x) within `size`, or -1."""
    by = int(np.floor((y - origin[0]) / size))
    bx = int(np.floor((x - origin[1]) / size))
    best = -1
    best_d2 = size * size
    for cy in range(max(by - 1, 0), min(by + 2, shape[0])):
        for cx in range(max(bx - 1, 0), min(bx + 2, shape[1])):
            cell = cy * shape[1] + cx
            for m in range(start[cell], start[cell + 1]):
                k = order[m]
                d2 = (positions[k, 0] - y) ** 2 + (positions[k, 1] - x) ** 2
                if d2 < best_d2:
                    best_d2 = d2
                    best = k
    return best


@kernel
def nearest_points(positions: Floats, queries: Floats, radius: float) -> Integers:
    """For each query the index of the nearest position within `radius`, or -1; cost proportional to the points."""
    found = np.full(len(queries), -1, np.int64)
    if len(positions) == 0:
        return found
    start, order, shape, origin = _bins(positions, radius)
    for q in range(len(queries)):
        if np.isfinite(queries[q, 0]) and np.isfinite(queries[q, 1]):
            found[q] = _nearest(positions, start, order, shape, origin, radius, queries[q, 0], queries[q, 1])
    return found


@kernel
def best_seed(
    positions: Floats,
    heights: Floats,
    candidates: Integers,
    a: Floats,
    b: Floats,
    tolerance: float,
) -> int:
    """Candidate whose eight lattice neighbours fit best and are as high as itself; -1 if none has six of them."""
    if len(positions) == 0:
        return -1
    start, order, shape, origin = _bins(positions, tolerance)
    best = -1
    best_score = 0.0
    for k in candidates:
        score = 0.0
        near = 0
        for n in range(-1, 2):
            for m in range(-1, 2):
                if n == 0 and m == 0:
                    continue
                y = positions[k, 0] + n * a[0] + m * b[0]
                x = positions[k, 1] + n * a[1] + m * b[1]
                q = _nearest(positions, start, order, shape, origin, tolerance, y, x)
                if q >= 0:
                    off = np.hypot(positions[q, 0] - y, positions[q, 1] - x) / tolerance
                    alike = min(heights[q], heights[k]) / max(heights[q], heights[k])
                    score += (1.0 - off) * max(alike, 0.0)
                    near += 1
        if near >= 6 and score > best_score:
            best_score = score
            best = k
    return best


@kernel
def grow(
    positions: Floats,
    heights: Floats,
    a: Floats,
    b: Floats,
    seed: int,
    tolerance: float,
    min_ratio: float,
) -> tuple[Integers32, Integers32]:
    """Give integer indices to the peaks that continue a lattice from its seed.

    Parameters
    ----------
    positions
        (n, 2), px, (y, x).
    heights
        (n,), height of each peak over its surroundings.
    a, b
        Lattice vectors near the seed, px, (y, x).
    seed
        Index of the peak that becomes (0, 0).
    tolerance
        Largest distance in px from where a neighbour is expected.
    min_ratio
        Lowest height of a neighbour, in units of the running mean of the heights on the way to it.

    Returns
    -------
    i, j
        (n,), int32; `UNINDEXED` where a peak is not part of the lattice. No two peaks share a pair.
    """
    n = len(positions)
    i = np.full(n, UNINDEXED, np.int32)
    j = np.full(n, UNINDEXED, np.int32)
    start, order, shape, origin = _bins(positions, tolerance)
    basis = np.zeros((n, 2, 2))
    level = np.zeros(n)
    queue = np.empty(n, np.int64)
    i[seed] = 0
    j[seed] = 0
    basis[seed, 0] = a
    basis[seed, 1] = b
    level[seed] = heights[seed]
    queue[0] = seed
    head, tail = 0, 1
    while head < tail:
        p = queue[head]
        head += 1
        for step in range(4):
            axis = step // 2
            sign = 1 - 2 * (step % 2)
            y = positions[p, 0] + sign * basis[p, axis, 0]
            x = positions[p, 1] + sign * basis[p, axis, 1]
            q = _nearest(positions, start, order, shape, origin, tolerance, y, x)
            if q < 0 or i[q] != UNINDEXED or not heights[q] >= min_ratio * level[p]:
                continue
            i[q] = i[p] + (sign if axis == 0 else 0)
            j[q] = j[p] + (sign if axis == 1 else 0)
            basis[q] = basis[p]
            for c in range(2):
                measured = sign * (positions[q, c] - positions[p, c])
                basis[q, axis, c] += 0.25 * (measured - basis[p, axis, c])
                # Pulled back gently, so that noise on the way can't add up to another lattice.
                basis[q, 0, c] += 0.05 * (a[c] - basis[q, 0, c])
                basis[q, 1, c] += 0.05 * (b[c] - basis[q, 1, c])
            level[q] = 0.8 * level[p] + 0.2 * heights[q]
            queue[tail] = q
            tail += 1
    _one_peak_per_index(i, j, queue[:tail])
    return i, j


@kernel
def _one_peak_per_index(i: Integers32, j: Integers32, order: Integers) -> None:
    """Keep, of peaks with the same indices, the one that was reached first."""
    low_i, low_j, high_i, high_j = 0, 0, 0, 0
    for k in order:
        low_i, high_i = min(low_i, i[k]), max(high_i, i[k])
        low_j, high_j = min(low_j, j[k]), max(high_j, j[k])
    taken = np.zeros((high_i - low_i + 1, high_j - low_j + 1), np.bool_)
    for k in order:
        if taken[i[k] - low_i, j[k] - low_j]:
            i[k] = UNINDEXED
            j[k] = UNINDEXED
        else:
            taken[i[k] - low_i, j[k] - low_j] = True
