"""Coordination numbers with a cutoff for each pair of elements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.workspace import Workspace
from stemdask.kernels.compiled import kernel


class Coordination(NamedTuple):
    """How many neighbours each atom has."""

    number: Integers32
    """(n,)."""
    same_element: Integers32
    """(n,), those of its own element."""


def coordination(
    positions: ArrayLike,
    numbers: ArrayLike,
    reach: ArrayLike,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
    *,
    workspace: Workspace | None = None,
) -> Coordination:
    """Count the atoms that are closer than the mean of the reaches of both.

    Parameters
    ----------
    positions
        (n, 3).
    numbers
        (n,), atomic numbers.
    reach
        (n,), the distance below which two atoms of this kind are neighbours, in the unit of the positions.
    cell, periodic
        The periodic box, as in `find_neighbours`.
    workspace
        Memory to use again.
    """
    reach = np.ascontiguousarray(reach, float)
    numbers = np.ascontiguousarray(numbers, np.uint8)
    neighbours = find_neighbours(positions, float(reach.max(initial=0.0)), cell, periodic, workspace=workspace)
    number, same = np.zeros((2, len(numbers)), np.int32)
    _count(neighbours.first, neighbours.other, neighbours.point, neighbours.points, numbers, reach, number, same)
    return Coordination(number, same)


@kernel
def _count(
    first: Integers,
    other: Integers32,
    point: Integers32,
    points: Floats,
    numbers: NDArray[np.uint8],
    reach: Floats,
    number: Integers32,
    same: Integers32,
) -> None:
    for i in range(len(numbers)):
        for e in range(first[i], first[i + 1]):
            j, p = other[e], point[e]
            d = np.sqrt(
                (points[p, 0] - points[i, 0]) ** 2
                + (points[p, 1] - points[i, 1]) ** 2
                + (points[p, 2] - points[i, 2]) ** 2
            )
            if d < 0.5 * (reach[i] + reach[j]):
                number[i] += 1
                same[i] += numbers[i] == numbers[j]
