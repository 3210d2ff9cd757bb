"""Warren-Cowley parameters: whether elements prefer each other as neighbours, shell by shell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Floats, Integers
from stemdask.kernels.atoms.fractions import fraction
from stemdask.kernels.atoms.kinds import BCC, CUBIC_DIAMOND, FCC, HCP, HEXAGONAL_DIAMOND, SIMPLE_CUBIC
from stemdask.kernels.atoms.neighbours import Neighbours

#: Distances of the shells of a lattice, in units of the first.
SHELLS = {
    FCC: np.sqrt([1, 2, 3, 4, 5]),
    HCP: np.sqrt([1, 2, 8 / 3]),
    BCC: np.sqrt([1, 4 / 3, 8 / 3, 11 / 3, 4]),
    SIMPLE_CUBIC: np.sqrt([1, 2, 3, 4, 5]),
    CUBIC_DIAMOND: np.sqrt([1, 8 / 3, 11 / 3, 16 / 3, 19 / 3]),
    HEXAGONAL_DIAMOND: np.sqrt([1, 8 / 3]),
}


class ShortRangeOrder(NamedTuple):
    """Warren-Cowley parameters of an element around another, by shell."""

    parameter: Floats
    """(species, species, shells), α of [around, of]: below 0 they prefer each other, above 0 they avoid each other;
    NaN where there are no neighbours."""
    error: Floats
    """(species, species, shells), its standard error, as if each bond were independent."""
    neighbours: Integers
    """(species, species, shells), neighbours counted."""


def shell_edges(kind: int, distance: float, n_shells: int) -> Floats:
    """Return the outer radii of the first shells of a lattice: midway to the next; NaN beyond those that are known.

    Parameters
    ----------
    kind
        The lattice, of `SHELLS`.
    distance
        Of nearest neighbours.
    n_shells
        How many.

    Returns
    -------
    numpy.ndarray
        (n_shells,), in the unit of `distance`.

    Examples
    --------
    >>> shell_edges(FCC, 2.77, 3).round(2)
    array([3.34, 4.36, 5.17])
    """
    known = SHELLS[kind] * distance
    middle = (known[:-1] + known[1:]) / 2
    edges = np.full(n_shells, np.nan)
    edges[: len(middle)] = middle[:n_shells]
    return edges


def short_range_order(neighbours: Neighbours, species: AnyIntegers, n_species: int, edges: Floats) -> ShortRangeOrder:
    """Return the Warren-Cowley parameters α_AB = 1 - P(B | neighbour of A) / c_B of each shell.

    Parameters
    ----------
    neighbours
        All atoms up to the last edge.
    species
        (n,), 0, 1, ... for each element; -1 for atoms that are left out.
    n_species
        Number of elements.
    edges
        (shells,), outer radius of each, ascending; NaN where there is none.

    Notes
    -----
    J. M. Cowley, Phys. Rev. 77, 669 (1950). The concentration c_B is that of all atoms: in a particle whose surface has
    another composition than its core, α is different from 0 for that alone.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms.neighbours import find_neighbours
    >>> alloy = bulk("NiAl", "cesiumchloride", a=2.88)
    >>> near = find_neighbours(alloy.positions, 3.0, alloy.cell[:])
    >>> short_range_order(near, [0, 1], 2, np.array([2.7, 3.0])).parameter[0, 1]
    array([-1.,  1.])
    """
    code = np.asarray(species)
    shell = np.searchsorted(np.where(np.isfinite(edges), edges, np.inf), neighbours.distance)
    shell[neighbours.distance > np.nanmax(edges, initial=0.0)] = len(edges)
    a, b = code[neighbours.centre], code[neighbours.other]
    inside = (a >= 0) & (b >= 0) & (shell < len(edges))
    shape = (n_species, n_species, len(edges))
    place = np.ravel_multi_index((a[inside], b[inside], shell[inside]), shape)
    counts = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)
    whole = counts.sum(axis=1, keepdims=True)
    found = fraction(counts, np.broadcast_to(whole, shape))
    concentration = np.bincount(code[code >= 0], minlength=n_species) / max((code >= 0).sum(), 1)
    by = np.where(concentration > 0, concentration, np.nan)[None, :, None]
    return ShortRangeOrder(1 - found.value / by, found.error / by, counts)
