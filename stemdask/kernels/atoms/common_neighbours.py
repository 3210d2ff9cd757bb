"""Structure type of each atom by adaptive common neighbour analysis.

A. Stukowski, Structure identification methods for atomistic simulations of crystalline materials, Modelling Simul.
Mater. Sci. Eng. 20, 045021 (2012), section 2.2. Each atom takes its own cutoff from its 12 (or 14) nearest neighbours,
and every one of these gets three numbers: how many of the others it is bonded to, how many bonds these have with each
other, and the length of the longest chain of such bonds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Codes, Floats, Integers, Integers32
from stemdask.kernels.atoms.kinds import BCC, FCC, HCP, ICOSAHEDRAL, OTHER
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.compiled import kernel

_MOST = 14
#: Half-way between the first and the second shell of fcc, and between the second and the third of bcc.
_HALFWAY = (1 + math.sqrt(2)) / 2
#: Neighbours are bits of a number: how many are set in it, and which one a single bit is.
_COUNT = np.array([bits.bit_count() for bits in range(2**_MOST)])
_NUMBER = np.array([bits.bit_length() - 1 for bits in range(2**_MOST)])


class Structure(NamedTuple):
    """What the arrangement of the neighbours says of each atom."""

    kind: Codes
    """(n,), one of `OTHER`, `FCC`, `HCP`, `BCC` and `ICOSAHEDRAL`."""
    normal: Floats
    """(n, 3), unit normal of the close-packed plane through an `HCP` atom, of arbitrary sign; NaN for the others."""


def classify(neighbours: Neighbours) -> Structure:
    """Return the structure type of each atom.

    Parameters
    ----------
    neighbours
        All neighbours to beyond the second shell of fcc, at least 1.5 times the distance of nearest neighbours; an atom
        with fewer than 12 of them is `OTHER`.

    Returns
    -------
    Structure
        (n,) each; `kind` is one of :mod:`stemdask.kernels.atoms.kinds`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms import find_neighbours, kinds
    >>> cobalt = bulk("Co")
    >>> classify(find_neighbours(cobalt.positions, 3.9, cobalt.cell[:])).kind == kinds.HCP
    array([ True,  True])
    """
    kind, normal = _classify(neighbours.first, neighbours.point, neighbours.points)
    return Structure(kind, normal)


@kernel
def _classify(first: Integers, point: Integers32, points: Floats) -> tuple[Codes, Floats]:
    n = len(first) - 1
    kind = np.zeros(n, np.int8)
    normal = np.full((n, 3), np.nan)
    near = np.empty((_MOST, 3))
    distance = np.empty(_MOST)
    bonds = np.empty(_MOST, np.int64)
    for i in range(n):
        found = _nearest(i, point[first[i] : first[i + 1]], points, near, distance)
        if found < 12:
            continue
        cutoff = _HALFWAY * distance[:12].mean()
        _bond(near, 12, cutoff, bonds)
        kind[i] = _close_packed(bonds, near, normal[i])
        if kind[i] == OTHER and found == 14:
            # The shells of bcc are 8 at sqrt(3)/2 a and 6 at a: both estimate a.
            cutoff = _HALFWAY * 0.5 * (2 / math.sqrt(3) * distance[:8].mean() + distance[8:].mean())
            _bond(near, 14, cutoff, bonds)
            if _body_centred(bonds):
                kind[i] = BCC
    return kind, normal


@kernel
def _nearest(
    i: int,
    neighbours: Integers32,
    points: Floats,
    near: Floats,
    distance: Floats,
) -> int:
    """Write the vectors to the nearest neighbours, nearest first; return how many there are, at most `_MOST`."""
    found = 0
    for k in neighbours:
        x, y, z = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
        d = math.sqrt(x * x + y * y + z * z)
        if found == _MOST and d >= distance[_MOST - 1]:
            continue
        place = min(found, _MOST - 1)
        while place > 0 and distance[place - 1] > d:
            distance[place] = distance[place - 1]
            for axis in range(3):
                near[place, axis] = near[place - 1, axis]
            place -= 1
        distance[place] = d
        near[place, 0], near[place, 1], near[place, 2] = x, y, z
        found = min(found + 1, _MOST)
    return found


@kernel
def _bond(near: Floats, n: int, cutoff: float, bonds: Integers) -> None:
    """Set bit k of ``bonds[j]`` where neighbours j and k are bonded."""
    bonds[:n] = 0
    for j in range(n):
        for k in range(j):
            x, y, z = near[j, 0] - near[k, 0], near[j, 1] - near[k, 1], near[j, 2] - near[k, 2]
            if x * x + y * y + z * z <= cutoff * cutoff:
                bonds[j] |= 1 << k
                bonds[k] |= 1 << j


@kernel
def _signature(bonds: Integers, j: int) -> tuple[int, int, int]:
    """Return how many common neighbours neighbour j has, the bonds among them, and the most that one of them has.

    Where two bonds join four of them the third number is the length of the longest chain. Five bonds of five, and four
    bonds of four, always hang together.
    """
    common = bonds[j]
    ends, most = 0, 0
    left = common
    while left:
        bit = left & -left
        left ^= bit
        beside = _COUNT[bonds[_NUMBER[bit]] & common]
        ends += beside
        most = max(most, beside)
    return _COUNT[common], ends // 2, most


@kernel
def _close_packed(bonds: Integers, near: Floats, normal: Floats) -> int:
    """Tell fcc, hcp and icosahedral surroundings from the 12 nearest; write the normal of an hcp atom's plane."""
    n_421, n_422, n_555 = 0, 0, 0
    in_plane = 0
    for j in range(12):
        common, n_bonds, most = _signature(bonds, j)
        if common == 4 and n_bonds == 2:
            n_421 += most == 1
            n_422 += most == 2
            in_plane |= (most == 2) << j
        elif common == 5 and n_bonds == 5:
            n_555 += 1
        else:
            return OTHER
    if n_421 == 12:
        return FCC
    if n_555 == 12:
        return ICOSAHEDRAL
    if n_421 == 6 and n_422 == 6:
        _plane_normal(near, in_plane, normal)
        return HCP
    return OTHER


