"""The mean distance of nearest neighbours, whatever the unit of length."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Floats
from stemdask.kernels.atoms.neighbour_rules import nearest
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.rdf import bin_edges, first_minimum, pair_counts

#: g(r) is looked at to this multiple of the distance of the nearest atom, in bins of this fraction of it.
_LONGEST, _BIN = 3.0, 0.007


def mean_bond(positions: Floats, cell: ArrayLike | None = None, periodic: ArrayLike = True) -> float:
    """Return the mean distance of all pairs up to the first minimum of g(r); NaN where there is none.

    Parameters
    ----------
    positions
        (n, 3), in any unit.
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> copper = bulk("Cu", cubic=True).repeat(3)
    >>> round(mean_bond(copper.positions, copper.cell[:]), 3)
    2.553
    """
    shortest = nearest(positions, 1, cell, periodic).distance
    middle = float(np.median(shortest)) if len(shortest) else 0.0
    if not middle > 0:
        return np.nan
    edges = bin_edges(_LONGEST * middle, _BIN * middle)
    cutoff = first_minimum(pair_counts(positions, edges, cell, periodic), edges).cutoff
    distances = find_neighbours(positions, cutoff, cell, periodic).distance
    return float(distances.mean()) if len(distances) else np.nan
