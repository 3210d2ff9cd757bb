"""The nearest of the neighbours of each atom, nearest first."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.compiled import kernel


def nearest_points(neighbours: Neighbours, most: int) -> Integers32:
    """Return the nearest neighbours of each atom as points of the list, -1 where there are fewer.

    Parameters
    ----------
    neighbours
        Neighbours among which to choose.
    most
        How many.

    Returns
    -------
    Integers32
        (n, most), sorted by distance; of equally far ones the first in the list comes first.
    """
    return _nearest(neighbours.first, neighbours.point, neighbours.points, most)


@kernel
def _nearest(first: Integers, point: Integers32, points: Floats, most: int) -> Integers32:
    n = len(first) - 1
    chosen = np.full((n, most), -1, np.int32)
    squared = np.empty(most)
    for i in range(n):
        found = 0
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for e in range(first[i], first[i + 1]):
            k = point[e]
            d = (points[k, 0] - x) ** 2 + (points[k, 1] - y) ** 2 + (points[k, 2] - z) ** 2
            if found == most and d >= squared[most - 1]:
                continue
            place = min(found, most - 1)
            while place > 0 and squared[place - 1] > d:
                squared[place] = squared[place - 1]
                chosen[i, place] = chosen[i, place - 1]
                place -= 1
            squared[place] = d
            chosen[i, place] = k
            found = min(found + 1, most)
    return chosen
