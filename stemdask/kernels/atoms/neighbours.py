"""All neighbours within a cutoff, in a particle or a periodic box, in O(n).

Atoms are sorted into cells as wide as the cutoff, x fastest, so that the neighbours which follow an atom in this order
lie in five runs of consecutive atoms. The lists are then read as "atom j is a neighbour of these" for j = 0, 1, ...,
which leaves every list sorted by atom number without sorting it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.atoms.cells import FINE, Cells, sort_into_cells
from stemdask.kernels.atoms.periodic import images
from stemdask.kernels.atoms.workspace import Workspace
from stemdask.kernels.compiled import kernel


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of each atom; those of atom i are the entries ``first[i]:first[i + 1]``, by atom number.

    Neighbours are points: the atoms, followed by the images of them that a periodic box needs.
    """

    first: Integers
    """(n + 1,)."""
    point: Integers32
    """(m,), the neighbouring point."""
    points: Floats
    """(n + images, 3)."""
    owner: Integers32 | None = None
    """(n + images,), the atom that each point is or is an image of; None without images."""
    weight: Floats | None = None
    """(m,), the share of the neighbour where they don't count the same."""
    symmetric: bool = True
    """Whether j -> i is in the list with every i -> j."""

    @classmethod
    def from_vectors(cls, first: Integers, other: Integers32, vector: Floats, *, symmetric: bool = False) -> Neighbours:
        """Make a list of neighbours that are given as atoms (m,) and vectors to them (m, 3)."""
        n, m = len(first) - 1, len(other)
        points = np.vstack([np.zeros((n, 3)), vector])
        owner = np.concatenate([np.arange(n, dtype=np.int32), other])
        return cls(first, np.arange(n, n + m, dtype=np.int32), points, owner, symmetric=symmetric)

    @cached_property
    def other(self) -> Integers32:
        """(m,), the neighbouring atom; in a small box it may come more than once, or be the atom itself."""
        return self.point if self.owner is None else self.owner[self.point]

    @cached_property
    def owners(self) -> Integers32:
        """(n + images,), the atom that each point is or is an image of."""
        return np.arange(len(self.points), dtype=np.int32) if self.owner is None else self.owner

    @cached_property
    def counts(self) -> Integers:
        """(n,), number of neighbours."""
        return np.diff(self.first)

    @cached_property
    def centre(self) -> Integers:
        """(m,), the atom whose neighbour each entry is."""
        return np.repeat(np.arange(len(self.first) - 1), self.counts)

    @cached_property
    def vector(self) -> Floats:
        """(m, 3), from the atom to its neighbour, in the unit of the positions."""
        vector: Floats = self.points[self.point] - self.points[self.centre]
        return vector

    @cached_property
    def distance(self) -> Floats:
        """(m,), length of each vector."""
        length: Floats = np.sqrt(np.einsum("ij,ij->i", self.vector, self.vector))
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

    Examples
    --------
    >>> from ase.build import bulk
    >>> copper = bulk("Cu")
    >>> near = find_neighbours(copper.positions, 3.0, copper.cell[:])
    >>> near.counts, near.distance[:3].round(3)
    (array([12]), array([2.553, 2.553, 2.553]))
    """
    xyz = np.ascontiguousarray(positions, float)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"positions must be (n, 3), got {xyz.shape}")
    n = len(xyz)
    space = workspace or Workspace()
    if not (cutoff > 0 and n):
        return Neighbours(np.zeros(n + 1, np.int64), np.empty(0, np.int32), xyz)
    owner, shift = np.empty(0, np.int32), np.empty((0, 3))
    if cell is not None and np.any(periodic):
        xyz, owner, shift = images(np.where(np.isfinite(xyz), xyz, np.nan), cutoff, cell, periodic)
    cells = sort_into_cells(xyz, owner, shift, cutoff, space)
    n_sorted = int(cells.start[-1])
    begin = space.get("begin", n_sorted + 1, np.int64)
    capacity = 8 * n_sorted + 64
    while True:
        hits = space.get("hits", capacity, np.int32)
        n_hits, complete = _search(cells, cutoff, xyz, owner, shift, hits, begin)
        if complete:
            break
        capacity = max(n_hits, capacity) * 9 // 8
    every = np.concatenate([np.arange(n, dtype=np.int32), owner]) if len(owner) else None
    sequence = np.arange(n) if every is None else np.argsort(every, kind="stable")
    first, filled, ends = (space.get(k, m + 1, np.int64) for k, m in (("first", n), ("filled", n), ("ends", n_sorted)))
    both = space.get("both", 2 * n_hits, np.int32)
    point = space.get("point", 2 * n_hits, np.int32)
    _pair_both_ways(hits, begin, cells.order, ends, both)
    _lists(both, ends, sequence, cells, first, filled, point)
    point = point[: first[-1]]
    return Neighbours(first, point, xyz if every is None else np.concatenate([xyz, xyz[owner] + shift]), every)


@kernel
def _search(
    cells: Cells,
    cutoff: float,
    xyz: Floats,
    owner: Integers32,
    shift: Floats,
    hits: Integers32,
    begin: Integers,
) -> tuple[int, bool]:
    """Find each pair once, as places in the order of the cells: place s has the hits ``hits[begin[s]:begin[s + 1]]``.

    Only half of the cells around are searched, those that follow; so the hits of s are sorted and larger than s.
    Return how many there are, and False where there wasn't room for all.
    """
    x, y, z, order, start = cells.x, cells.y, cells.z, cells.order, cells.start
    # An atom and an image of it are rounded differently: take a little more, then decide by the exact distance.
    squared = cutoff * cutoff
    reach = squared * (1 + 1e-9) if len(owner) else squared
    complete = True
    k = np.uint64(0)
    one = np.uint64(1)
    border = cells.layer + cells.row + FINE
    for c in range(border, len(start) - 1 - border):
        for s in range(start[c], start[c + 1]):
            begin[s] = k
            xs, ys, zs = x[s], y[s], z[s]
            for row in range(5):
                run = following_run(c, row, cells.row, cells.layer)
                low, high = np.uint64(s + 1 if row == 0 else start[run - FINE]), np.uint64(start[run + FINE + 1])
                if k + high - low >= np.uint64(len(hits)) and high > low:
                    complete = False
                    for t in range(low, high):
                        if (x[t] - xs) ** 2 + (y[t] - ys) ** 2 + (z[t] - zs) ** 2 <= reach:
                            k += one
                else:
                    # Two at a time, the second of which may lie beyond the run: loops of few lengths are foreseen.
                    here = low
                    while here < high:
                        after = here + one
                        dx, dy, dz = x[here] - xs, y[here] - ys, z[here] - zs
                        hits[k] = here
                        k += np.uint64(dx * dx + dy * dy + dz * dz <= reach)
                        dx, dy, dz = x[after] - xs, y[after] - ys, z[after] - zs
                        hits[k] = after
                        k += np.uint64((dx * dx + dy * dy + dz * dz <= reach) & (after < high))
                        here = after + one
            if len(owner) and complete:
                end = k
                k = np.uint64(begin[s])
                for h in range(k, end):
                    t = hits[h]
                    hits[k] = t
                    i, other = (order[s], order[t]) if order[s] < len(xyz) else (order[t], order[s])
                    if i < len(xyz):
                        dx, dy, dz = separation(xyz, owner, shift, i, other)
                        k += one if dx * dx + dy * dy + dz * dz <= squared else np.uint64(0)
    begin[start[-1]] = k
    return int(k), complete


@kernel(inline="always")
def following_run(cell: int, row: int, along_y: int, along_z: int) -> int:
    """Return the middle cell of a run in which neighbours may follow: in the same row, then in four more."""
    if row == 0:
        return cell
    return cell + along_y if row == 1 else cell + along_z + (row - 3) * along_y


@kernel(inline="always")
def separation(xyz: Floats, owner: Integers32, shift: Floats, i: int, other: int) -> tuple[float, float, float]:
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


@kernel
def _pair_both_ways(hits: Integers32, begin: Integers, order: Integers32, ends: Integers, both: Integers32) -> None:
    """Write each pair at both its places: ``both[ends[s - 1]:ends[s]]`` are the partners of the atom at place s."""
    places = len(begin) - 1
    ends[:] = 0
    for s in range(places):
        ends[s + 1] += begin[s + 1] - begin[s]
        for h in range(begin[s], begin[s + 1]):
            ends[hits[h] + 1] += 1
    for s in range(places):
        ends[s + 1] += ends[s]
    for s in range(places):
        k = ends[s]
        for h in range(begin[s], begin[s + 1]):
            t = hits[h]
            both[k] = order[t]
            k += 1
            both[ends[t]] = order[s]
            ends[t] += 1
        ends[s] = k


@kernel
def _lists(
    both: Integers32,
    ends: Integers,
    sequence: Integers,
    cells: Cells,
    first: Integers,
    filled: Integers,
    point: Integers32,
) -> None:
    """Make the lists of all atoms, sorted by atom number, from pairs; `filled` is scratch."""
    rank, n = cells.rank, len(first) - 1
    total = 0
    for i in range(n):
        first[i] = filled[i] = total
        s = rank[i]
        if s >= 0:
            total += ends[s] - (ends[s - 1] if s else 0)
    first[n] = total
    # One point after the other, in the sequence of their atoms, enters the list of each of its neighbours.
    for p in sequence:
        s = rank[p]
        if s >= 0:
            for h in range(ends[s - 1] if s else 0, ends[s]):
                i = both[h]
                if i < n:
                    point[filled[i]] = p
                    filled[i] += 1
