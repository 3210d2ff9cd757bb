"""Which atom of one frame is which atom of the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Floats, Integers


def link(
    before: Floats,
    after: Floats,
    reach: float,
    before_numbers: NDArray[np.uint8] | None = None,
    after_numbers: NDArray[np.uint8] | None = None,
) -> Integers:
    """Return for each atom after the atom that it was before, -1 for one that is new.

    Of all ways to pair atoms of the same element, the one with the least sum of squared displacements is taken, where
    an atom that stays without a partner costs half of ``reach`` squared: the assignment problem of K. Jaqaman et al.,
    Nature Methods 5, 695 (2008), without gaps, splits or merges.

    Parameters
    ----------
    before, after
        (n, 3) and (m, 3), finite, in the same orientation.
    reach
        Largest displacement.
    before_numbers, after_numbers
        (n,) and (m,), atomic numbers.

    Examples
    --------
    >>> before = np.array([[0.0, 0, 0], [3, 0, 0]])
    >>> link(before, np.array([[3.1, 0, 0], [9, 0, 0], [0.2, 0, 0]]), reach=1.0)
    array([ 1, -1,  0])
    """
    links = np.full(len(after), -1, np.int64)
    if not len(before) or not len(after):
        return links
    near = cKDTree(before).sparse_distance_matrix(cKDTree(after), reach, output_type="coo_matrix")
    i, j, cost = near.row.astype(np.int64), near.col.astype(np.int64), near.data**2
    if before_numbers is not None and after_numbers is not None:
        same = before_numbers[i] == after_numbers[j]
        i, j, cost = i[same], j[same], cost[same]
    alone = (np.bincount(i, minlength=len(before))[i] == 1) & (np.bincount(j, minlength=len(after))[j] == 1)
    links[j[alone]] = i[alone]
    _assign(i[~alone], j[~alone], cost[~alone], 0.5 * reach * reach, links)
    return links


def _assign(i: Integers, j: Integers, cost: Floats, unlinked: float, links: Integers) -> None:
    """Solve the assignment of those atoms that have a choice; write it into `links`.

    Every atom gets a stand-in for having no partner, and the stand-ins are paired as their atoms could be, so that the
    matching is always complete. The solver takes no weight of zero, so all are larger by one: that changes no choice.
    """
    if not len(i):
        return
    rows, row = np.unique(i, return_inverse=True)
    columns, column = np.unique(j, return_inverse=True)
    n, m = len(rows), len(columns)
    left = np.concatenate([row, np.arange(n), n + np.arange(m), n + column])
    right = np.concatenate([column, m + np.arange(n), np.arange(m), m + row])
    weight = 1 + np.concatenate([cost, np.full(n + m, unlinked), np.zeros(len(cost))])
    graph = coo_array((weight, (left, right)), shape=(n + m, n + m)).tocsr()
    chosen_left, chosen_right = min_weight_full_bipartite_matching(graph)
    real = (chosen_left < n) & (chosen_right < m)
    links[columns[chosen_right[real]]] = rows[chosen_left[real]]
