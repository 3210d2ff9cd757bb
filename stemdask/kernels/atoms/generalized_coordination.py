"""Coordination weighted by how well coordinated the neighbours are."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.atoms.neighbours import Neighbours


def generalized_coordination(neighbours: Neighbours, bulk: int = 12) -> Floats:
    """Return the generalized coordination number of each atom: its neighbours, each counted by its own coordination.

    ``sum over neighbours of cn(neighbour) / bulk``: 12 inside an fcc crystal, 7.5 on a {111} facet, 6.67 on a {100}
    one; F. Calle-Vallejo et al., Angew. Chem. Int. Ed. 53, 8316 (2014).

    Parameters
    ----------
    neighbours
        Nearest neighbours.
    bulk
        Coordination number of the bulk.

    Examples
    --------
    >>> from ase.cluster import Octahedron
    >>> from stemdask.kernels.atoms import find_neighbours
    >>> particle = Octahedron("Pt", 7, cutoff=2).positions
    >>> found = generalized_coordination(find_neighbours(particle, 3.3))
    >>> round(float(found.min()), 2), float(found.max())
    (4.25, 12.0)
    """
    counts = neighbours.counts
    return np.bincount(neighbours.centre, counts[neighbours.other].astype(float), len(counts)) / bulk
