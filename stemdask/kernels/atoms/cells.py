"""Atoms sorted into cells, the ground of every search by distance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats, Integers32
from stemdask.kernels.atoms.workspace import Workspace
from stemdask.kernels.compiled import kernel

#: Cells along x in the width of one, so that a run of neighbouring ones is hardly longer than it must be.
FINE = 3


class Cells(NamedTuple):
    """Atoms in the order of their cells; ``start[c]:start[c + 1]`` is cell c, and along x cells follow each other.

    What lies within one width of cell c is, in its own row and in those around, from cell c - FINE to c + FINE. Empty
    cells surround the grid, so that all of these exist.
    """

    x: Floats
    y: Floats
    z: Floats
    """One longer than there are atoms, so that the one after any may be read."""
    order: Integers32
    """Number of each atom before sorting."""
    rank: Integers32
    """Place of each atom after sorting; -1 where a coordinate isn't finite."""
    start: Integers32
    row: int
    """From a cell to the next along y."""
    layer: int
    """From a cell to the next along z."""


class _Grid(NamedTuple):
    """The lowest corner of all that is finite, the inverse of the width of a cell, and the number of cells."""

    x0: float
    y0: float
    z0: float
    inverse: float
    nx: int
    ny: int
    nz: int


def sort_into_cells(
    positions: Floats,
    owner: Integers32,
    shift: Floats,
    width: float,
    workspace: Workspace,
) -> Cells:
    """Sort atoms, and the images ``positions[owner] + shift`` after them, into cells at least `width` wide.

    Atoms within `width` of each other are in the same cell or in adjacent ones. Cells are wider than `width` where
    the atoms are so sparse that the grid would need much more memory than they do.
    """
    total = len(positions) + len(owner)
    x, y, z = (workspace.get(name, total + 1) for name in ("x", "y", "z"))
    order, rank, home = (workspace.get(name, total, np.int32) for name in ("order", "rank", "home"))
    grid = _grid(positions, owner, shift, width)
    start = workspace.get("start", grid.nx * grid.ny * grid.nz + 1, np.int32)
    cells = Cells(x, y, z, order, rank, start, grid.nx, grid.nx * grid.ny)
    _count_sort(positions, owner, shift, grid, home, cells)
    return cells


@kernel(inline="always")
def place(positions: Floats, owner: Integers32, shift: Floats, i: int) -> tuple[float, float, float]:
    """Return the coordinates of atom i, or of an image where i counts on beyond the atoms."""
    n = len(positions)
    if i < n:
        return positions[i, 0], positions[i, 1], positions[i, 2]
    j, k = owner[i - n], i - n
    return positions[j, 0] + shift[k, 0], positions[j, 1] + shift[k, 1], positions[j, 2] + shift[k, 2]


@kernel
def _grid(positions: Floats, owner: Integers32, shift: Floats, width: float) -> _Grid:
    x0 = y0 = z0 = np.inf
    x1 = y1 = z1 = -np.inf
    total = len(positions) + len(owner)
    for i in range(total):
        x, y, z = place(positions, owner, shift, i)
        if np.isfinite(x + y + z):
            x0, x1 = min(x0, x), max(x1, x)
            y0, y1 = min(y0, y), max(y1, y)
            z0, z1 = min(z0, z), max(z1, z)
    if x0 > x1:
        x0 = y0 = z0 = x1 = y1 = z1 = 0.0
    largest = max(abs(x0), abs(x1), abs(y0), abs(y1), abs(z0), abs(z1))
    inverse = 1.0 / max(width * (1 + 1e-9), 1e-9 * largest)
    while True:
        nx = np.floor((x1 - x0) * inverse * FINE) + 1
        ny, nz = np.floor((y1 - y0) * inverse) + 1, np.floor((z1 - z0) * inverse) + 1
        if nx * ny * nz <= FINE * (2.0 * total + 64):
            return _Grid(x0, y0, z0, inverse, int(nx) + 2 * FINE, int(ny) + 2, int(nz) + 2)
        inverse /= 1.2


@kernel
def _count_sort(
    positions: Floats, owner: Integers32, shift: Floats, grid: _Grid, home: Integers32, cells: Cells
) -> None:
    """Fill the cells, keeping the order of the atoms within each; `home` is scratch, one number an atom."""
    x, y, z, order, rank, start, row, layer = cells
    x0, y0, z0, inverse, _, _, _ = grid
    total = len(positions) + len(owner)
    start[:] = 0
    for i in range(total):
        xi, yi, zi = place(positions, owner, shift, i)
        if np.isfinite(xi + yi + zi):
            line = (int((zi - z0) * inverse) + 1) * layer + (int((yi - y0) * inverse) + 1) * row
            home[i] = line + int((xi - x0) * inverse * FINE) + FINE
            start[home[i] + 1] += 1
        else:
            home[i] = -1
    for c in range(1, len(start)):
        start[c] += start[c - 1]
    for i in range(total):
        rank[i] = -1
        if home[i] >= 0:
            # start[c] runs to the end of its cell here and is put back below.
            s = start[home[i]]
            start[home[i]] = s + 1
            rank[i] = s
            order[s] = i
            x[s], y[s], z[s] = place(positions, owner, shift, i)
    for c in range(len(start) - 1, 0, -1):
        start[c] = start[c - 1]
    start[0] = 0
