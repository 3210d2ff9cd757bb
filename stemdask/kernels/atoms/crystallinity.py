"""How alike the surroundings of bonded atoms are, and which atoms are crystalline by that.

Ten Wolde, Ruiz-Montero and Frenkel, J. Chem. Phys. 104, 9932 (1996).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Codes, Floats, Integers
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
    # The best of the rest is carried up through all lanes side by side, as often as one of them needs. It is carried
    # from one row to another, because a value that is kept or replaced in place is compiled to slow masked stores.
    carried = np.empty(2 * LANES)
    for rank in range(ranks + 1):
        source, target = np.uint64(0), WIDE
        last = np.uint64(rows - 1) * WIDE
        for lane in range(WIDE):
            carried[lane] = sorting[last + lane]
        for row in range(rows - 2, rank - 1, -1):
            upper, lower = np.uint64(row) * WIDE, np.uint64(row + 1) * WIDE
            for lane in range(WIDE):
                a, b = sorting[upper + lane], carried[source + lane]
                carried[target + lane] = a if a > b else b
                sorting[lower + lane] = b if a > b else a
            source, target = target, source
        best = np.uint64(rank) * WIDE
        for lane in range(WIDE):
            sorting[best + lane] = carried[source + lane]
    for lane in range(count):
        i = begin + lane
        bonded = first[i + 1] - first[i]
        margin[i], crystalline[i] = np.nan, 0
        if np.isnan(mean[i]):
            crystalline[i] = -1 if bonded else 0
        elif _rank(bonded, criterion) < bonded and mean[i] > criterion.min_mean:
            margin[i] = sorting[_rank(bonded, criterion) * LANES + lane] - criterion.threshold
            crystalline[i] = margin[i] > 0
