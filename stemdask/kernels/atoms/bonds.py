"""Bonds as pairs of atoms, and their mean length at each atom, from the lists of neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.atoms.neighbours import Neighbours


def bond_entries(neighbours: Neighbours) -> NDArray[np.intp]:
    """Return one entry of the lists for each bond, ordered by the smaller and then the larger number of its atoms.

    Two atoms are bonded if either is in the list of the other. In a small periodic box they can share several bonds;
    those of an atom with its own images are left out.
    """
    centre, other = neighbours.centre, neighbours.other
    if neighbours.symmetric:
        return np.flatnonzero(centre < other)
    low, high = np.minimum(centre, other), np.maximum(centre, other)
    _, entries = np.unique(low * (len(neighbours.first) - 1) + high, return_index=True)
    return entries[low[entries] < high[entries]]


def mean_bond_length(neighbours: Neighbours) -> NDArray[np.float64]:
    """Return the mean distance of the neighbours of each atom (n,); NaN where there are none."""
    n, counts = len(neighbours.first) - 1, neighbours.counts
    total = np.bincount(neighbours.centre, neighbours.distance, minlength=n)
    mean: NDArray[np.float64] = np.divide(total, counts, out=np.full(n, np.nan), where=counts > 0)
    return mean
