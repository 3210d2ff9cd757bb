"""How far the bonds between each two elements reach: to the first minimum of their own radial distribution function."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import AnyIntegers, Booleans, Floats, Integers
from stemdask.kernels.atoms.rdf import first_minimum, pair_counts
from stemdask.kernels.atoms.workspace import Workspace

#: Elements whose first peak lies farther than this times the shortest of either are no neighbours: the second shell of
#: a body-centred crystal is at 1.155, oxygen in fluorite at 1.155 times the bond to the metal; between copper and gold,
#: an alloy of atoms that differ much in size, the longest is at 1.07.
_FARTHEST = 1.12
#: The first peak counts up to this multiple of its place, and tells how near an element comes where it has at least
#: this many bonds for each of its atoms: not that of a metal to a few molecules on it.
_AROUND, _USUAL = 1.1, 0.25
#: Pairs in the first peak below which a minimum isn't told.
_FEWEST = 12


class PairCutoffs(NamedTuple):
    """The first minimum of each pair of elements."""

    cutoff: Floats
    """(species, species), in the unit of the positions; 0 where two elements are no neighbours, NaN where there is no
    minimum."""
    error: Floats
    """(species, species), its standard error."""


def pair_cutoffs(
    positions: Floats,
    species: AnyIntegers,
    edges: Floats,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
    *,
    bonded: Floats | None = None,
    few: Floats | None = None,
    workspace: Workspace | None = None,
) -> PairCutoffs:
    """Find the first minimum of g(r) for each pair of elements.

    Of pairs too few to tell one it is that of all pairs together, unless something better is given.

    Parameters
    ----------
    positions
        (n, 3).
    species
        (n,), 0, 1, ... for each element.
    edges
        Of the bins of distance, evenly spaced from 0, beyond the second shell.
    cell, periodic
        The periodic box, as in `find_neighbours`.
    bonded
        (species, species), the longest bond of two elements that are neighbours also where one of them has another
        one much nearer, as carbon has hydrogen; 0 where there is none.
    few
        (species, species), the cutoff of pairs too few to tell a minimum, as of a molecule on a metal; 0 or NaN: that
        of all pairs.
    workspace
        Memory to use again.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms import bin_edges
    >>> salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(3)
    >>> sodium = (salt.numbers == 11).astype(int)
    >>> found = pair_cutoffs(salt.positions, sodium, bin_edges(8.0, 0.02), salt.cell[:])
    >>> found.cutoff > 2.82  # the like ones are too far apart to be neighbours
    array([[False,  True],
           [ True, False]])
    """
    n = int(species.max(initial=-1)) + 1

    def counts(inside: Booleans) -> Integers:
        return pair_counts(positions[inside], edges, cell, periodic, workspace=workspace)

    every = counts(np.ones(len(species), bool))
    common = first_minimum(every, edges)
    alone = [counts(species == a) for a in range(n)] if n > 1 else [every]
    peak, usual_peak = np.full((n, n), np.nan), np.full((n, n), np.nan)
    is_few = np.zeros((n, n), bool)
    n_atoms = np.bincount(species, minlength=n)
    cutoff, error = np.full((n, n), common.cutoff), np.full((n, n), common.error)
    for a in range(n):
        for b in range(a, n):
            pairs = alone[a] if a == b else counts((species == a) | (species == b)) - alone[a] - alone[b]
            found = first_minimum(pairs, edges)
            peak[a, b] = peak[b, a] = found.peak
            bonds = pairs[edges[1:] <= _AROUND * found.peak].sum()
            for one, other in ((a, b), (b, a)):
                if bonds >= _USUAL * n_atoms[one]:
                    usual_peak[one, other] = found.peak
            if found.cutoff > 0 and pairs[edges[1:] <= found.cutoff].sum() >= _FEWEST:
                cutoff[a, b] = cutoff[b, a] = found.cutoff
                error[a, b] = error[b, a] = found.error
            elif few is not None and few[a, b] > 0:
                cutoff[a, b] = cutoff[b, a] = few[a, b]
                error[a, b] = error[b, a] = np.nan
                is_few[a, b] = is_few[b, a] = True
    nearest: Floats = np.fmin.reduce(usual_peak, axis=1, initial=np.inf)
    nearest = np.where(np.isfinite(nearest), nearest, np.fmin.reduce(peak, axis=1, initial=np.inf))
    apart = ~(peak <= _FARTHEST * np.maximum(nearest[:, None], nearest[None]))
    apart &= ~is_few
    if bonded is not None:
        apart &= ~(peak <= bonded)
    cutoff[apart & (n > 1)] = 0.0
    error[apart & (n > 1)] = 0.0
    return PairCutoffs(cutoff, error)
