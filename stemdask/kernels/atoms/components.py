"""Connected parts of a graph of atoms, numbered by size."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stemdask.kernels.arrays import AnyIntegers, Integers, Integers32


def connected_parts(n: int, i: AnyIntegers, j: AnyIntegers) -> Integers32:
    """Return the connected part to which each of `n` nodes belongs, given the pairs (i, j) that are joined.

    Parts are numbered in the order of their first node.

    Parameters
    ----------
    n
        Number of nodes.
    i, j
        (m,), the nodes of each pair, 0 to n - 1.

    Returns
    -------
    numpy.ndarray
        (n,), number of the part of each node.

    Examples
    --------
    >>> connected_parts(5, np.array([0, 1, 3]), np.array([1, 2, 4]))
    array([0, 0, 0, 1, 1], dtype=int32)
    """
    graph = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
    labels: Integers32 = connected_components(graph, directed=False)[1]
    return labels


def largest_first(parts: AnyIntegers, min_size: int = 1) -> tuple[Integers32, Integers]:
    """Give parts new numbers by size, equally large ones by their first node.

    Parameters
    ----------
    parts
        (n,), part of each node; -1 where it is in none.
    min_size
        Nodes of smaller parts become -1.

    Returns
    -------
    label
        (n,).
    sizes
        (m,), nodes in each part.

    Examples
    --------
    >>> largest_first(np.array([0, 1, 1, 1, 2, 2]), min_size=2)
    (array([-1,  0,  0,  0,  1,  1], dtype=int32), array([3, 2]))
    """
    names, start, inverse, sizes = np.unique(parts, return_index=True, return_inverse=True, return_counts=True)
    wanted = np.flatnonzero((names >= 0) & (sizes >= min_size))
    wanted = wanted[np.lexsort((start[wanted], -sizes[wanted]))]
    new = np.full(len(names), -1, np.int32)
    new[wanted] = np.arange(len(wanted))
    return new[inverse], sizes[wanted].astype(np.int64)
