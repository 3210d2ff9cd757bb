"""Atoms sorted into cells, the ground of every search by distance."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stemdask.kernels.atoms.workspace import Workspace

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int32]


class Cells(NamedTuple):
    """Atoms in the order of their cells; ``start[c]:start[c + 1]`` is cell c, and along x cells follow each other.

    A layer of empty cells surrounds the grid, so that every neighbouring cell exists.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    order: NDArray[np.int32]
    """Number of each atom before sorting."""
    rank: NDArray[np.int32]
    """Place of each atom after sorting; -1 where a coordinate isn't finite."""
    start: NDArray[np.int32]
    row: int
    """From a cell to the next along y."""
    layer: int
    """From a cell to the next along z."""


def sort_into_cells(
    positions: NDArray[np.float64],
    owner: NDArray[np.int32],
    shift: NDArray[np.float64],
    width: float,
    workspace: Workspace,
) -> Cells:
    """Sort atoms, and the images ``positions[owner] + shift`` after them, into cells at least `width` wide.

    Atoms within `width` of each other are in the same cell or in adjacent ones. Cells are wider than `width` where
    the atoms are so sparse that the grid would need much more memory than they do.
    """
    total = len(positions) + len(owner)
    x, y, z = (workspace.get(name, total) for name in ("x", "y", "z"))
    order, rank, home = (workspace.get(name, total, np.int32) for name in ("order", "rank", "home"))
    low, high = _extent(positions, owner, shift)
    inverse = 1 / max(width * (1 + 1e-9), 1e-9 * float(np.abs([low, high]).max()))
    while np.prod(shape := np.floor((high - low) * inverse) + 1) > 2.0 * total + 64:
        inverse /= 1.2
    nx, ny, nz = (int(cells) + 2 for cells in shape)
    start = workspace.get("start", nx * ny * nz + 1, np.int32)
    _count_sort(positions, owner, shift, low, inverse, nx, nx * ny, start, home, order, rank, x, y, z)
    return Cells(x, y, z, order, rank, start, nx, nx * ny)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def place(positions: Floats, owner: Integers, shift: Floats, i: int) -> tuple[float, float, float]:
    """Return the coordinates of atom i, or of an image where i counts on beyond the atoms."""
    n = len(positions)
    if i < n:
        return positions[i, 0], positions[i, 1], positions[i, 2]
    j, k = owner[i - n], i - n
    return positions[j, 0] + shift[k, 0], positions[j, 1] + shift[k, 1], positions[j, 2] + shift[k, 2]


@njit(cache=True, nogil=True, error_model="numpy")
def _extent(positions: Floats, owner: Integers, shift: Floats) -> tuple[Floats, Floats]:
    """Return the corners of the bounding box of all that is finite."""
    x0 = y0 = z0 = np.inf
    x1 = y1 = z1 = -np.inf
    for i in range(len(positions) + len(owner)):
        x, y, z = place(positions, owner, shift, i)
        if np.isfinite(x + y + z):
            x0, x1 = min(x0, x), max(x1, x)
            y0, y1 = min(y0, y), max(y1, y)
            z0, z1 = min(z0, z), max(z1, z)
    if x0 > x1:
        return np.zeros(3), np.zeros(3)
    return np.array([x0, y0, z0]), np.array([x1, y1, z1])


@njit(cache=True, nogil=True, error_model="numpy")
def _count_sort(
    positions: Floats,
    owner: Integers,
    shift: Floats,
    low: Floats,
    inverse: float,
    row: int,
    layer: int,
    start: Integers,
    home: Integers,
    order: Integers,
    rank: Integers,
    x: Floats,
    y: Floats,
    z: Floats,
) -> None:
    """Sort by cell, keeping the order of the atoms within each."""
    total = len(positions) + len(owner)
    start[:] = 0
    for i in range(total):
        xi, yi, zi = place(positions, owner, shift, i)
        if np.isfinite(xi + yi + zi):
            cell = int((zi - low[2]) * inverse) * layer + int((yi - low[1]) * inverse) * row
            home[i] = cell + int((xi - low[0]) * inverse) + layer + row + 1
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
