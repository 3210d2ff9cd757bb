"""Maps on the cell grid as the rows of a matrix: a row for each frame, or for each lattice row of each frame.

The first finds what moves together in time, the second what repeats from one lattice row to the next, which is all
that a single frame has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Booleans, Floats, Integers

#: Cells that fewer of the frames hold stay out of the decomposition.
LEAST_PRESENT = 0.5
#: Side, in cells, of the groups held out together: neighbours share columns, and with them noise.
HELD_SIDE = 3


@dataclass(frozen=True, slots=True)
class MapLayout:
    """How fields (frame, 2, row, column) become rows (n, p) and back; the axis of length 2 holds u and v."""

    by_frame: bool
    """True: one row a frame, u and v of its cells beside each other. False: one row a lattice row of a frame."""
    kept: Booleans
    """(2 · row · column,) or (2 · column,): entries of a row that are decomposed."""

    @property
    def width(self) -> int:
        """Number of columns, p."""
        return int(self.kept.sum())

    def rows(self, fields: Floats) -> Floats:
        """Return fields (frame, 2, row, column) as rows (n, p)."""
        wide = fields.reshape(len(fields), len(self.kept)) if self.by_frame else _by_lattice_row(fields)
        return wide[:, self.kept]

    def fields(self, rows: Floats, shape: tuple[int, int]) -> Floats:
        """Return rows (n, p) as fields (frame, 2, row, column); NaN where an entry isn't kept."""
        wide = np.full((len(rows), len(self.kept)), np.nan)
        wide[:, self.kept] = rows
        if self.by_frame:
            return wide.reshape(len(rows), 2, *shape)
        return wide.reshape(len(rows) // max(shape[0], 1), shape[0], 2, shape[1]).swapaxes(1, 2)

    def folds(self, shape: tuple[int, int]) -> Integers:
        """Return the group, 0 ... 3, of each of the p columns; u and v of nearby cells belong to one group."""
        row, column = np.indices(shape if self.by_frame else (1, shape[1])) // HELD_SIDE
        # Neighbouring squares fall into different groups, as the colours of a knight's-move tiling.
        group = (2 * row + column) % 4
        return np.tile(group.ravel(), 2)[self.kept]


def by_frames(counts: AnyIntegers, n_frames: int) -> MapLayout:
    """Return the layout of one row a frame, for cells present in `counts` (row, column) of `n_frames` frames."""
    return MapLayout(True, np.tile(counts.ravel() >= max(LEAST_PRESENT * n_frames, 1), 2))


def by_lattice_rows(counts: AnyIntegers) -> MapLayout:
    """Return the layout of one row a lattice row of a frame."""
    return MapLayout(False, np.tile((counts > 0).any(axis=0), 2))


def _by_lattice_row(fields: Floats) -> Floats:
    return fields.swapaxes(1, 2).reshape(len(fields) * fields.shape[2], 2 * fields.shape[3])
