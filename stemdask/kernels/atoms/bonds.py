"""Bonds as pairs of atoms, and their mean length at each atom, from the lists of neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.compiled import kernel


class Bonds(NamedTuple):
    """Each bond once, ordered by the smaller and then the larger number of its atoms."""

    atom_1: Integers32
    """(k,), the smaller number."""
    atom_2: Integers32
    """(k,), the larger number."""
    entry: Integers
    """(k,), an entry of the lists that is the bond."""


def bonds(neighbours: Neighbours) -> Bonds:
    """Return the bonds of lists of neighbours.

    Two atoms are bonded if either is in the list of the other. In a small periodic box they can share several bonds;
    those of an atom with its own images are left out.

    Parameters
    ----------
    neighbours
        Of each atom, as from :func:`find_neighbours`.

    Returns
    -------
    Bonds
        (k,) each: the two atoms of each bond, and the entry of the lists of neighbours that it comes from.

    Examples
    --------
    >>> from stemdask.kernels.atoms import find_neighbours
    >>> chain = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    >>> found = bonds(find_neighbours(chain, 1.5))
    >>> found.atom_1, found.atom_2
    (array([0, 1], dtype=int32), array([1, 2], dtype=int32))
    """
    if neighbours.symmetric:
        size = len(neighbours.point)
        atom_1, atom_2, entry = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int64)
        k = _forward(neighbours.first, neighbours.other, atom_1, atom_2, entry)
        return Bonds(atom_1[:k].copy(), atom_2[:k].copy(), entry[:k].copy())
    centre, other = neighbours.centre, neighbours.other
    low, high = np.minimum(centre, other).astype(np.int32), np.maximum(centre, other).astype(np.int32)
    _, entries = np.unique(low.astype(np.int64) * (len(neighbours.first) - 1) + high, return_index=True)
    entries = entries[low[entries] < high[entries]]
    return Bonds(low[entries], high[entries], entries)


def mean_bond_length(neighbours: Neighbours) -> Floats:
    """Return the mean distance of the neighbours of each atom (n,); NaN where there are none.

    Parameters
    ----------
    neighbours
        Of each atom, as from :func:`find_neighbours`.

    Returns
    -------
    numpy.ndarray
        (n,), in the unit of the positions.

    Examples
    --------
    >>> from stemdask.kernels.atoms import find_neighbours
    >>> chain = np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]])
    >>> mean_bond_length(find_neighbours(chain, 2.5))
    array([1. , 1.5, 2. ])
    """
    mean = np.empty(len(neighbours.first) - 1)
    _mean_length(neighbours.first, neighbours.point, neighbours.points, mean)
    return mean


@kernel
def _forward(first: Integers, other: Integers32, atom_1: Integers32, atom_2: Integers32, entry: Integers) -> int:
    """Write the entries that lead to a larger number; return how many there are."""
    k = 0
    for i in range(len(first) - 1):
        for e in range(first[i], first[i + 1]):
            atom_1[k], atom_2[k], entry[k] = i, other[e], e
            k += other[e] > i
    return k


@kernel
def _mean_length(first: Integers, point: Integers32, points: Floats, mean: Floats) -> None:
    for i in range(len(mean)):
        total = 0.0
        for e in range(first[i], first[i + 1]):
            p = point[e]
            dx, dy, dz = points[p, 0] - points[i, 0], points[p, 1] - points[i, 1], points[p, 2] - points[i, 2]
            total += np.sqrt(dx * dx + dy * dy + dz * dz)
        mean[i] = total / (first[i + 1] - first[i])
