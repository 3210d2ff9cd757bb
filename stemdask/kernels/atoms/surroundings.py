"""The crystal to which each atom belongs: among all atoms, or among those of its own element where these form one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemdask.kernels.arrays import Booleans, Floats, Integers32
from stemdask.kernels.atoms.incomplete_shell import complete_by_neighbours
from stemdask.kernels.atoms.kinds import FIVE_FOLD_AXIS, ICOSAHEDRAL, OTHER
from stemdask.kernels.atoms.neighbour_rules import nearest
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.template_match import REACH, Match, match_templates

#: Neighbours of which the median distance is that of nearest ones: those of diamond; of more, noise picks short ones.
_NEAREST = 4
#: An element forms a sublattice of its own where less than this part of its atoms fits templates among all atoms.
_FEW = 0.5
#: It forms none where it is farther from its templates, as a median: oxygen in rutile (0.11) lies between two hcp ones
#: turned by 90 degrees, and aluminium in corundum isn't bcc (0.10). Noise of 0.1 angstrom makes 0.05, spinel's 0.08.
_FARTHEST = 0.09


class Surroundings(NamedTuple):
    """The template of each atom, also of those of which neighbours are missing."""

    match: Match
    missing: Integers32
    """(n,), neighbours that are missing in the first shell; -1 without a template."""
    own: Booleans
    """(n,), the template is that of the atoms of the same element alone, as in fluorite."""


def surroundings(
    positions: Floats,
    numbers: NDArray[np.uint8],
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
    max_rmsd: float = 0.12,
) -> Surroundings:
    """Match each atom to a template.

    Parameters
    ----------
    positions
        (n, 3).
    numbers
        (n,), atomic numbers.
    cell, periodic
        The periodic box, as in `find_neighbours`.
    max_rmsd
        Largest distance from a template, as in `match_templates`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms import kinds
    >>> fluorite = bulk("CeO2", "fluorite", a=5.41, cubic=True)
    >>> found = surroundings(fluorite.positions, fluorite.numbers.astype(np.uint8), fluorite.cell[:])
    >>> set(found.match.kind[fluorite.numbers == 58].tolist()) == {kinds.FCC}
    True
    """
    found = _among(positions, cell, periodic, max_rmsd)
    elements = np.unique(numbers)
    for element in elements if len(elements) > 1 else ():
        atoms = np.flatnonzero(numbers == element)
        if (found.match.kind[atoms] != OTHER).mean() < _FEW:
            alone = _among(positions[atoms], cell, periodic, max_rmsd)
            taken = np.flatnonzero(~np.isin(alone.match.kind, (OTHER, ICOSAHEDRAL, FIVE_FOLD_AXIS)))
            if not len(taken) or np.median(alone.match.rmsd[taken]) > _FARTHEST:
                continue
            for name in Match._fields:
                getattr(found.match, name)[atoms[taken]] = getattr(alone.match, name)[taken]
            placed = alone.match.place[taken]
            found.match.place[atoms[taken]] = np.where(placed >= 0, atoms[placed], -1)
            found.missing[atoms[taken]] = alone.missing[taken]
            found.own[atoms[taken]] = True
    return found


def without(found: Surroundings, atoms: Booleans) -> Surroundings:
    """Return the surroundings with no template for some of the atoms.

    Parameters
    ----------
    found
        What `surroundings` returned.
    atoms
        (n,), those that lose it.
    """
    kind = np.where(atoms, OTHER, found.match.kind).astype(np.int8)
    rmsd, distance = (np.where(atoms, np.nan, values) for values in (found.match.rmsd, found.match.distance))
    quaternion = np.where(atoms[:, None], np.nan, found.match.quaternion)
    place = np.where(atoms[:, None], -1, found.match.place)
    match = found.match._replace(kind=kind, rmsd=rmsd, distance=distance, quaternion=quaternion, place=place)
    return Surroundings(match, np.where(atoms, -1, found.missing).astype(np.int32), found.own & ~atoms)


def _among(positions: Floats, cell: ArrayLike | None, periodic: ArrayLike, max_rmsd: float) -> Surroundings:
    distance = nearest(positions, _NEAREST, cell, periodic).distance
    reach = REACH * float(np.median(distance)) if len(distance) else np.nan
    neighbours = find_neighbours(positions, reach, cell, periodic)
    match = match_templates(neighbours, max_rmsd)
    missing = complete_by_neighbours(neighbours, match, max_rmsd)
    return Surroundings(match, missing, np.zeros(len(positions), bool))
