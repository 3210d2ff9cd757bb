"""Facets {hkl} of cubic and hexagonal crystals: which parts of a surface belong to them, and the Wulff shape beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations, product
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.spatial import ConvexHull, HalfspaceIntersection

from stemdask.kernels.arrays import Floats, Indices
from stemdask.kernels.atoms.kinds import HCP
from stemdask.kernels.atoms.surface_bonds import CRYSTALS, Crystal, bonds_cut

#: Miller indices of a family, not negative.
Family: TypeAlias = tuple[int, int, int]

_SAME = 1e-6


class Planes(NamedTuple):
    """All planes of some families."""

    normals: Floats
    """(p, 3), unit vectors in axes of the cube, or along a and c of a hexagonal cell."""
    family: Indices
    """(p,), place of each plane's family."""


def planes(families: Sequence[Family]) -> Planes:
    """Return all planes of families {hkl} of a cubic crystal.

    Parameters
    ----------
    families
        Miller indices (h, k, l) of one plane of each family.

    Returns
    -------
    Planes
        Unit normals (n, 3) of all planes that the symmetry of the cube makes of them, and the family of each.

    Raises
    ------
    ValueError
        A family has the indices 0 0 0.

    Examples
    --------
    >>> len(planes([(1, 0, 0), (1, 1, 1)]).normals)
    14
    """
    return _planes(families, _by_cube, np.eye(3))


def hexagonal_planes(families: Sequence[Family]) -> Planes:
    """Return all planes of families {hkil} of a hexagonal crystal of close-packed spheres, c / a = √(8/3).

    Parameters
    ----------
    families
        Miller indices (h, k, l) of one plane of each family; i = -(h + k).

    Returns
    -------
    Planes
        Unit normals (n, 3), x along a and z along c, of all planes that the symmetry 6/mmm makes of them, and the
        family of each.

    Raises
    ------
    ValueError
        A family has the indices 0 0 0.

    Examples
    --------
    >>> len(hexagonal_planes([(0, 0, 1), (1, 0, 0), (1, 0, 1)]).normals)
    20
    """
    reciprocal: Floats = np.asarray(np.linalg.inv(CRYSTALS[HCP].cell).T, np.float64)
    return _planes(families, _by_hexagon, reciprocal)


def _by_cube(family: Family) -> set[tuple[int, ...]]:
    """Return the indices of all planes that the symmetry of the cube makes of one."""
    signs = product((1, -1), repeat=3)
    return {tuple(np.multiply(order, sign)) for sign in signs for order in permutations(family)}


def _by_hexagon(family: Family) -> set[tuple[int, ...]]:
    """Return the indices of all planes that the symmetry 6/mmm makes of one."""
    h, k, along_c = family
    basal = {tuple(np.multiply(order, sign)) for sign in (1, -1) for order in permutations((h, k, -h - k))}
    return {(a, b, c) for a, b, _ in basal for c in (along_c, -along_c)}


def _planes(families: Sequence[Family], like: Callable[[Family], set[tuple[int, ...]]], reciprocal: Floats) -> Planes:
    """Return all planes of families, by the planes that are like one and the reciprocal lattice (3, 3), as rows."""
    normals, family = [], []
    for number, hkl in enumerate(families):
        if not any(hkl):
            raise ValueError("there is no plane (0 0 0)")
        directions = np.array(sorted(like(hkl))) @ reciprocal
        normals += list(directions / np.linalg.norm(directions, axis=1, keepdims=True))
        family += [number] * len(directions)
    return Planes(np.array(normals).reshape(-1, 3), np.array(family, np.intp))


def nearest_plane(normals: Floats, found: Planes, max_angle: float) -> Indices:
    """Return the plane that each direction (n, 3) is normal to; -1 where it is farther than `max_angle`.

    Parameters
    ----------
    normals
        (n, 3), unit vectors, or 0 where there is none.
    found
        The planes.
    max_angle
        Degrees.

    Examples
    --------
    >>> cube = planes([(1, 0, 0)])
    >>> tilted = np.array([[np.cos(0.1), np.sin(0.1), 0], [np.sqrt(0.5), np.sqrt(0.5), 0]])
    >>> nearest_plane(tilted, cube, max_angle=15) >= 0
    array([ True, False])
    """
    cosine = normals @ found.normals.T
    nearest = np.argmax(cosine, axis=1)
    near = cosine[np.arange(len(normals)), nearest] >= np.cos(np.radians(max_angle))
    plane: Indices = np.where(near, nearest, -1)
    return plane


def broken_bonds(families: Sequence[Family], crystal: Crystal) -> Floats:
    """Return the surface energy of each family by the number of bonds that it cuts, relative to the smallest.

    Every bond to a nearest neighbour costs the same, and surfaces are as the bulk leaves them: in fcc 1, 2 / √3 and
    3 / √6 for {111}, {100} and {110}. Cuts are made where fewest bonds are lost.

    Parameters
    ----------
    families
        Miller indices (h, k, l) of each family.
    crystal
        The crystal that the surfaces cut.

    Returns
    -------
    numpy.ndarray
        (families,), without a unit; the smallest is 1.

    Notes
    -----
    J. K. Mackenzie, A. J. W. Moore & J. F. Nicholas, J. Phys. Chem. Solids 23, 185 (1962).

    Examples
    --------
    >>> from stemdask.kernels.atoms.kinds import FCC
    >>> from stemdask.kernels.atoms.surface_bonds import CRYSTALS
    >>> broken_bonds([(1, 1, 1), (1, 0, 0), (1, 1, 0)], CRYSTALS[FCC]).round(4)
    array([1.    , 1.1547, 1.2247])
    """
    cut = bonds_cut(families, crystal)
    energies: Floats = cut / cut.min()
    return energies


def wulff_areas(families: Sequence[Family], energies: Sequence[float]) -> Floats:
    """Return which part of the surface of the Wulff shape each family has: the shape of least surface energy.

    Parameters
    ----------
    families
        Miller indices.
    energies
        Surface energy of each, in any unit.

    Returns
    -------
    Floats
        (families,); 0 for a family that doesn't appear.

    Raises
    ------
    ValueError
        An energy isn't positive.

    Notes
    -----
    G. Wulff, Z. Kristallogr. 34, 449 (1901).

    Examples
    --------
    >>> wulff_areas([(1, 0, 0), (1, 1, 1)], [1.0, 3.0])  # a cube
    array([1., 0.])
    """
    energy = np.asarray(energies, float)
    if not (energy > 0).all():
        raise ValueError(f"surface energies must be positive, got {energy.tolist()}")
    every = planes(families)
    offsets = energy[every.family]
    corners = HalfspaceIntersection(np.column_stack([every.normals, -offsets]), np.zeros(3)).intersections
    hull = ConvexHull(corners)
    edges = corners[hull.simplices[:, 1:]] - corners[hull.simplices[:, :1]]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    flat = area > _SAME * area.max()  # the others are what rounding makes of a corner of many planes
    plane = np.argmax(hull.equations[flat, :3] @ every.normals.T, axis=1)
    parts = np.bincount(every.family[plane], area[flat], len(families))
    found: Floats = parts / parts.sum()
    return found
