"""Turning and moving a particle onto another one of which most atoms are the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Floats

_ITERATIONS = 30
#: Misfit below which a start was near enough; particles that don't lie on each other at all have about 0.6.
_FITS = 0.3
_NEIGHBOURS = 12


class Rigid(NamedTuple):
    """A rotation and a translation: ``points @ rotation.T + translation``."""

    rotation: Floats
    """(3, 3)."""
    translation: Floats
    """(3,)."""

    def __call__(self, points: Floats) -> Floats:
        """Turn and move points (n, 3)."""
        return points @ self.rotation.T + self.translation

    @property
    def angle(self) -> float:
        """Angle of the rotation, degrees."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.rotation) - 1) / 2, -1, 1))))


class Alignment(NamedTuple):
    """How a particle lies on another one."""

    motion: Rigid
    """Brings the one onto the other."""
    matched: float
    """Fraction of the atoms of the smaller one that have a counterpart."""
    rms: float
    """Root mean square distance of the counterparts; NaN without any."""
    misfit: float
    """Mean squared distance to the counterparts by reach squared, where an atom without one counts as 1."""


def kabsch(points: Floats, onto: Floats) -> Rigid:
    """Return the rigid motion that brings points (n, 3) onto others with the least squares of distances.

    W. Kabsch, Acta Cryst. A32, 922 (1976).

    Parameters
    ----------
    points, onto
        (n, 3), in one unit of length; row k of one belongs to row k of the other.

    Returns
    -------
    Rigid
        Rotation (3, 3) and translation (3,).

    Examples
    --------
    >>> points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    >>> quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    >>> kabsch(points, points @ quarter.T + 5).rotation.round(9) + 0
    array([[ 0., -1.,  0.],
           [ 1.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    middle, middle_onto = points.mean(axis=0), onto.mean(axis=0)
    u, _, vt = np.linalg.svd((points - middle).T @ (onto - middle_onto))
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = (vt.T * handed) @ u.T
    return Rigid(rotation, middle_onto - rotation @ middle)


def align(points: Floats, onto: Floats, reach: float, start: Rigid | None = None) -> Alignment:
    """Bring a particle onto another one whose atoms come in another order, and of which some may be missing.

    Each atom is paired with the nearest one within reach, the pairs are brought onto each other, and so on. That finds
    rotations of up to some degrees; where the particles don't come to lie on each other, rotations are tried that bring
    the neighbours of a central atom onto those of a central atom, and the one of the least misfit is taken.

    Parameters
    ----------
    points, onto
        (n, 3) and (m, 3), finite.
    reach
        Counterparts are at most this far apart; half the distance of nearest neighbours.
    start
        Where to begin, such as the motion found for the frame before; by default the centres fall together.

    Examples
    --------
    >>> from ase.cluster import Icosahedron
    >>> particle = Icosahedron("Pt", 3).positions
    >>> found = align(particle, particle[::-1] + [3.0, 0, 0], reach=1.3)
    >>> found.matched, found.motion.translation.round(6) + 0
    (1.0, array([3., 0., 0.]))
    """
    if not len(points) or not len(onto):
        return Alignment(Rigid(np.eye(3), np.zeros(3)), 0.0, np.nan, 1.0)
    tree = cKDTree(onto)
    shift = onto.mean(axis=0) - points.mean(axis=0)
    best = _refine(points, onto, tree, reach, start or Rigid(np.eye(3), shift))
    if best.misfit < _FITS:
        return best
    middle, middle_onto = points.mean(axis=0), onto.mean(axis=0)
    for rotation in (np.eye(3), *_rotations(points, onto)):
        found = _refine(points, onto, tree, reach, Rigid(rotation, middle_onto - rotation @ middle))
        best = min(best, found, key=lambda alignment: alignment.misfit)
    return best


def _refine(points: Floats, onto: Floats, tree: cKDTree, reach: float, motion: Rigid) -> Alignment:
    """Pair and move until the pairs stay the same: first the inner atoms, which a rotation displaces least."""
    radius = np.linalg.norm(points - points.mean(axis=0), axis=1)
    inner = points[radius <= 0.5 * radius.max()]
    if len(inner) >= _NEIGHBOURS:
        motion = _pair_and_move(inner, onto, tree, reach, motion).motion
    return _pair_and_move(points, onto, tree, reach, motion)


def _pair_and_move(points: Floats, onto: Floats, tree: cKDTree, reach: float, motion: Rigid) -> Alignment:
    pairs: tuple[bytes, bytes] | None = None
    matched, rms, misfit = 0.0, np.nan, 1.0
    for _ in range(_ITERATIONS):
        distance, nearest = tree.query(motion(points), distance_upper_bound=reach)
        mine = np.flatnonzero(np.isfinite(distance))
        if len(mine) == 0:
            break
        # Two atoms may want the same one: the nearer has it.
        mine = mine[np.argsort(distance[mine], kind="stable")]
        mine = np.sort(mine[np.unique(nearest[mine], return_index=True)[1]])
        matched = len(mine) / min(len(points), len(onto))
        rms = float(np.sqrt(np.mean(distance[mine] ** 2)))
        misfit = 1 - matched + matched * (rms / reach) ** 2
        now = (mine.tobytes(), nearest[mine].tobytes())
        if now == pairs or len(mine) < 3:
            break
        pairs = now
        motion = kabsch(points[mine], onto[nearest[mine]])
    return Alignment(motion, matched, rms, misfit)


def _rotations(points: Floats, onto: Floats) -> list[Floats]:
    """Return the rotations that bring two neighbours of a central atom near two neighbours of a central atom."""
    here, there = _around_centre(points), _around_centre(onto)
    if len(here) < 2 or len(there) < 2:
        return []
    cosines = there @ there.T
    first = here[0]
    angle = here @ first
    second = here[np.argmin(np.abs(angle))]  # the pair nearest to a right angle fixes a rotation best
    rotations = []
    for i, j in zip(*np.nonzero(np.abs(cosines - first @ second) < 0.3), strict=True):
        if i != j:
            rotations.append(_frame(there[i], there[j]) @ _frame(first, second).T)
    return rotations


def _around_centre(points: Floats) -> Floats:
    """Return unit vectors from the atom nearest to the middle to its neighbours."""
    centre = points[np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1))]
    vectors = points - centre
    length = np.linalg.norm(vectors, axis=1)
    near = np.argsort(length, kind="stable")[: _NEIGHBOURS + 1]
    near = near[length[near] > 0]
    unit: Floats = vectors[near] / length[near, None]
    return unit


def _frame(a: Floats, b: Floats) -> Floats:
    """Return the right-handed axes (columns) along the sum and the difference of two unit vectors."""
    plus, minus = a + b, a - b
    plus, minus = plus / np.linalg.norm(plus), minus / np.linalg.norm(minus)
    return np.column_stack([plus, minus, np.cross(plus, minus)])
