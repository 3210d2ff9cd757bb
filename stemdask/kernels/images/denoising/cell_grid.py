"""Between the cells of a frame, in any order and number, and the grid of lattice rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Booleans, Floats, Integers


@dataclass(frozen=True, slots=True)
class CellGrid:
    """The smallest grid of lattice indices that holds every cell of a stack."""

    first_i: int
    first_j: int
    rows: int
    """Number of lattice rows, along index `j`."""
    columns: int
    """Number of lattice columns, along index `i`."""

    @property
    def size(self) -> int:
        """Number of grid places."""
        return self.rows * self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    def place(self, i: AnyIntegers, j: AnyIntegers, present: Booleans) -> Integers:
        """Return the flat grid place of every cell; -1 where `present` is False or the cell lies off the grid.

        Parameters
        ----------
        i, j
            Cell indices, any shape.
        present
            False for padding, same shape.
        """
        column = np.asarray(i, dtype=np.int64) - self.first_i
        row = np.asarray(j, dtype=np.int64) - self.first_j
        inside = present & (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)
        return np.where(inside, row * self.columns + column, -1)


def spanning(ranges: Sequence[tuple[int, int, int, int]]) -> CellGrid:
    """Return the grid over ranges (least i, greatest i, least j, greatest j), one for each block of frames."""
    if not ranges:
        return CellGrid(0, 0, 0, 0)
    least_i, greatest_i, least_j, greatest_j = np.asarray(ranges, dtype=np.int64).T
    first_i, first_j = int(least_i.min()), int(least_j.min())
    return CellGrid(first_i, first_j, int(greatest_j.max()) - first_j + 1, int(greatest_i.max()) - first_i + 1)


def scatter(values: Floats, places: Integers, size: int) -> Floats:
    """Lay the cells of each frame on the grid.

    Parameters
    ----------
    values
        (frame, cell), any unit.
    places
        (frame, cell), flat grid places; -1 is left out.
    size
        Number of grid places.

    Returns
    -------
    (frame, size); NaN where a frame has no cell.
    """
    laid = np.full((len(values), size), np.nan)
    frame, cell = np.nonzero(places >= 0)
    laid[frame, places[frame, cell]] = values[frame, cell]
    return laid


def gather(laid: Floats, places: Integers) -> Floats:
    """Take the cells of each frame back from the grid; (frame, cell), NaN where a place is -1."""
    if laid.shape[1] == 0:
        return np.full(places.shape, np.nan)
    taken = np.take_along_axis(laid, np.maximum(places, 0), axis=1)
    return np.where(places >= 0, taken, np.nan)


def lattice_steps(points: Floats, vectors: Floats) -> Integers:
    """Return how many whole lattice vectors each point lies away from zero.

    A lattice that was indexed from another column in every frame is brought to one origin by these steps.

    Parameters
    ----------
    points
        (n, 2), nm, (y, x): origin of each frame less that of the first, drift removed.
    vectors
        (2, 2), nm: lattice vectors a and b as rows, (y, x).

    Returns
    -------
    (n, 2), steps along a and b; 0 where a point is not finite.
    """
    steps = np.linalg.solve(vectors.T, np.where(np.isfinite(points), points, 0.0).T).T
    whole: Integers = np.rint(steps).astype(np.int64)
    return whole
