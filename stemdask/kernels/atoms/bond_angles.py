"""Angles between the bonds of each atom, counted for each triplet of elements."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Floats, Integers, Integers32
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.compiled import kernel


def triplets(n_species: int) -> list[tuple[int, int, int]]:
    """Return the species of the atom in the middle and of both ends, for each triplet that differs.

    Parameters
    ----------
    n_species
        Number of elements.

    Returns
    -------
    list of tuple
        (middle, end, end), each 0 to n_species - 1; the ends in ascending order.

    Examples
    --------
    >>> triplets(1), len(triplets(2))
    ([(0, 0, 0)], 6)
    """
    ends = list(combinations_with_replacement(range(n_species), 2))
    return [(middle, *pair) for middle in range(n_species) for pair in ends]


def bond_angle_counts(neighbours: Neighbours, species: AnyIntegers, cutoffs: Floats, n_bins: int = 180) -> Integers:
    """Count the angles between any two bonds of each atom.

    Parameters
    ----------
    neighbours
        All atoms up to the longest bond.
    species
        (n,), 0, 1, ... for each element; -1 for atoms that are left out.
    cutoffs
        (species, species), the longest bond between two elements.
    n_bins
        Steps from 0 to 180 degrees. The bins are centred on them, so that the angles of a perfect crystal lie in the
        middle of a bin; the first and the last are half as wide.

    Returns
    -------
    Integers
        (triplets, n_bins + 1), in the order of `triplets`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms.neighbours import find_neighbours
    >>> silicon = bulk("Si")
    >>> bonds = find_neighbours(silicon.positions, 2.8, silicon.cell[:])
    >>> counts = bond_angle_counts(bonds, np.zeros(2, int), np.array([[2.8]]))
    >>> np.flatnonzero(counts[0])  # degrees
    array([109])
    """
    n_species = len(cutoffs)
    ends = np.zeros((n_species, n_species), np.int64)
    for k, (b, c) in enumerate(combinations_with_replacement(range(n_species), 2)):
        ends[b, c] = ends[c, b] = k
    counts = np.zeros((n_species, n_species * (n_species + 1) // 2, n_bins + 1), np.int64)
    _count(neighbours.first, neighbours.other, neighbours.vector, np.asarray(species, np.int64), cutoffs, ends, counts)
    return counts.reshape(-1, n_bins + 1)


@kernel
def _count(
    first: Integers,
    other: Integers32,
    vector: Floats,
    species: Integers,
    cutoffs: Floats,
    ends: Integers,
    counts: Integers,
) -> None:
    n = len(first) - 1
    per_radian = (counts.shape[2] - 1) / math.pi
    most = 0
    for i in range(n):
        most = max(most, first[i + 1] - first[i])
    unit, kind = np.empty((most, 3)), np.empty(most, np.int64)
    for i in range(n):
        a = species[i]
        if a < 0:
            continue
        m = 0
        for k in range(first[i], first[i + 1]):
            b = species[other[k]]
            length = math.sqrt(vector[k, 0] ** 2 + vector[k, 1] ** 2 + vector[k, 2] ** 2)
            if b < 0 or not 0 < length <= cutoffs[a, b]:
                continue
            for axis in range(3):
                unit[m, axis] = vector[k, axis] / length
            kind[m] = b
            m += 1
        for j in range(m):
            for k in range(j):
                cosine = unit[j, 0] * unit[k, 0] + unit[j, 1] * unit[k, 1] + unit[j, 2] * unit[k, 2]
                angle = math.acos(min(max(cosine, -1.0), 1.0))
                counts[a, ends[kind[j], kind[k]], int(angle * per_radian + 0.5)] += 1
