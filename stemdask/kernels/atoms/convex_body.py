"""The convex body that a particle fills."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError, Voronoi, cKDTree

from stemdask.kernels.arrays import Floats

#: Half the distance of close-packed layers by the distance of nearest neighbours.
_HALF_LAYER = math.sqrt(2 / 3) / 2

#: Atoms inside a particle whose volume is measured, at most and at least.
_CELLS, _FEW_CELLS = 100, 10


class ConvexBody(NamedTuple):
    """A convex polyhedron: all points with ``normals @ point <= offsets``."""

    normals: Floats
    """(f, 3), unit vectors, outwards."""
    offsets: Floats
    """(f,)."""
    triangles: Floats
    """(t, 3, 3), corners of triangles that make up the surface."""
    volume: float
    area: float

    def depth(self, points: ArrayLike) -> Floats:
        """Return how far each of the points (n, 3) lies below the nearest face; negative outside."""
        points = np.asarray(points, float)
        nearest = np.full(len(points), np.inf)
        for normal, offset in zip(self.normals, self.offsets, strict=True):  # no (n, f) array: many atoms, many faces
            np.minimum(nearest, offset - points @ normal, out=nearest)
        return nearest

    def expanded(self, margin: float) -> ConvexBody:
        """Return the body with every face moved outwards by `margin`; itself where it is too flat for that."""
        halfspaces = np.column_stack([self.normals, -(self.offsets + margin)])
        try:
            corners = HalfspaceIntersection(halfspaces, self.triangles.mean(axis=(0, 1))).intersections
        except QhullError:
            return self
        return convex_body(corners) or self


def convex_body(points: ArrayLike) -> ConvexBody | None:
    """Return the convex hull of points (n, 3); None where they are fewer than four, in one plane or not finite.

    Parameters
    ----------
    points
        (n, 3), in any unit of length.

    Returns
    -------
    ConvexBody or None
        Depths are in that unit, the area is in its square and the volume in its cube.

    Examples
    --------
    >>> cube = np.array([[x, y, z] for x in (0, 2) for y in (0, 2) for z in (0, 2)])
    >>> body = convex_body(cube)
    >>> round(body.area, 9), body.depth([[1.0, 1, 0.25]]).round(9)
    (24.0, array([0.25]))
    """
    points = np.asarray(points, float)
    if len(points) < 4 or not np.isfinite(points).all():
        return None
    try:
        hull = ConvexHull(points)
    except QhullError:
        return None
    # A face of many corners comes as several triangles with one equation.
    equations = hull.equations[np.unique(np.round(hull.equations, 9), axis=0, return_index=True)[1]]
    return ConvexBody(
        np.ascontiguousarray(equations[:, :3]), -equations[:, 3], points[hull.simplices], hull.volume, hull.area
    )


def particle_body(positions: ArrayLike, margin: float | None = None) -> ConvexBody | None:
    """Return the body that a particle fills: its convex hull, and what belongs to its outermost atoms around it.

    The hull through the centres of the outermost atoms leaves out the outer half of them. The body has the faces of the
    hull, moved outwards until there is as much volume for each atom as inside the particle.

    Parameters
    ----------
    positions
        (n, 3).
    margin
        How far the faces are moved outwards, in the unit of the positions, instead. Particles that are too small to
        have an inside get half the distance of close-packed layers.

    Examples
    --------
    >>> from ase.cluster import Octahedron
    >>> particle = Octahedron("Pt", 7, cutoff=2, latticeconstant=3.92)
    >>> round(particle_body(particle.positions).volume / len(particle), 1)  # a³/4 is 15.1
    15.1
    """
    positions = np.asarray(positions, float)
    body = convex_body(positions)
    if body is None:
        return None
    if margin is not None:
        return body.expanded(margin) if margin > 0 else body
    inside = _volume_inside(positions, body)
    if inside is None:
        return body.expanded(_HALF_LAYER * float(cKDTree(positions).query(positions, k=2)[0][:, 1].mean()))
    wanted, hull, moved = inside * len(positions), body, 0.0
    for _ in range(4):  # Newton's iteration: a face moved outwards adds its area
        moved = max(moved + (wanted - body.volume) / body.area, 0.0)
        body = hull.expanded(moved)
    return body


def _volume_inside(positions: Floats, hull: ConvexBody) -> float | None:
    """Return the mean volume of the Voronoi cells of some atoms deep inside; None where there are hardly any."""
    depth = hull.depth(positions)
    spacing = (hull.volume / len(positions)) ** (1 / 3)
    deepest = np.argsort(-depth, kind="stable")[: 5 * _CELLS]  # enough to close the cells of the deepest of them
    n_inside = min(_CELLS, int((depth > 1.2 * spacing).sum()))
    if n_inside < _FEW_CELLS:
        return None
    try:
        voronoi = Voronoi(positions[deepest])
    except QhullError:
        return None
    volumes = []
    for cell in voronoi.point_region[:n_inside]:
        corners = voronoi.regions[cell]
        if corners and -1 not in corners:
            volumes.append(ConvexHull(voronoi.vertices[corners]).volume)
    return float(np.mean(volumes)) if len(volumes) >= _FEW_CELLS else None
