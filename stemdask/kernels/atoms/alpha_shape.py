"""The surface of a particle as a net of triangles through its outermost atoms, dents and holes included."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import Delaunay, QhullError

from stemdask.kernels.arrays import Booleans, Floats, Indices, Integers32

#: A tetrahedron is flat when its volume is less than this part of the cube of its longest edge.
_FLAT = 1e-9


class AlphaShape(NamedTuple):
    """What a probe sphere that is rolled over the atoms can't reach."""

    triangles: Indices
    """(t, 3), atoms at the corners of the surface."""
    normals: Floats
    """(t, 3), unit vectors, outwards."""
    areas: Floats
    """(t,)."""
    volume: float

    @property
    def area(self) -> float:
        """Of the whole surface."""
        return float(self.areas.sum())


def alpha_shape(positions: ArrayLike, radius: float) -> AlphaShape | None:
    """Return the alpha shape of a particle; None where the atoms fill no volume.

    The atoms are joined to tetrahedra (Delaunay's), of which those are solid whose circumscribed sphere is no larger
    than the probe. The surface passes through the middles of the outermost atoms.

    Parameters
    ----------
    positions
        (n, 3). Atoms with a coordinate that isn't finite are left out.
    radius
        Of the probe sphere, in the unit of the positions: larger than the holes between atoms inside, which is 0.71
        times the distance of nearest neighbours in fcc, 0.65 in bcc and 1 in diamond.

    Notes
    -----
    H. Edelsbrunner & E. P. Mücke, ACM Trans. Graph. 13, 43 (1994); A. Stukowski, JOM 66, 399 (2014).

    Examples
    --------
    >>> cube = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    >>> found = alpha_shape(cube, 0.9)
    >>> round(found.area, 9), round(found.volume, 9)
    (6.0, 1.0)
    """
    xyz = np.asarray(positions, float)
    there = np.flatnonzero(np.isfinite(xyz).all(axis=1))
    if len(there) < 4 or not radius > 0:
        return None
    points = xyz[there] - xyz[there].mean(axis=0)
    try:
        net = Delaunay(points)
    except QhullError:
        return None
    corners = points[net.simplices]
    # Tetrahedra of atoms on one sphere, of which crystals are full, share the equation that this is taken from; flat
    # ones among them have no sphere of their own.
    centre = net.equations[:, :3] / (-2 * net.paraboloid_scale * net.equations[:, 3:4])
    solid = np.linalg.norm(corners[:, 0] - centre, axis=1) <= radius
    edges = corners[:, 1:] - corners[:, :1]
    content = np.abs(np.linalg.det(edges)) / 6
    _peel(solid, content < _FLAT * np.linalg.norm(edges, axis=2).max(axis=1) ** 3, net.neighbors)
    if not solid.any():
        return None
    triangles, opposite = [], []
    for k in range(4):
        beyond = net.neighbors[:, k]
        outer = solid & ((beyond < 0) | ~solid[beyond])
        triangles.append(np.delete(net.simplices[outer], k, axis=1))
        opposite.append(net.simplices[outer, k])
    corner = np.concatenate(triangles)
    a, b, c = (points[corner[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    inwards = np.einsum("ij,ij->i", cross, points[np.concatenate(opposite)] - a) > 0
    cross[inwards] *= -1
    length = np.linalg.norm(cross, axis=1)
    normals = np.divide(cross, length[:, None], out=np.zeros_like(cross), where=length[:, None] > 0)
    return AlphaShape(there[corner], normals, length / 2, float(content[solid].sum()))


def _peel(solid: Booleans, flat: Booleans, neighbours: Integers32) -> None:
    """Let flat tetrahedra at the surface not be solid: their far side is the same surface, and tells out from in."""
    while True:
        exposed = flat & solid & ((neighbours < 0) | ~solid[neighbours]).any(axis=1)
        if not exposed.any():
            return
        solid[exposed] = False
