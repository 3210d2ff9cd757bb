"""Dislocations from Burgers circuits: closed in the perfect lattice, open around a dislocation."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Codes, Floats
from stemdask.kernels.images.finding.growth import nearest_points

#: Steps along each side of a circuit, and how far a neighbour may be from where it is expected, in units of the
#: shorter lattice vector.
_SIDE = 3
_TOLERANCE = 0.4


def near_dislocation(positions: Floats, a: Floats, b: Floats) -> Codes:
    """Tell which columns of one sublattice lie within a Burgers circuit that doesn't close.

    From each column three steps along a, three along b, and back again lead to the same column in a perfect lattice,
    however strained. The steps go from neighbour to neighbour and need no indices, which a dislocation makes ambiguous.

    Parameters
    ----------
    positions
        (n, 2), (y, x), of one sublattice in one grain.
    a, b
        Mean lattice vectors in the same unit.

    Returns
    -------
    (n,), int8
        1 where one of the circuits around the column ends elsewhere, 0 where all of them close, -1 where none can be
        walked to its end: at borders and holes.
    """
    n = len(positions)
    verdict = np.full(n, -1, np.int8)
    if n == 0 or not np.isfinite(a).all():
        return verdict
    radius = _TOLERANCE * float(min(np.hypot(*a), np.hypot(*b)))
    towards = [nearest_points(positions, positions + step, radius) for step in (a, b, -a, -b)]
    walked = [np.arange(n)]
    for link in towards:
        # A missing neighbour (-1) stays missing to the end of the walk.
        for _ in range(_SIDE):
            walked.append(np.where(walked[-1] >= 0, link[walked[-1]], -1))
    end = walked[-1]
    complete, closed = end >= 0, end == np.arange(n)
    middle = walked[0]
    for link in (towards[0], towards[1]):
        middle = np.where(middle >= 0, link[middle], -1)
    inner = [middle, *(np.where(middle >= 0, link[middle], -1) for link in (towards[0], towards[1]))]
    inner.append(np.where(inner[1] >= 0, towards[1][inner[1]], -1))
    for column in inner:
        seen = column >= 0
        np.maximum.at(verdict, column[seen & complete & closed], 0)
    for column in inner:
        seen = column >= 0
        np.maximum.at(verdict, column[seen & complete & ~closed], 1)
    return verdict
