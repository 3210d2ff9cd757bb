"""Coordination numbers with a cutoff for each pair of elements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.atoms.kinds import BCC
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.surroundings import Surroundings, surroundings
from stemdask.kernels.atoms.templates import TEMPLATES
from stemdask.kernels.atoms.workspace import Workspace
from stemdask.kernels.compiled import kernel

#: In a body-centred crystal as many atoms lie within this multiple of the nearest distance, beyond the second shell at
#: 1.155 and before the next at 1.63.
_BOTH, _TWO_SHELLS = 14, 1.33
#: It is one where at least this part of all atoms has them, and this part of those has its lattice.
_FEWEST, _MOST = 0.1, 0.5
#: Between both shells, in units of the nearest distance.
_MIDWAY = 1.077


class Coordination(NamedTuple):
    """How many neighbours each atom has."""

    number: Integers32
    """(n,)."""
    same_element: Integers32
    """(n,), those of its own element."""


def coordination(
    positions: ArrayLike,
    species: ArrayLike,
    cutoffs: ArrayLike,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
    *,
    workspace: Workspace | None = None,
) -> Coordination:
    """Count the atoms that are closer than the cutoff of the two elements.

    Parameters
    ----------
    positions
        (n, 3).
    species
        (n,), which row of the cutoffs each atom takes.
    cutoffs
        (species, species), symmetric; the distance below which two atoms are neighbours, in the unit of the positions.
    cell, periodic
        The periodic box, as in `find_neighbours`.
    workspace
        Memory to use again.

    Examples
    --------
    >>> from ase.build import bulk
    >>> salt = bulk("NaCl", "rocksalt", a=5.64)
    >>> coordination(salt.positions, [0, 1], np.full((2, 2), 3.3), salt.cell[:]).number
    array([6, 6], dtype=int32)
    """
    limits = np.ascontiguousarray(cutoffs, float)
    of = np.ascontiguousarray(species, np.int32)
    present = np.unique(of)
    longest = float(limits[np.ix_(present, present)].max(initial=0.0))
    neighbours = find_neighbours(positions, longest, cell, periodic, workspace=workspace)
    number, same = np.zeros((2, len(of)), np.int32)
    lists = _Lists(neighbours.first, neighbours.other, neighbours.point, neighbours.points)
    _count(lists, of, limits, number, same)
    return Coordination(number, same)


def coordination_by_lattice(found: Surroundings, species: ArrayLike) -> Coordination:
    """Count the places of the first shell of each atom's lattice at which there is an atom.

    Thermal motion that mixes the shells of a body-centred crystal, whose second one is only 15 % farther away, leaves
    no cutoff between them; the places of the lattice still tell which of the neighbours belong to the first.

    Parameters
    ----------
    found
        The lattice of each atom.
    species
        (n,), a number for each element.

    Returns
    -------
    Coordination
        -1 for an atom on no lattice, or on one that the atoms of its own element form alone.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms.surroundings import surroundings
    >>> iron = bulk("Fe", cubic=True)
    >>> on_lattice = surroundings(iron.positions, iron.numbers.astype(np.uint8), iron.cell[:])
    >>> coordination_by_lattice(on_lattice, [0, 0]).number
    array([8, 8], dtype=int32)
    """
    of = np.asarray(species)
    number, same = np.full((2, len(of)), -1, np.int32)
    for kind, template in TEMPLATES.items():
        atoms = np.flatnonzero((found.match.kind == kind) & ~found.own)
        near = found.match.place[atoms, : template.n_first]
        number[atoms] = (near >= 0).sum(axis=1)
        same[atoms] = ((near >= 0) & (of[near] == of[atoms, None])).sum(axis=1)
    return Coordination(number, same)


def body_centred_coordination(
    positions: ArrayLike,
    species: ArrayLike,
    numbers: ArrayLike,
    spacing: float,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
) -> Coordination | None:
    """Count the first shell of body-centred crystals, whose second one no distance separates from it in warm ones.

    Atoms on the lattice are counted by their places, others up to a distance midway between the shells.

    Parameters
    ----------
    positions
        (n, 3).
    species, numbers
        (n,), a number for each element, and atomic numbers.
    spacing
        Where the first peak of g(r) is.
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Returns
    -------
    Coordination | None
        None where the structure as a whole isn't body-centred.

    Examples
    --------
    >>> from ase.build import bulk
    >>> iron = bulk("Fe", cubic=True)
    >>> body_centred_coordination(iron.positions, [0, 0], iron.numbers, 2.5, iron.cell[:]).number
    array([8, 8], dtype=int32)
    """
    one = np.zeros(len(np.asarray(species)), np.int32)
    both_shells = coordination(positions, one, np.full((1, 1), _TWO_SHELLS * spacing), cell, periodic).number
    both = both_shells == _BOTH
    if not len(one) or both.mean() < _FEWEST:
        return None
    found = surroundings(np.asarray(positions, float), np.asarray(numbers, np.uint8), cell, periodic)
    on_lattice = (found.match.kind == BCC) & ~found.own
    if on_lattice[both].mean() < _MOST:
        return None
    midway = _MIDWAY * float(np.median(found.match.distance[on_lattice]))
    n = int(np.max(np.asarray(species))) + 1
    near = coordination(positions, species, np.full((n, n), midway), cell, periodic)
    counted = coordination_by_lattice(found, species)
    return Coordination(*(np.where(on_lattice, new, old) for new, old in zip(counted, near, strict=True)))


class _Lists(NamedTuple):
    first: Integers
    other: Integers32
    point: Integers32
    points: Floats


@kernel
def _count(lists: _Lists, species: Integers32, limits: Floats, number: Integers32, same: Integers32) -> None:
    first, other, point, points = lists
    for i in range(len(species)):
        for e in range(first[i], first[i + 1]):
            j, p = other[e], point[e]
            d = np.sqrt(
                (points[p, 0] - points[i, 0]) ** 2
                + (points[p, 1] - points[i, 1]) ** 2
                + (points[p, 2] - points[i, 2]) ** 2
            )
            if d < limits[species[i], species[j]]:
                number[i] += 1
                same[i] += species[i] == species[j]
