"""Chemical order: which of the neighbours of an atom in a crystal are of its own element."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemdask.kernels.arrays import Array, Booleans, Codes, Floats
from stemdask.kernels.atoms.kinds import BCC, CUBIC_DIAMOND, FCC, HEXAGONAL_DIAMOND, SIMPLE_CUBIC
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.surroundings import Surroundings
from stemdask.kernels.atoms.template_match import Match
from stemdask.kernels.atoms.templates import TEMPLATES

UNORDERED, L1_0, L1_2, B2, ZINCBLENDE, WURTZITE, ROCK_SALT, FLUORITE, PEROVSKITE = range(9)

_FLAT = 0.1
#: More than this part of an atom's neighbours must show the same structure. A third of them do in others that are alike
#: in one shell, as L1_2 around titanium in Al3Ti (D0_22), or none, as B2 around copper in Cu2MnAl (L2_1).
_SHARED = 0.5
#: Half-way between the first and the second shell of the other element around fluorite's cation and anion, in units
#: of the distance of nearest atoms of its own element.
_CATION_REACH, _ANION_REACH = 0.89, 1.26
#: From the small cation of a perovskite to the anions, at half of the edge of the cube, and to the large cations at
#: 0.87 of it, up to before the next shells.
_TO_ANIONS, _TO_CATIONS = 0.68, 1.05


def find_ordering(
    positions: Floats,
    numbers: NDArray[np.uint8],
    found: Surroundings,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
) -> Codes:
    """Return the ordered structure that the elements of each atom's neighbours show.

    All neighbours that are there must be of the element that the structure has at their place, at least half of them
    must be there, and of those in the first shell most must be in the same structure.

    Parameters
    ----------
    positions, numbers
        (n, 3) and (n,), atomic numbers.
    found
        The template of each atom.
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Returns
    -------
    Codes
        (n,), `UNORDERED` where the atom is in none of the structures that are known here.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms import surroundings
    >>> alloy = bulk("NiAl", "cesiumchloride", a=2.88)
    >>> numbers, cell = alloy.numbers.astype(np.uint8), alloy.cell[:]
    >>> find_ordering(alloy.positions, numbers, surroundings(alloy.positions, numbers, cell), cell) == B2
    array([ True,  True])
    """
    match, order, tells = found.match, np.zeros(len(numbers), np.int8), np.zeros(len(numbers), bool)
    if len(np.unique(numbers)) < 2:
        return order
    for kind, structure, like in _PATTERNS:
        atoms = np.flatnonzero((match.kind == kind) & ~found.own)
        place = match.place[atoms, : len(like)]
        there = place >= 0
        right = (numbers[place] == numbers[atoms, None]) == like
        enough = 2 * there.sum(axis=1) >= len(like)
        order[atoms[(right | ~there).all(axis=1) & enough]] = structure
        tells[atoms[enough]] = True
    order[~_shared(order, tells, match)] = UNORDERED
    order[_fluorite(positions, numbers, found, cell, periodic)] = FLUORITE
    order[_perovskite(positions, numbers, found, cell, periodic)] = PEROVSKITE
    return order


def _shared(order: Codes, tells: Booleans, match: Match) -> Booleans:
    """Tell at which atoms most of the first shell, of what has neighbours enough to tell, shows the same order."""
    shared = np.ones(len(order), bool)
    for kind in np.unique(match.kind[order != UNORDERED]):
        atoms = np.flatnonzero((match.kind == kind) & (order != UNORDERED))
        place = match.place[atoms, : TEMPLATES[kind].n_first]
        asked = (place >= 0) & tells[place]
        alike = asked & (order[place] == order[atoms, None])
        shared[atoms] = (alike.sum(axis=1) > _SHARED * asked.sum(axis=1)) | ~asked.any(axis=1)
    return shared


def _patterns() -> list[tuple[int, int, Array]]:
    """Return which places of a template have atoms of the central one's element, in each structure."""
    fcc = [np.abs(TEMPLATES[FCC].vectors[:, axis]) < _FLAT for axis in range(3)]
    found = [(FCC, L1_0, in_plane) for in_plane in fcc]
    found += [(FCC, L1_2, ~in_plane) for in_plane in fcc] + [(FCC, L1_2, np.zeros(12, bool))]
    by_shell = {BCC: (B2,), CUBIC_DIAMOND: (ZINCBLENDE,), HEXAGONAL_DIAMOND: (WURTZITE,), SIMPLE_CUBIC: (ROCK_SALT,)}
    for kind, (structure,) in by_shell.items():
        template = TEMPLATES[kind]
        found.append((kind, structure, np.arange(len(template.vectors)) >= template.n_first))
    return found


_PATTERNS = _patterns()


def _fluorite(
    positions: Floats, numbers: NDArray[np.uint8], found: Surroundings, cell: ArrayLike | None, periodic: ArrayLike
) -> Booleans:
    """Tell the atoms of fluorite: fcc cations in cubes of anions, simple cubic anions in tetrahedra of cations."""
    match = found.match
    cation, anion = found.own & (match.kind == FCC), found.own & (match.kind == SIMPLE_CUBIC)
    fluorite = np.zeros(len(numbers), bool)
    if not (cation.any() and anion.any()):
        return fluorite
    reach = np.where(cation, _CATION_REACH, _ANION_REACH) * match.distance
    neighbours = find_neighbours(positions, float(np.nanmax(reach[cation | anion])), cell, periodic)
    centre, other = neighbours.centre, neighbours.other
    bonded = (numbers[centre] != numbers[other]) & (neighbours.distance < reach[centre])
    count = np.bincount(centre[bonded], minlength=len(numbers))
    fluorite[cation] = (count >= 4)[cation] & (count <= 8)[cation]
    fluorite[anion] = (count >= 2)[anion] & (count <= 4)[anion]
    return fluorite


def _perovskite(
    positions: Floats, numbers: NDArray[np.uint8], found: Surroundings, cell: ArrayLike | None, periodic: ArrayLike
) -> Booleans:
    """Tell the atoms of perovskites: simple cubic cations in octahedra of anions, with large cations around."""
    match = found.match
    small = found.own & (match.kind == SIMPLE_CUBIC)
    perovskite = np.zeros(len(numbers), bool)
    if len(np.unique(numbers)) < 3 or not small.any():
        return perovskite
    edge = float(np.median(match.distance[small]))
    neighbours = find_neighbours(positions, _TO_CATIONS * edge, cell, periodic)
    centre, other, near = neighbours.centre, neighbours.other, neighbours.distance < _TO_ANIONS * edge
    unlike = small[centre] & (numbers[centre] != numbers[other])
    anions = np.bincount(centre[unlike & near], minlength=len(numbers))
    cations = np.bincount(centre[unlike & ~near], minlength=len(numbers))
    small &= (anions >= 3) & (anions <= 6) & (cations >= 4)
    of_small = small[centre] & (numbers[centre] != numbers[other])
    perovskite[small] = True
    perovskite[other[of_small]] = True
    return perovskite
