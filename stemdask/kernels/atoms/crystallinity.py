"""How alike the surroundings of bonded atoms are, and which atoms are crystalline by that.

Ten Wolde, Ruiz-Montero and Frenkel, J. Chem. Phys. 104, 9932 (1996).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Codes, Floats, Integers, Integers32
from stemdask.kernels.atoms.harmonics import LANES, WIDE
from stemdask.kernels.compiled import kernel


class Criterion(NamedTuple):
    """What makes an atom crystalline."""

    threshold: float
    """Smallest s6 of a crystalline bond, itself not included."""
    min_fraction: float = 0.5
    """More than this fraction of the bonds must be crystalline, where no number is given."""
    min_bonds: int = 0
    """At least so many bonds must be crystalline; 0: the fraction decides."""
    min_mean: float = -2.0
    """The mean s6 of all bonds must be larger, too."""


class Crystallinity(NamedTuple):
    """What the bonds of each atom say of it."""

    mean: Floats
    """(n,), mean s6."""
    crystalline: Codes
    """(n,), 1 where enough bonds are above the threshold; 0 without bonds; -1 where s6 isn't defined."""
    margin: Floats
    """(n,), how much the threshold may rise (or, where negative, must fall) before `crystalline` changes; NaN where
    no threshold changes it."""


def crystallinity(first: Integers, s6: Floats, criterion: Criterion) -> Crystallinity:
    """Return the mean s6 of each atom, whether it is crystalline, and the margin to the threshold.

    An atom with N bonds is crystalline if the bond that counts is above the threshold: the one of rank min_bonds from
    the best, or floor(min_fraction N) + 1.

    Parameters
    ----------
    first
        (n + 1,), where the entries of each atom begin.
    s6
        (m,), of each entry.
    criterion
        What makes an atom crystalline.
    """
    n = len(first) - 1
    result = Crystallinity(np.empty(n), np.empty(n, np.int8), np.empty(n))
    sorting = np.empty(max(int(np.diff(first).max(initial=1)), 1) * LANES)
    for begin in range(0, n, LANES):
        block_of_flags(first, s6, criterion, begin, sorting, result)
    return result


@kernel(fastmath={"contract", "reassoc"})
def block_of_products(
    first: Integers,
    other: Integers32,
    rows: Floats,
    scale: Floats,
    symmetric: bool,
    begin: int,
    seen: Integers,
    s6: Floats,
) -> None:
    """Write the normalised product of the coefficients of both ends of each entry of a block of atoms.

    The coefficients of atom i are ``rows[i, :13]``, of length ``1 / scale[i]``. In symmetric lists
    each bond is done once, by the smaller of its atoms: `seen`, at first a copy of `first`, is where the next entry of
    each atom goes, which lists sorted by atom number make the right one.
    """
    n, stride = rows.shape
    flat, wide, one = rows.ravel(), np.uint64(stride), np.uint64(1)
    two, three, four = np.uint64(2), np.uint64(3), np.uint64(4)
    for i in range(begin, min(begin + LANES, n)):
        own = np.uint64(i) * wide
        e, end = np.uint64(seen[i]), np.uint64(first[i + 1])
        while e < end:  # four at a time, the last one again where fewer are left
            e1, e2, e3 = min(e + one, end - one), min(e + two, end - one), min(e + three, end - one)
            j0, j1, j2, j3 = np.uint64(other[e]), np.uint64(other[e1]), np.uint64(other[e2]), np.uint64(other[e3])
            a, b, c, d = j0 * wide, j1 * wide, j2 * wide, j3 * wide
            s0 = s1 = s2 = s3 = 0.0
            for k in range(np.uint64(13)):
                v = flat[own + k]
                s0 += v * flat[a + k]
                s1 += v * flat[b + k]
                s2 += v * flat[c + k]
                s3 += v * flat[d + k]
            s6[e], s6[e1] = s0 * (scale[i] * scale[j0]), s1 * (scale[i] * scale[j1])
            s6[e2], s6[e3] = s2 * (scale[i] * scale[j2]), s3 * (scale[i] * scale[j3])
            e += four
        if symmetric:
            for entry in range(np.uint64(seen[i]), end):
                j0 = np.uint64(other[entry])
                if j0 > np.uint64(i):
                    s6[np.uint64(seen[j0])] = s6[entry]
                    seen[j0] += 1


@kernel
def _rank(bonded: int, criterion: Criterion) -> int:
    """Return how many bonds are better than the one that counts."""
    return criterion.min_bonds - 1 if criterion.min_bonds > 0 else int(criterion.min_fraction * bonded)


@kernel
def block_of_flags(
    first: Integers,
    s6: Floats,
    criterion: Criterion,
    begin: int,
    sorting: Floats,
    result: Crystallinity,
) -> None:
    """Write the mean s6 of each atom of a block, whether enough are above the threshold, and by how much.

    `sorting` is scratch of length (longest list) × LANES.
    """
    mean, crystalline, margin = result
    count = min(LANES, len(mean) - begin)
    rows, ranks = 1, 0
    for lane in range(count):
        bonded = first[begin + lane + 1] - first[begin + lane]
        rows, ranks = max(rows, bonded), max(ranks, min(_rank(bonded, criterion), bonded - 1))
    sorting[: rows * LANES] = -2.0
    for lane in range(count):
        i = begin + lane
        total = 0.0
        for e in range(first[i], first[i + 1]):
            sorting[(e - first[i]) * LANES + lane] = s6[e]
            total += s6[e]
        mean[i] = total / (first[i + 1] - first[i])
    # The best bonds of all lanes bubble up side by side, as far as one of them needs.
    for rank in range(ranks + 1):
        for row in range(rows - 1, rank, -1):
            upper, lower = np.uint64(row - 1) * WIDE, np.uint64(row) * WIDE
            for lane in range(WIDE):
                a, b = sorting[upper + lane], sorting[lower + lane]
                sorting[upper + lane] = a if a > b else b
                sorting[lower + lane] = b if a > b else a
    for lane in range(count):
        i = begin + lane
        bonded = first[i + 1] - first[i]
        margin[i], crystalline[i] = np.nan, 0
        if np.isnan(mean[i]):
            crystalline[i] = -1 if bonded else 0
        elif _rank(bonded, criterion) < bonded and mean[i] > criterion.min_mean:
            margin[i] = sorting[_rank(bonded, criterion) * LANES + lane] - criterion.threshold
            crystalline[i] = margin[i] > 0
