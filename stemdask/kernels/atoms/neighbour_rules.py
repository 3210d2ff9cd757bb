"""Neighbours without a cutoff: the k nearest, the solid-angle rule, and Voronoi cells with the areas of their faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import QhullError, Voronoi, cKDTree

from stemdask.kernels.arrays import Array, Floats, Indices, Integers32
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.atoms.periodic import Images, images

#: Faces of Voronoi cells smaller than this fraction of their surface are corners that rounding has opened.
_FACE = 1e-6


def nearest(positions: ArrayLike, k: int, cell: ArrayLike | None = None, periodic: ArrayLike = True) -> Neighbours:
    """Return the `k` nearest neighbours of each atom, or all others where there are fewer.

    The lists aren't symmetric. Of neighbours at the same distance beyond room for all an arbitrary one is taken.

    Parameters
    ----------
    positions
        (n, 3).
    k
        Number of neighbours.
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> iron = bulk("Fe", cubic=True)
    >>> nearest(iron.positions, 8, iron.cell[:]).distance.round(3)[:8]
    array([2.485, 2.485, 2.485, 2.485, 2.485, 2.485, 2.485, 2.485])
    """
    box, distance, point = _sorted_by_distance(positions, k, cell, periodic)
    counts = np.isfinite(distance).sum(axis=1)
    return _lists(box, counts, point)


def sann(positions: ArrayLike, cell: ArrayLike | None = None, periodic: ArrayLike = True) -> Neighbours:
    """Return the neighbours by the solid-angle rule: as many of the nearest as fill the sphere around an atom.

    The m nearest are taken for the smallest m >= 3 with Σ r_j / (m - 2) <= r_m+1; all others where that never holds.
    The lists aren't symmetric. Van Meel et al., J. Chem. Phys. 136, 234107 (2012).

    Parameters
    ----------
    positions
        (n, 3).
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> copper = bulk("Cu")
    >>> sann(copper.positions, copper.cell[:]).counts
    array([12])
    """
    k = 24
    while True:
        box, distance, point = _sorted_by_distance(positions, k, cell, periodic)
        known = np.isfinite(distance).sum(axis=1)
        m = np.arange(3, max(k, 3))
        with np.errstate(invalid="ignore"):
            enough = np.cumsum(distance, axis=1)[:, 2:-1] / (m - 2) <= distance[:, 3:]
        found = enough.any(axis=1)
        if (found | (known < k)).all():
            return _lists(box, np.where(found, 3 + enough.argmax(axis=1), known), point)
        k *= 2


def voronoi(positions: ArrayLike, cell: ArrayLike | None = None, periodic: ArrayLike = True) -> Neighbours:
    """Return the neighbours that share a face of their Voronoi cells, weighted by its area.

    Mickel et al., J. Chem. Phys. 138, 044501 (2013). At the surface of a particle the cells would reach far out; there
    the missing neighbours are stood in for by those on the opposite side, mirrored at the atom, and their faces are
    left out.

    Parameters
    ----------
    positions
        (n, 3).
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> iron = bulk("Fe", cubic=True)
    >>> voronoi(iron.positions, iron.cell[:]).counts
    array([14, 14])
    """
    box, distance, point = _sorted_by_distance(positions, 18, cell, periodic)
    n, points = len(box.wrapped), _points(box)
    spacing = float(np.median(distance[:, 0])) if n > 1 and distance.size else np.nan
    empty = Neighbours(np.zeros(n + 1, np.int64), np.empty(0, np.int32), box.wrapped, None, np.empty(0))
    if n == 0 or not spacing > 0 or not np.isfinite(points).all():
        return empty
    if cell is not None and np.any(periodic):
        reach = 3.0 * float(distance[np.isfinite(distance)].max())
        box = images(box.wrapped, reach, cell, periodic)
        points = _points(box)
    else:
        centre, column = np.nonzero(distance < 1.35 * spacing)
        mirrored = 2 * points[centre] - points[point[centre, column]]
        points = np.vstack([points, mirrored[cKDTree(points).query(mirrored)[0] > 0.7 * spacing]])
    try:
        diagram = Voronoi(points)
    except QhullError:
        return empty
    last = n + len(box.owner)
    low, high = diagram.ridge_points.T
    bounded = np.array([-1 not in corners for corners in diagram.ridge_vertices], bool)
    real = bounded & (np.minimum(low, high) < n) & (np.maximum(low, high) < last)
    area = polygon_areas(diagram.vertices, [diagram.ridge_vertices[r] for r in np.flatnonzero(real)])
    centre, other, area = np.r_[low[real], high[real]], np.r_[high[real], low[real]], np.r_[area, area]
    kept = centre < n
    centre, other, area = centre[kept], other[kept], area[kept]
    kept = area > _FACE * np.bincount(centre, area, minlength=n)[centre]
    centre, other, area = centre[kept], other[kept], area[kept]
    owner = _owners(box)
    order = np.lexsort((other, owner[other], centre))
    first = np.r_[0, np.cumsum(np.bincount(centre, minlength=n))].astype(np.int64)
    return Neighbours(first, other[order].astype(np.int32), points[:last], owner, area[order])


def _points(box: Images) -> Floats:
    return np.vstack([box.wrapped, box.wrapped[box.owner] + box.shift])


def _owners(box: Images) -> Integers32:
    return np.concatenate([np.arange(len(box.wrapped), dtype=np.int32), box.owner])


def _sorted_by_distance(
    positions: ArrayLike, k: int, cell: ArrayLike | None, periodic: ArrayLike
) -> tuple[Images, Floats, Indices]:
    """Return atoms and images, and of the k nearest of each atom the distances (n, k) and which they are.

    Where there are fewer the distance is infinite; where a position isn't finite all are.
    """
    xyz = np.asarray(positions, float)
    xyz = np.where(np.isfinite(xyz), xyz, np.nan)
    box = Images(xyz, np.empty(0, np.int32), np.empty((0, 3)))
    bounded = cell is not None and np.any(periodic) and len(xyz) > 0
    reach = 0.0
    if bounded:
        volume = abs(float(np.linalg.det(np.asarray(cell, float))))
        reach = 1.2 * float(np.cbrt(volume * (k + 1) / (4 * len(xyz))))
    while True:
        if bounded:
            assert cell is not None
            box = images(xyz, reach, cell, periodic)
        points = _points(box)
        places = np.flatnonzero(np.isfinite(points).all(axis=1))
        distance, point = np.full((len(xyz), k), np.inf), np.zeros((len(xyz), k), np.intp)
        if len(places) > 1:
            centres = places[places < len(xyz)]
            near, index = cKDTree(points[places]).query(points[centres], k=np.arange(1, k + 2))
            index = np.append(places, -1)[index]
            # The atom itself is among the k + 1; with coincident ones it needn't come first.
            itself = index == centres[:, None]
            itself[~itself.any(axis=1), -1] = True
            distance[centres], point[centres] = near[~itself].reshape(-1, k), index[~itself].reshape(-1, k)
        # All of them lie nearer than anything that the images left out could.
        if not bounded or (distance[places[places < len(xyz)]] <= reach).all():
            return box, distance, point
        reach *= 1.5


def _lists(box: Images, counts: Array, point: Indices) -> Neighbours:
    """Make lists of the first entries of each row."""
    owner = _owners(box)
    taken = np.arange(point.shape[1]) < counts[:, None]
    centre, other = np.nonzero(taken)[0], point[taken]
    order = np.lexsort((other, owner[other], centre))
    first = np.r_[0, np.cumsum(counts)].astype(np.int64)
    return Neighbours(first, other[order].astype(np.int32), _points(box), owner, symmetric=False)


def polygon_areas(vertices: Floats, faces: list[list[int]]) -> Floats:
    """Return the area of each plane polygon, whose corners are in order."""
    if not faces:
        return np.empty(0)
    sizes = np.array([len(face) for face in faces])
    begin = np.r_[0, np.cumsum(sizes)[:-1]]
    corner = vertices[np.concatenate([np.array(face) for face in faces])]
    follower = np.arange(1, len(corner) + 1)
    follower[begin + sizes - 1] = begin
    origin = np.repeat(corner[begin], sizes, axis=0)
    cross = np.cross(corner - origin, corner[follower] - origin)
    area: Floats = np.linalg.norm(np.add.reduceat(cross, begin), axis=1) / 2
    return area
