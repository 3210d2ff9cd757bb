"""Voronoi cells of the atoms: their volumes and indices, and which of them are open."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import QhullError, Voronoi

from stemdask.kernels.arrays import Booleans, Floats, Indices, Integers32
from stemdask.kernels.atoms.neighbour_rules import polygon_areas
from stemdask.kernels.atoms.periodic import images

#: Edges shorter than this part of the rim of their face, and faces smaller than this part of the surface of their cell,
#: aren't counted: noise makes such of corners at which more than three faces meet, of which crystals have many.
_SHORT, _SMALL = 0.05, 0.01
#: Numbers of edges of the faces that an index counts.
INDEX = (3, 4, 5, 6)


class VoronoiCells(NamedTuple):
    """Cells of the atoms; without volume and -1 where they are open."""

    volume: Floats
    """(n,), NaN where the cell is open."""
    n_faces: Integers32
    """(n,)."""
    indices: Integers32
    """(n, 4), faces with 3, 4, 5 and 6 edges."""
    is_open: Booleans
    """(n,), the cell has no end, or reaches farther than atoms leave room for inside."""


def voronoi_cells(
    positions: ArrayLike, largest_hole: float, cell: ArrayLike | None = None, periodic: ArrayLike = True
) -> VoronoiCells:
    """Return the Voronoi cell of each atom, open ones flagged.

    Corners of cells are the middles of holes between atoms. The cells of a particle's surface have no end, or corners
    far outside: a cell is closed where none of its corners is farther from the atom than the radius of the largest hole
    that there is inside.

    Parameters
    ----------
    positions
        (n, 3). Atoms with a coordinate that isn't finite are left out, and open.
    largest_hole
        Radius of the largest sphere between atoms, through the middles of these, in the unit of the positions: 0.71
        times the distance of nearest neighbours in fcc, 0.65 in bcc, 1 in diamond.
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Notes
    -----
    Indices ⟨n3 n4 n5 n6⟩: J. L. Finney, Proc. R. Soc. A 319, 479 (1970). Edges shorter than 5 % of the rim of
    their face and faces smaller than 1 % of the surface aren't counted, as in pyscal.

    Examples
    --------
    >>> from ase.build import bulk
    >>> iron = bulk("Fe", a=2.87)
    >>> found = voronoi_cells(iron.positions, 2.4, iron.cell[:])
    >>> found.volume.round(3), found.indices
    (array([11.82]), array([[0, 6, 0, 8]], dtype=int32))
    """
    xyz = np.asarray(positions, float)
    n, there = len(xyz), np.isfinite(xyz).all(axis=1)
    open_cells = VoronoiCells(np.full(n, np.nan), _none(n), np.tile(_none(n)[:, None], len(INDEX)), np.ones(n, bool))
    points = xyz[there]
    if cell is not None and np.any(periodic) and largest_hole > 0:
        # Atoms that share a corner with another are no farther than twice its distance.
        box = images(points, 2 * largest_hole, cell, periodic)
        points = np.vstack([box.wrapped, box.wrapped[box.owner] + box.shift])
    if len(points) < 5 or not largest_hole > 0:
        return open_cells
    try:
        diagram = Voronoi(points)
    except QhullError:
        return open_cells
    volume, n_faces, indices, is_open = open_cells
    volume[there], n_faces[there], indices[there], is_open[there] = _cells(diagram, int(there.sum()), largest_hole)
    return open_cells


def _none(n: int) -> Integers32:
    return np.full(n, -1, np.int32)


def _cells(diagram: Voronoi, n: int, largest_hole: float) -> VoronoiCells:
    """Return the cells of the first n points."""
    corners, owner = diagram.ridge_vertices, diagram.ridge_points
    sizes = np.array([len(face) for face in corners])
    flat = np.concatenate([np.asarray(face) for face in corners])
    face = np.repeat(np.arange(len(sizes)), sizes)
    away = np.linalg.norm(diagram.vertices[flat] - diagram.points[owner[face, 0]], axis=1)
    ends = np.bincount(face, (flat >= 0) & (away <= largest_hole), len(sizes)) == sizes
    is_open = np.bincount(owner.ravel(), np.repeat(~ends, 2), len(diagram.points))[:n] > 0
    closed = [corners[k] for k in np.flatnonzero(ends)]
    owner = owner[ends]
    area, n_edges = polygon_areas(diagram.vertices, closed), _count_edges(diagram.vertices, closed)
    height = np.linalg.norm(diagram.points[owner[:, 0]] - diagram.points[owner[:, 1]], axis=1) / 2
    one = owner.ravel()  # each face is that of two cells
    area, height, n_edges = np.repeat(area, 2), np.repeat(height, 2), np.repeat(n_edges, 2)
    inside = one < n
    one, area, height, n_edges = one[inside], area[inside], height[inside], n_edges[inside]
    surface = np.bincount(one, area, n)
    is_open |= surface == 0
    large = area > _SMALL * surface[one]
    index = [np.bincount(one[large & (n_edges == edges)], minlength=n) for edges in INDEX]
    return VoronoiCells(
        volume=np.where(is_open, np.nan, np.bincount(one, area * height / 3, n)),
        n_faces=np.where(is_open, -1, np.bincount(one[large], minlength=n)).astype(np.int32),
        indices=np.where(is_open[:, None], -1, np.column_stack(index)).astype(np.int32),
        is_open=is_open,
    )


def _count_edges(vertices: Floats, faces: list[list[int]]) -> Indices:
    """Return how many edges each polygon has that aren't short against its rim."""
    if not faces:
        return np.empty(0, np.intp)
    sizes = np.array([len(face) for face in faces])
    begin = np.r_[0, np.cumsum(sizes)[:-1]]
    corner = vertices[np.concatenate([np.asarray(face) for face in faces])]
    follower = np.arange(1, len(corner) + 1)
    follower[begin + sizes - 1] = begin
    length = np.linalg.norm(corner[follower] - corner, axis=1)
    rim = np.repeat(np.add.reduceat(length, begin), sizes)
    count: Indices = np.add.reduceat(length > _SHORT * rim, begin, dtype=np.intp)
    return count
