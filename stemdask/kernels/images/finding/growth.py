"""Integer indices for the columns of a lattice, grown outwards from a seed.

Each indexed column looks for its four neighbours where its own local basis expects them. The local basis follows what
is measured on the way, so drift, bending and strain are no obstacle, and the cost is proportional to the number of
columns. Where missing columns cut the lattice into islands, growth begins again at columns that lie on sites a little
further off, until nothing more can be indexed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats, Integers, Integers32
from stemdask.kernels.compiled import kernel

#: Index of a column that belongs to no lattice.
UNINDEXED = np.iinfo(np.int32).min
#: Fewest of the eight neighbours of the first seed that are where they should be.
_FEWEST = 6
#: The seed of an island is expected on a site, so fewer neighbours tell it, but they must be nearer to theirs, in units
#: of the tolerance: maxima of noise seldom are.
_FEWEST_ON_SITE = 4
_NEAR = 0.5
#: Cells along each vector from an indexed column to the seed of an island: its basis is known well enough for these.
_REACH = 2


class _Bins(NamedTuple):
    """Points sorted into square bins, those of a row of bins after each other."""

    start: Integers
    """(bins + 1,), place in `order` of the first point of each."""
    order: Integers
    """(n,), number of each point before sorting."""
    shape: Integers
    origin: Floats
    size: float


class _Peaks(NamedTuple):
    positions: Floats
    heights: Floats
    bins: _Bins
    min_ratio: float


class _Growth(NamedTuple):
    """How far growth has come."""

    i: Integers32
    j: Integers32
    basis: Floats
    """(n, 2, 2), local vectors (a, b)."""
    level: Floats
    """(n,), running mean of the heights on the way to each peak."""
    reached: Booleans
    """(n,), also those that turned out to have the indices of another."""
    queue: Integers
    """(n,), peaks in the order in which they were reached."""


@kernel
def _bins(positions: Floats, size: float) -> _Bins:
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
    return _Bins(start, order, shape, origin, size)


@kernel
def _nearest(positions: Floats, bins: _Bins, y: float, x: float) -> int:
    """Index of the point nearest to (y, x) within the size of a bin, or -1."""
    start, order, shape, origin, size = bins
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
    bins = _bins(positions, radius)
    for q in range(len(queries)):
        if np.isfinite(queries[q, 0]) and np.isfinite(queries[q, 1]):
            found[q] = _nearest(positions, bins, queries[q, 0], queries[q, 1])
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
    bins = _bins(positions, tolerance)
    best = -1
    best_score = 0.0
    for k in candidates:
        near, score = _neighbours_in_place(positions, heights, bins, k, a, b, 1.0)
        if near >= _FEWEST and score > best_score:
            best_score = score
            best = k
    return best


@kernel
def _neighbours_in_place(
    positions: Floats, heights: Floats, bins: _Bins, k: int, a: Floats, b: Floats, within: float
) -> tuple[int, float]:
    """Return how many of the eight lattice neighbours of peak k are there, and how well and how alike they are.

    They count up to a distance of `within` sizes of a bin, at most 1, from where they should be.
    """
    near, score = 0, 0.0
    for n in range(-1, 2):
        for m in range(-1, 2):
            if n == 0 and m == 0:
                continue
            y = positions[k, 0] + n * a[0] + m * b[0]
            x = positions[k, 1] + n * a[1] + m * b[1]
            q = _nearest(positions, bins, y, x)
            if q >= 0:
                off = np.hypot(positions[q, 0] - y, positions[q, 1] - x) / bins.size
                alike = min(heights[q], heights[k]) / max(heights[q], heights[k])
                score += (1.0 - off) * max(alike, 0.0)
                near += off <= within
    return near, score


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
    peaks = _Peaks(positions, heights, _bins(positions, tolerance), min_ratio)
    i, j = np.full(n, UNINDEXED, np.int32), np.full(n, UNINDEXED, np.int32)
    grown = _Growth(i, j, np.zeros((n, 2, 2)), np.zeros(n), np.zeros(n, np.bool_), np.empty(n, np.int64))
    i[seed] = j[seed] = 0
    grown.basis[seed, 0], grown.basis[seed, 1] = a, b
    grown.level[seed], grown.reached[seed], grown.queue[0] = heights[seed], True, seed
    head, tail = 0, 1
    while head < tail:
        head, tail = tail, _spread(peaks, grown, head, tail, a, b)
        _one_peak_per_index(i, j, grown.queue[:tail])
        head, tail = tail, _seed_islands(peaks, grown, tail)
    return i, j


@kernel
def _spread(peaks: _Peaks, grown: _Growth, head: int, tail: int, a: Floats, b: Floats) -> int:
    """Grow from ``queue[head:tail]`` until no neighbour follows; return the new end of the queue."""
    positions, heights, bins, min_ratio = peaks
    i, j, basis, level, reached, queue = grown
    while head < tail:
        p = queue[head]
        head += 1
        for step in range(4):
            axis = step // 2
            sign = 1 - 2 * (step % 2)
            y = positions[p, 0] + sign * basis[p, axis, 0]
            x = positions[p, 1] + sign * basis[p, axis, 1]
            q = _nearest(positions, bins, y, x)
            if q < 0 or reached[q] or not heights[q] >= min_ratio * level[p]:
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
            reached[q] = True
            queue[tail] = q
            tail += 1
    return tail


@kernel
def _seed_islands(peaks: _Peaks, grown: _Growth, tail: int) -> int:
    """Index peaks on free sites near the columns of ``queue[:tail]``; return the new end of the queue.

    A seed needs neighbours like the first one, by the basis of the column that expects it: maxima of another grain, of
    another sublattice or of noise have none.
    """
    positions, heights, bins, min_ratio = peaks
    i, j, basis, level, reached, queue = grown
    taken, low_i, low_j = _taken(i, j, queue[:tail], _REACH)
    end = tail
    for p in queue[:tail]:
        if i[p] == UNINDEXED:
            continue
        for n in range(-_REACH, _REACH + 1):
            for m in range(-_REACH, _REACH + 1):
                if taken[i[p] + n - low_i, j[p] + m - low_j]:
                    continue
                y = positions[p, 0] + n * basis[p, 0, 0] + m * basis[p, 1, 0]
                x = positions[p, 1] + n * basis[p, 0, 1] + m * basis[p, 1, 1]
                q = _nearest(positions, bins, y, x)
                if q < 0 or reached[q] or not heights[q] >= min_ratio * level[p]:
                    continue
                if np.hypot(positions[q, 0] - y, positions[q, 1] - x) > _NEAR * bins.size:
                    continue
                near, _ = _neighbours_in_place(positions, heights, bins, q, basis[p, 0], basis[p, 1], _NEAR)
                if near >= _FEWEST_ON_SITE:
                    i[q], j[q] = i[p] + n, j[p] + m
                    basis[q], level[q] = basis[p], level[p]
                    reached[q], taken[i[q] - low_i, j[q] - low_j] = True, True
                    queue[end] = q
                    end += 1
    return end


@kernel
def _taken(i: Integers32, j: Integers32, peaks: Integers, margin: int) -> tuple[Booleans, int, int]:
    """Return which pairs of indices some peaks have, with a margin around them, and the pair at its corner."""
    low_i, low_j, high_i, high_j = 0, 0, 0, 0
    for k in peaks:
        if i[k] != UNINDEXED:
            low_i, high_i = min(low_i, i[k]), max(high_i, i[k])
            low_j, high_j = min(low_j, j[k]), max(high_j, j[k])
    low_i, low_j = low_i - margin, low_j - margin
    taken = np.zeros((high_i + margin - low_i + 1, high_j + margin - low_j + 1), np.bool_)
    for k in peaks:
        if i[k] != UNINDEXED:
            taken[i[k] - low_i, j[k] - low_j] = True
    return taken, low_i, low_j


@kernel
def _one_peak_per_index(i: Integers32, j: Integers32, order: Integers) -> None:
    """Keep, of peaks with the same indices, the one that was reached first."""
    taken, low_i, low_j = _taken(i, j, order, 0)
    taken[:] = False
    for k in order:
        if i[k] == UNINDEXED:
            continue
        if taken[i[k] - low_i, j[k] - low_j]:
            i[k] = UNINDEXED
            j[k] = UNINDEXED
        else:
            taken[i[k] - low_i, j[k] - low_j] = True
