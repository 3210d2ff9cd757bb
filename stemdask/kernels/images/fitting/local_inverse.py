"""The covariance of positions from the normal matrix: of each column, and of each pair whose tails overlap.

These are blocks of the inverse of a matrix that is too large to be inverted. What is known of a column far away hardly
matters to a column here, so each column is taken with those that overlap it. Columns that overlap these, but not the
one in the middle, are eliminated as if they overlapped nothing else; the small matrix that is left is solved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats, Indices, Integers32
from stemdask.kernels.compiled import kernel

#: A column is taken with so many others, at most; where columns can be told apart they have a dozen.
_MOST = 16


class Overlaps(NamedTuple):
    """Overlapping pairs, listed column by column.

    Attributes
    ----------
    start
        (n + 1,), where each column's list begins.
    other, pair
        (2p,), the column that it overlaps, and the number of the pair.
    """

    start: Indices
    other: Indices
    pair: Indices


@kernel
def list_overlaps(pairs: Integers32, n: int) -> Overlaps:
    """List pairs (p, 2) of n columns column by column."""
    start = np.zeros(n + 1, np.intp)
    for p in range(len(pairs)):
        for side in range(2):
            start[pairs[p, side] + 1] += 1
    for k in range(n):
        start[k + 1] += start[k]
    other, pair, place = np.empty(2 * len(pairs), np.intp), np.empty(2 * len(pairs), np.intp), start.copy()
    for p in range(len(pairs)):
        for side in range(2):
            k = pairs[p, side]
            other[place[k]], pair[place[k]] = pairs[p, 1 - side], p
            place[k] += 1
    return Overlaps(start, other, pair)


@kernel
def position_covariances(
    reduced: Floats, absorbed: Floats, pairs: Integers32, coupling: Floats, alone: Floats, between: Floats
) -> None:
    """Write the covariance of the positions of columns and of pairs.

    Parameters
    ----------
    reduced, absorbed
        See :func:`blocks.eliminate_neighbours`.
    pairs, coupling
        (p, 2) and (p, P, P), rows of the pair's first column.
    alone, between
        (n, 2, 2) and (p, 2, 2), (y, x); NaN where the matrix is not positive definite.
    """
    n, size, _ = reduced.shape
    overlaps = list_overlaps(pairs, n)
    matrix, solution = np.empty(((_MOST + 1) * size, (_MOST + 1) * size)), np.empty(((_MOST + 1) * size, 2))
    members, loss, place = np.empty(_MOST + 1, np.intp), np.empty(_MOST), np.full(n, -1, np.intp)
    seen = np.zeros(len(pairs), np.intp)
    between[:] = 0.0
    for k in range(n):
        count = _gather(k, overlaps, absorbed, pairs, members, loss)
        for a in range(count):
            place[members[a]] = a
        _fill(matrix, members[:count], place, overlaps, reduced, absorbed, coupling)
        _solve_last(matrix, count * size, size, solution)
        last = (count - 1) * size
        for a in range(2):
            for b in range(2):
                alone[k, a, b] = solution[last + 1 + a, b]
        for s in range(overlaps.start[k], overlaps.start[k + 1]):
            m, p = overlaps.other[s], overlaps.pair[s]
            if place[m] < 0:
                continue
            seen[p] += 1
            for a in range(2):
                for b in range(2):
                    value = solution[place[m] * size + 1 + a, b]
                    if pairs[p, 0] == k:
                        between[p, b, a] += value
                    else:
                        between[p, a, b] += value
        for a in range(count):
            place[members[a]] = -1
    for p in range(len(pairs)):
        for a in range(2):
            for b in range(2):
                between[p, a, b] /= max(seen[p], 1)


@kernel
def _gather(k: int, overlaps: Overlaps, absorbed: Floats, pairs: Integers32, members: Indices, loss: Floats) -> int:
    """List the columns that overlap column k, those that take most from it last, and column k; return their number."""
    count = 0
    for s in range(overlaps.start[k], overlaps.start[k + 1]):
        p = overlaps.pair[s]
        side = 0 if pairs[p, 0] == k else 1
        taken = absorbed[p, side, 1, 1] + absorbed[p, side, 2, 2]
        if count == _MOST:
            if taken <= loss[0]:
                continue
            for a in range(count - 1):
                loss[a], members[a] = loss[a + 1], members[a + 1]
            count -= 1
        a = count
        while a > 0 and loss[a - 1] > taken:
            loss[a], members[a] = loss[a - 1], members[a - 1]
            a -= 1
        loss[a], members[a] = taken, overlaps.other[s]
        count += 1
    members[count] = k
    return count + 1


@kernel
def _fill(
    matrix: Floats,
    members: Indices,
    place: Indices,
    overlaps: Overlaps,
    reduced: Floats,
    absorbed: Floats,
    coupling: Floats,
) -> None:
    """Write the upper triangle of the matrix of the members, all others eliminated."""
    size = reduced.shape[1]
    n = len(members) * size
    for a in range(len(members)):
        block = reduced[members[a]]
        for i in range(size):
            row = matrix[a * size + i]
            row[a * size + size : n] = 0.0
            for j in range(i, size):
                row[a * size + j] = block[i, j]
    for a in range(len(members)):
        k = members[a]
        for s in range(overlaps.start[k], overlaps.start[k + 1]):
            b = place[overlaps.other[s]]
            if b < a:  # outside, or its turn was before
                continue
            p, first = overlaps.pair[s], 0 if k < members[b] else 1
            taken, given, between = absorbed[p, first], absorbed[p, 1 - first], coupling[p]
            for i in range(size):
                for j in range(size):
                    matrix[a * size + i, b * size + j] = between[j, i] if first else between[i, j]
                for j in range(i, size):
                    matrix[a * size + i, a * size + j] += taken[i, j]
                    matrix[b * size + i, b * size + j] += given[i, j]


@kernel
def _solve_last(matrix: Floats, n: int, size: int, solution: Floats) -> None:
    """Write two columns of the inverse (n, 2), those of the position of the last block, from its upper triangle."""
    for c in range(n):
        if not matrix[c, c] > 0.0:
            solution[:n] = np.nan
            return
        scale = 1.0 / np.sqrt(matrix[c, c])
        for j in range(c, n):
            matrix[c, j] *= scale
        for i in range(c + 1, n):
            factor = matrix[c, i]
            if factor != 0.0:  # most columns don't overlap
                for j in range(i, n):
                    matrix[i, j] -= factor * matrix[c, j]
    for b in range(2):
        unit = n - size + 1 + b
        solution[: n - size, b] = 0.0
        for i in range(n - size, n):  # the lower triangle
            total = 1.0 if i == unit else 0.0
            for j in range(n - size, i):
                total -= matrix[j, i] * solution[j, b]
            solution[i, b] = total / matrix[i, i]
    for i in range(n - 1, -1, -1):  # the upper one
        first, second = solution[i, 0] / matrix[i, i], solution[i, 1] / matrix[i, i]
        solution[i, 0], solution[i, 1] = first, second
        for j in range(i):
            solution[j, 0] -= matrix[j, i] * first
            solution[j, 1] -= matrix[j, i] * second