@kernel
def _body_centred(bonds: Integers) -> bool:
    n_444, n_666 = 0, 0
    for j in range(14):
        common, n_bonds, _ = _signature(bonds, j)
        n_444 += common == 4 and n_bonds == 4
        n_666 += common == 6 and n_bonds == 6 and _hang_together(bonds, bonds[j])
    return n_666 == 8 and n_444 == 6


@kernel
def _hang_together(bonds: Integers, common: int) -> bool:
    """Tell whether every one of some neighbours is reached from every other over bonds among them."""
    part = common & -common
    grown = part
    while grown:
        bit = grown & -grown
        beside = bonds[_NUMBER[bit]] & common
        grown = (grown | (beside & ~part)) & ~bit
        part |= beside
    return part == common


@kernel
def _plane_normal(near: Floats, in_plane: int, normal: Floats) -> None:
    """Write the mean normal of the six neighbours in the plane, from all pairs of them."""
    total_x, total_y, total_z = 0.0, 0.0, 0.0
    for j in range(12):
        for k in range(j):
            if (in_plane >> j) & (in_plane >> k) & 1:
                x = near[j, 1] * near[k, 2] - near[j, 2] * near[k, 1]
                y = near[j, 2] * near[k, 0] - near[j, 0] * near[k, 2]
                z = near[j, 0] * near[k, 1] - near[j, 1] * near[k, 0]
                sign = 1.0 if x * total_x + y * total_y + z * total_z >= 0 else -1.0
                total_x += sign * x
                total_y += sign * y
                total_z += sign * z
    length = math.sqrt(total_x * total_x + total_y * total_y + total_z * total_z)
    normal[0], normal[1], normal[2] = total_x / length, total_y / length, total_z / length
