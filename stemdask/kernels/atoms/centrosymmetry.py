"""How far the surroundings of an atom are from having a centre of symmetry: defects and surfaces have none."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Floats, Integers
from stemdask.kernels.atoms.neighbour_rules import nearest
from stemdask.kernels.compiled import kernel


def centrosymmetry(
    positions: ArrayLike, n_neighbours: int = 12, cell: ArrayLike | None = None, periodic: ArrayLike = True
) -> Floats:
    """Return the centrosymmetry parameter of each atom, in the square of the unit of the positions.

    Of the sums r_j + r_k of the vectors to any two of the N nearest neighbours, the N/2 shortest are taken, and their
    squared lengths added. A crystal with a centre of symmetry at each atom has 0; coordinates that scatter by σ along
    each axis raise that to at most 9 N σ² on average.

    Parameters
    ----------
    positions
        (n, 3).
    n_neighbours
        Nearest neighbours in the perfect crystal: 12 in fcc and hcp, 8 in bcc, 6 in simple cubic ones.
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Returns
    -------
    Floats
        (n,); NaN for atoms that have fewer neighbours.

    Raises
    ------
    ValueError
        The number of neighbours is odd or not positive.

    Notes
    -----
    C. L. Kelchner, S. J. Plimpton & J. C. Hamilton, Phys. Rev. B 58, 11085 (1998); pairs as in LAMMPS and OVITO.

    Examples
    --------
    >>> from ase.build import bulk
    >>> copper = bulk("Cu", cubic=True)
    >>> centrosymmetry(copper.positions, 12, copper.cell[:]).round(9)
    array([0., 0., 0., 0.])
    """
    if n_neighbours < 2 or n_neighbours % 2:
        raise ValueError(f"the number of neighbours must be even and positive, got {n_neighbours}")
    neighbours = nearest(positions, n_neighbours, cell, periodic)
    return _shortest_sums(neighbours.first, neighbours.vector, n_neighbours)


@kernel
def _shortest_sums(first: Integers, vector: Floats, n_neighbours: int) -> Floats:
    n = len(first) - 1
    found = np.full(n, np.nan)
    sums = np.empty(n_neighbours * (n_neighbours - 1) // 2)
    for i in range(n):
        if first[i + 1] - first[i] < n_neighbours:
            continue
        m = 0
        for j in range(first[i], first[i + 1]):
            for k in range(first[i], j):
                x, y, z = vector[j, 0] + vector[k, 0], vector[j, 1] + vector[k, 1], vector[j, 2] + vector[k, 2]
                sums[m] = x * x + y * y + z * z
                m += 1
        found[i] = np.sort(sums)[: n_neighbours // 2].sum()
    return found
