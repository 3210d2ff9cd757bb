"""All neighbours within a cutoff, in a particle or a periodic box, in O(n).

Atoms are sorted into cells as wide as the cutoff, x fastest, so that the neighbours of an atom lie in nine runs of
consecutive atoms. Each atom's hits are then read as "atom j is a neighbour of these" for j = 0, 1, ..., which leaves
every list sorted by atom number without sorting it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from stemdask.kernels.atoms.cells import Cells, Floats, Integers, sort_into_cells
from stemdask.kernels.atoms.periodic import images
from stemdask.kernels.atoms.workspace import Workspace


class Neighbours(NamedTuple):
    """Neighbours of each atom; those of atom i are the entries ``first[i]:first[i + 1]``, by atom number.

    A list from a cutoff is symmetric, and the vectors of i -> j and j -> i are exact opposites.
    """

    first: NDArray[np.int64]
    """(n + 1,)."""
    other: NDArray[np.int32]
    """(m,), the neighbouring atom; in a small periodic box it may come more than once, or be the atom itself."""
    vector: NDArray[np.float64]
    """(m, 3), from the atom to its neighbour, in the unit of the positions."""
    weight: NDArray[np.float64] | None = None
    """(m,), the share of the neighbour where they don't count the same."""
    symmetric: bool = True
    """Whether j -> i is in the list with every i -> j."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,), number of neighbours."""
        return np.diff(self.first)

    @property
    def centre(self) -> NDArray[np.int64]:
        """(m,), the atom whose neighbour each entry is."""
        return np.repeat(np.arange(len(self.first) - 1), self.counts)

    @property
    def distance(self) -> NDArray[np.float64]:
        """(m,), length of each vector."""
        length: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", self.vector, self.vector))
        return length


def find_neighbours(
    positions: ArrayLike,
    cutoff: float,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
    *,
    workspace: Workspace | None = None,
) -> Neighbours:
    """Return all neighbours at a distance of at most `cutoff`.

    Parameters
    ----------
    positions
        (n, 3). Atoms with a coordinate that isn't finite have no neighbours.
    cutoff
        Largest distance, in the unit of the positions; with NaN nobody has neighbours.
    cell
        (3, 3), rows are the cell vectors; None for an isolated particle.
    periodic
        One or three flags, along the cell vectors.
    workspace
        Memory to use again; what is returned lies in it and lasts until the next call with it.

    Raises
    ------
    ValueError
        The positions aren't (n, 3), or the cell has no volume.
    """
    xyz = np.ascontiguousarray(positions, float)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"positions must be (n, 3), got {xyz.shape}")
    n = len(xyz)
    space = workspace or Workspace()
    if not (cutoff > 0 and n):
        return Neighbours(np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty((0, 3)))
    owner, shift = np.empty(0, np.int32), np.empty((0, 3))
    if cell is not None and np.any(periodic):
        xyz, owner, shift = images(np.where(np.isfinite(xyz), xyz, np.nan), cutoff, cell, periodic)
    cells = sort_into_cells(xyz, owner, shift, cutoff, space)
    first, begin = (space.get(name, n + 1, np.int64) for name in ("first", "begin"))
    capacity = 14 * n + 64
    while True:
        hits = space.get("hits", capacity, np.int32)
        n_hits, complete = _search(cells, cutoff, xyz, owner, shift, hits, begin, first)
        if complete:
            break
        capacity = max(n_hits, capacity) * 9 // 8
    other = space.get("other", n_hits, np.int32)
    vector = space.get("vector", (n_hits, 3))
    _transpose(cells, xyz, owner, shift, hits, begin, first, space.get("next", n, np.int64), other, vector)
    return Neighbours(first, other, vector)


@njit(cache=True, nogil=True, error_model="numpy")
def _search(
    cells: Cells,
    cutoff: float,
    xyz: Floats,
    owner: Integers,
    shift: Floats,
    hits: Integers,
    begin: NDArray[np.int64],
    first: NDArray[np.int64],
) -> tuple[int, bool]:
    """Find the hits of every atom, as places in the order of the cells: ``hits[begin[i]:][:first[i + 1] - first[i]]``.

    Return how many there are, and False where there wasn't room for all.
    """
    n = len(xyz)
    x, y, z, order, start = cells.x, cells.y, cells.z, cells.order, cells.start
    # An atom and an image of it are rounded differently: take a little more, then decide by the exact distance.
    squared = cutoff * cutoff
    reach = squared * (1 + 1e-9) if len(owner) else squared
    first[:] = 0
    k = 0
    complete = True
    border = cells.layer + cells.row + 1
    for c in range(border, len(start) - 1 - border):
        for s in range(start[c], start[c + 1]):
            i = order[s]
            if i >= n:
                continue
            begin[i] = k
            for up in range(-1, 2):
                for along in range(-1, 2):
                    run = c + up * cells.layer + along * cells.row
                    low, high = start[run - 1], start[run + 2]
                    if k + high - low > len(hits):
                        complete = False
                        for t in range(low, high):
                            k += (x[t] - x[s]) ** 2 + (y[t] - y[s]) ** 2 + (z[t] - z[s]) ** 2 <= reach
                    else:
                        for t in range(low, high):
                            hits[k] = t
                            near = (x[t] - x[s]) ** 2 + (y[t] - y[s]) ** 2 + (z[t] - z[s]) ** 2 <= reach
                            k += near & (t != s)
            if len(owner) and complete:
                end = k
                k = begin[i]
                for h in range(begin[i], end):
                    hits[k] = hits[h]
                    dx, dy, dz = separation(xyz, owner, shift, i, order[hits[h]])
                    k += dx * dx + dy * dy + dz * dz <= squared
            first[i + 1] = k - begin[i]
    for i in range(n):
        first[i + 1] += first[i]
    return k, complete


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def separation(xyz: Floats, owner: Integers, shift: Floats, i: int, other: int) -> tuple[float, float, float]:
    """Return the vector from atom i to an atom or image; that from the other atom is its exact opposite."""
    n = len(xyz)
    if other < n:
        return xyz[other, 0] - xyz[i, 0], xyz[other, 1] - xyz[i, 1], xyz[other, 2] - xyz[i, 2]
    k = other - n
    j = owner[k]
    return (
        xyz[j, 0] - xyz[i, 0] + shift[k, 0],
        xyz[j, 1] - xyz[i, 1] + shift[k, 1],
        xyz[j, 2] - xyz[i, 2] + shift[k, 2],
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _transpose(
    cells: Cells,
    xyz: Floats,
    owner: Integers,
    shift: Floats,
    hits: Integers,
    begin: NDArray[np.int64],
    first: NDArray[np.int64],
    filled: NDArray[np.int64],
    neighbour: Integers,
    vector: Floats,
) -> None:
    """Enter atom j = 0, 1, ... into the list of each of its neighbours."""
    n = len(xyz)
    filled[:] = first[:n]
    for j in range(n):
        for h in range(begin[j], begin[j] + first[j + 1] - first[j]):
            other = cells.order[hits[h]]
            i = other if other < n else owner[other - n]
            k = filled[i]
            filled[i] = k + 1
            neighbour[k] = j
            dx, dy, dz = separation(xyz, owner, shift, j, other)
            vector[k, 0], vector[k, 1], vector[k, 2] = -dx, -dy, -dz
