"""The displacement maps of a stack on one grid of cells, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stemdask.analyses.images.cells import displacement
from stemdask.analyses.images.columns import lattice
from stemdask.analyses.images.stack import registration, rotation
from stemdask.kernels.arrays import Booleans, Integers
from stemdask.kernels.images.denoising.cell_grid import CellGrid, gather, lattice_steps, scatter, spanning
from stemdask.model import Array, Stack

#: Bytes of maps, and number of them, that methods without a block-wise form are fitted to.
SAMPLE_BYTES = 64 * 2**20
SAMPLE_FRAMES = 512
_PLACE = (displacement.Y, displacement.X)
_SHIFT = (registration.SHIFT_Y, registration.SHIFT_X)
_VECTORS = ((lattice.A_Y, lattice.A_X), (lattice.B_Y, lattice.B_X))
#: Grid places beyond which the indices can't be those of one crystal.
_MOST_PLACES = 20


@dataclass(frozen=True, slots=True)
class MapBlock:
    """The maps of a block of frames."""

    places: Integers
    """(frame, cell), flat grid places; -1 where there is no cell."""
    values: Array
    """(frame, 2, row, column), u and v, pm; NaN where missing."""
    noise: Array
    """(frame, 2, row, column), standard errors, pm; NaN where unknown or missing."""

    def cells(self, fields: Array) -> tuple[Array, Array]:
        """Take two fields (frame, 2, row, column) back to the cells, each (frame, cell)."""
        flat = fields.reshape(len(fields), 2, fields.shape[2] * fields.shape[3])
        return gather(flat[:, 0], self.places), gather(flat[:, 1], self.places)


class MapStack:
    """Maps of all frames on one grid.

    The same cell has the same place in every frame: where the lattice was indexed from another column in some frames,
    their indices are moved by whole lattice vectors, which the registration tells.

    Parameters
    ----------
    stack
        With the results of `displacement`.
    group
        Group of `u`, `v` and their errors: ``displacement`` or ``denoised``.
    """

    def __init__(self, stack: Stack, group: str = "displacement") -> None:
        self.stack = stack
        self.group = group
        self.vectors = _lattice_vectors(stack)
        self.steps = np.zeros((stack.n_frames, 2), dtype=np.int64)
        self.n_cells = np.zeros(stack.n_frames, dtype=np.int64)
        ranges = []
        first: Array | None = None
        for block in stack.blocks:
            i, j, present = self._indices(block)
            self.n_cells[block] = present.sum(axis=1)
            if stack.has(registration.SHIFT_Y.path):
                origins = self._origins(block, i, j, present)
                if first is None and np.isfinite(origins).all(axis=1).any():
                    first = origins[np.isfinite(origins).all(axis=1)][0]
                if first is not None:
                    self.steps[block] = lattice_steps(origins - first, self.vectors)
            i, j = i + self.steps[block, :1], j + self.steps[block, 1:]
            if present.any():
                i, j = i[present], j[present]
                ranges.append((int(i.min()), int(i.max()), int(j.min()), int(j.max())))
        grid = spanning(ranges)
        most = _MOST_PLACES * max(int(self.n_cells.max(initial=0)), 50)
        self.grid = grid if grid.size <= most else CellGrid(0, 0, 0, 0)
        """Empty where no frame has a cell, or where the indices scatter as those of no crystal do."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the grid."""
        return self.grid.shape

    @property
    def frames(self) -> Integers:
        """Frames that have cells."""
        return np.flatnonzero(self.n_cells)

    def blocks(self) -> Iterator[tuple[slice, MapBlock]]:
        """Read block after block."""
        for block in self.stack.blocks:
            yield block, self.read(block)

    def read(self, frames: slice) -> MapBlock:
        """Read the maps of some frames."""
        i, j, present = self._indices(frames)
        places = self.grid.place(i + self.steps[frames, :1], j + self.steps[frames, 1:], present)
        values, noise = (
            np.stack([self._field(name, places, frames) for name in names], axis=1)
            for names in (("u", "v"), ("u_err", "v_err"))
        )
        known = np.isfinite(values).all(axis=1, keepdims=True)  # u without v is no displacement
        return MapBlock(places, np.where(known, values, np.nan), np.where(known, noise, np.nan))

    def positions(self, frames: slice, places: Integers) -> Array:
        """Read where the cells lie, (frame, row, column, 2), nm, (y, x); NaN where there is none."""
        read = [np.asarray(self.stack.read(place.path, frames), dtype=float) for place in _PLACE]
        laid = [scatter(values, places, self.grid.size).reshape(len(values), *self.shape) for values in read]
        return np.stack(laid, axis=-1)

    def counts(self) -> Integers:
        """Return the number of frames that hold each cell, (row, column)."""
        total = np.zeros(self.shape, dtype=np.int64)
        for _, maps in self.blocks():
            total += np.isfinite(maps.values[:, 0]).sum(axis=0)
        return total

    def sample(self, most_frames: int = SAMPLE_FRAMES, most_bytes: int = SAMPLE_BYTES) -> tuple[Array, Array]:
        """Read maps spread evenly over the frames that have cells: values and noise, (frame, 2, row, column)."""
        wanted = max(min(most_frames, most_bytes // max(32 * self.grid.size, 1)), 1)
        chosen = self.frames
        if wanted < len(chosen):
            chosen = chosen[np.linspace(0, len(chosen) - 1, wanted).round().astype(np.int64)]
        values, noise = [np.empty((0, 2, *self.shape))], [np.empty((0, 2, *self.shape))]
        for block in self.stack.blocks:
            within = chosen[(chosen >= block.start) & (chosen < block.stop)] - block.start
            if within.size:
                maps = self.read(block)
                values.append(maps.values[within])
                noise.append(maps.noise[within])
        return np.concatenate(values), np.concatenate(noise)

    def _indices(self, frames: slice) -> tuple[Integers, Integers, Booleans]:
        read = self.stack.read
        # A metal has cells, of which none is displaced.
        needed = (read(variable.path, frames) for variable in (*_PLACE, displacement.U))
        present = np.all([np.isfinite(values) for values in needed], axis=0)
        of_cell = (displacement.I, displacement.J)
        i, j = (np.where(present, read(index.path, frames), 0).astype(np.int64) for index in of_cell)
        return i, j, present

    def _field(self, name: str, places: Integers, frames: slice) -> Array:
        values = np.asarray(self.stack.read(f"{self.group}/{name}", frames), dtype=float)
        return scatter(values, places, self.grid.size).reshape(len(values), *self.shape)

    def _origins(self, frames: slice, i: Integers, j: Integers, present: Booleans) -> Array:
        """Where index (0, 0) lies in each frame, drift removed: (frame, 2), nm, (y, x)."""
        origins = np.full((len(i), 2), np.nan)
        for axis, place in enumerate(_PLACE):
            position = np.asarray(self.stack.read(place.path, frames), dtype=float)
            offset = position - i * self.vectors[0, axis] - j * self.vectors[1, axis]
            for frame in np.flatnonzero(present.any(axis=1)):
                origins[frame, axis] = np.median(offset[frame, present[frame]])
        drift = np.column_stack([self.stack.read(shift.path, frames) for shift in _SHIFT])
        return np.asarray(origins - drift @ _turned(self.stack).T)


def _turned(stack: Stack) -> Array:
    """Return the matrix (2, 2) by which the coordinates of displacements are turned against those of the images."""
    angle = stack.read(rotation.ANGLE.path) if stack.has(rotation.ANGLE.path) else np.zeros(1)
    known = angle[np.isfinite(angle)]
    return rotation.Turn.by(float(known[0]) if len(known) else 0.0, 0.0, 0.0).matrix


def _lattice_vectors(stack: Stack) -> Array:
    """Median lattice vectors a and b of the stack as rows, (y, x), nm, in the coordinates of the displacements.

    Unit vectors where there are none.
    """
    if not stack.has(lattice.A_Y.path):
        return np.eye(2)[::-1]
    found = np.array([[np.asarray(stack.read(part.path), dtype=float) for part in vector] for vector in _VECTORS])
    usable = np.isfinite(found).all(axis=(0, 1))
    if not usable.any():
        return np.eye(2)[::-1]
    vectors: Array = np.median(found[..., usable], axis=-1) @ _turned(stack).T
    return vectors if abs(np.linalg.det(vectors)) > 1e-12 else np.eye(2)[::-1]
