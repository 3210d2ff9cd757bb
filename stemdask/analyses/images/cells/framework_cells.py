"""The cells that the A columns of a frame alone tell, as of a metal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.analyses.images.columns import lattice
from stemdask.kernels.images.crystal.strain import complete_cells, corners_of
from stemdask.model import Array, ImageFrame

_A = 0


class FrameworkCells(NamedTuple):
    """Cells that have their four A columns, grain after grain."""

    cells: Array
    """(n, 2), their indices (i, j)."""
    grain: Array
    """(n,), in which grain."""
    corners: Array
    """(n, 4), numbers of their columns in the frame."""


def framework_cells(frame: ImageFrame) -> FrameworkCells:
    """Return all cells of a frame that have their four A columns."""
    sublattice, grain = frame[lattice.SUBLATTICE], frame[lattice.GRAIN]
    found = FrameworkCells(*(np.empty(shape, np.int64) for shape in ((0, 2), 0, (0, 4))))
    for number in np.unique(grain[grain >= 0]):
        of = np.flatnonzero((grain == number) & (sublattice == _A))
        i, j = frame[lattice.I][of], frame[lattice.J][of]
        cells = complete_cells(i, j)
        parts = (cells, np.full(len(cells), number), of[corners_of(i, j, cells)])
        found = FrameworkCells(*(np.concatenate(pair) for pair in zip(found, parts, strict=True)))
    return found
