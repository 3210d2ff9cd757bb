"""Bonds that a crystal loses where it is cut along a plane (h k l), at the height where it loses fewest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Array, Floats
from stemdask.kernels.atoms.kinds import BCC, CUBIC_DIAMOND, FCC, HCP, HEXAGONAL_DIAMOND, SIMPLE_CUBIC

#: Beside the kinds: cations on an fcc lattice in cubes of anions.
FLUORITE = 101
_SAME = 1e-6


class Crystal(NamedTuple):
    """A cell and its atoms; those at distance 1 are bonded."""

    cell: Floats
    """(3, 3), rows are the edges."""
    basis: Floats
    """(n, 3), in these."""


def _cubic(edge: float, *basis: tuple[float, float, float]) -> Crystal:
    return Crystal(edge * np.eye(3), np.array(basis))


def _hexagonal(a: float, c: float, *basis: tuple[float, float, float]) -> Crystal:
    return Crystal(np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]]), np.array(basis))


_FACES = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5))
_TETRAHEDRA = tuple((x + 0.25, y + 0.25, z + 0.25) for x, y, z in _FACES)
_CUBES = tuple((x / 4, y / 4, z / 4) for x in (1, 3) for y in (1, 3) for z in (1, 3))
_A, _B = (1 / 3, 2 / 3), (2 / 3, 1 / 3)

CRYSTALS = {
    FCC: _cubic(np.sqrt(2), *_FACES),
    BCC: _cubic(2 / np.sqrt(3), (0, 0, 0), (0.5, 0.5, 0.5)),
    SIMPLE_CUBIC: _cubic(1.0, (0, 0, 0)),
    CUBIC_DIAMOND: _cubic(4 / np.sqrt(3), *_FACES, *_TETRAHEDRA),
    FLUORITE: _cubic(4 / np.sqrt(3), *_FACES, *_CUBES),
    HCP: _hexagonal(1.0, np.sqrt(8 / 3), (*_A, 0.25), (*_B, 0.75)),
    HEXAGONAL_DIAMOND: _hexagonal(np.sqrt(8 / 3), 8 / 3, (*_A, 1 / 16), (*_A, 7 / 16), (*_B, 9 / 16), (*_B, 15 / 16)),
}


def bonds_cut(planes: Sequence[Sequence[int]], crystal: Crystal) -> Floats:
    """Return how many bonds the cheapest cut along each plane breaks, for each unit of area.

    Diamond loses one bond an atom between the wide layers of {111}, and three between the narrow ones; a cut goes where
    fewest are lost.

    Parameters
    ----------
    planes
        Miller indices (h, k, l) of each, by the edges of the cell.
    crystal
        Which crystal is cut.

    Returns
    -------
    numpy.ndarray
        (planes,), by the square of the length of a bond.

    Examples
    --------
    >>> cut = bonds_cut([(1, 1, 1), (1, 0, 0), (1, 1, 0)], CRYSTALS[CUBIC_DIAMOND])
    >>> (cut / cut[0]).round(3)
    array([1.   , 1.732, 1.225])
    """
    start, vector = _bonds(crystal)
    volume = abs(float(np.linalg.det(crystal.cell)))
    found = []
    for indices in planes:
        step = np.gcd.reduce(np.asarray(indices))
        normal = np.linalg.solve(crystal.cell, np.asarray(indices, float))
        length = float(np.linalg.norm(normal))
        spacing, normal = step / length, normal / length
        height, rise = start @ normal, vector @ normal
        rising = rise > _SAME
        found.append(spacing / volume * _fewest(height[rising] / spacing, rise[rising] / spacing))
    return np.array(found)


def _fewest(height: Floats, rise: Floats) -> int:
    """Return the bonds that the cheapest plane crosses; heights in units of that at which the crystal recurs."""
    edges = np.sort(np.concatenate([height, height + rise]) % 1.0)
    edges = np.append(edges, edges[0] + 1)
    middle = (edges[1:] + edges[:-1])[np.diff(edges) > _SAME] / 2
    away = middle[:, None] - height
    crossed: Array = (np.floor(away) - np.floor(away - rise)).sum(axis=1)
    return round(float(crossed.min()))


def _bonds(crystal: Crystal) -> tuple[Floats, Floats]:
    """Return where the bonds of a cell start and where they lead, each in both directions."""
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
    places = crystal.basis @ crystal.cell
    ends = (crystal.basis[None] + shifts[:, None]).reshape(-1, 3) @ crystal.cell
    vector = ends[None] - places[:, None]
    i, j = np.nonzero(np.abs(np.linalg.norm(vector, axis=2) - 1) < _SAME)
    return places[i], vector[i, j]
