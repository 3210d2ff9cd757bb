"""Which atoms are in molecules: few atoms that are bonded to each other and to no others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import AnyIntegers, Booleans, Floats
from stemdask.kernels.atoms.components import connected_parts
from stemdask.kernels.atoms.neighbours import find_neighbours

#: Atoms of the largest molecule; larger ones are as good as a network.
_MOST = 100


def in_molecules(
    positions: Floats,
    species: AnyIntegers,
    longest: Floats,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
) -> Booleans:
    """Tell which atoms are in a molecule of at most a hundred atoms.

    Parameters
    ----------
    positions
        (n, 3).
    species
        (n,), 0, 1, ... for each element.
    longest
        (species, species), the longest bond of each two elements, also of those that are in no molecule.
    cell, periodic
        The periodic box, as in `find_neighbours`. What is bonded to its own images is a network, however few atoms a
        box holds of it.

    Returns
    -------
    Booleans
        (n,); single atoms are in none.

    Examples
    --------
    >>> from ase.build import molecule
    >>> pair = molecule("CO2")
    >>> pair += molecule("Ar")
    >>> pair.positions[3] += 8
    >>> species = np.unique(pair.numbers, return_inverse=True)[1]
    >>> in_molecules(pair.positions, species, np.full((3, 3), 1.6)).tolist()
    [True, True, True, False]
    """
    n = len(positions)
    near = find_neighbours(positions, float(np.max(longest, initial=0.0)), cell, periodic)
    i, j = near.centre, near.other
    bonded = near.distance <= longest[species[i], species[j]]
    i, j = i[bonded], j[bonded]
    size = _sizes(connected_parts(n, i, j))
    found: Booleans = (size > 1) & (size <= _MOST)
    if cell is not None and np.any(periodic) and found.any():
        # Each atom in eight neighbouring boxes: a molecule stays as large as it is, a network becomes larger.
        box = np.asarray(cell, float)
        shift = near.vector[bonded] - (near.points[j] - near.points[i])
        step = (np.rint(shift @ np.linalg.inv(box)).astype(np.int64) % 2) @ np.array([1, 2, 4])
        boxes = np.arange(8)[:, None]
        whole = _sizes(connected_parts(8 * n, (boxes * n + i).ravel(), ((boxes ^ step) * n + j).ravel()))
        found &= whole[:n] == size
    return found


def _sizes(parts: AnyIntegers) -> AnyIntegers:
    return np.bincount(parts)[parts]
