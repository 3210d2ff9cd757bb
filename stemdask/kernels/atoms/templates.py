"""Ideal surroundings of an atom, and the rotations that leave each of them, or its lattice, as it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats, Integers
from stemdask.kernels.atoms.kinds import (
    BCC,
    CUBIC_DIAMOND,
    FCC,
    FIVE_FOLD_AXIS,
    HCP,
    HEXAGONAL_DIAMOND,
    ICOSAHEDRAL,
    SIMPLE_CUBIC,
)

_EQUAL = 1e-6
_PHI = (1 + np.sqrt(5)) / 2


class Template(NamedTuple):
    """Neighbours of an ideal atom at the origin; their mean distance is 1, the nearest ones come first."""

    vectors: Floats
    """(m, 3); of cubic crystals by their cube axes, of hexagonal ones z along c and x along a."""
    n_first: int
    """Neighbours in the first shell."""
    nearest: float
    """Their distance."""
    pairs: Integers
    """(p, 2), ordered pairs of neighbours of which every other is a turned one; the first is in the first shell."""
    sites: Floats
    """(s, 3, 3), rotations that make of these the surroundings of each kind of site of the lattice, first of all 1."""
    lattice: Floats
    """(g, 3, 3), rotations that bring the lattice onto itself, a translation aside."""


def _around(axis: Floats, degrees: float) -> Floats:
    angle = np.radians(degrees)
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: Floats = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation


def _group(*generators: Floats) -> Floats:
    found = [np.eye(3)]
    for element in found:  # grows
        for generator in generators:
            new = generator @ element
            if not any(np.abs(new - old).max() < _EQUAL for old in found):
                found.append(new)
    return np.array(found)


_X, _Y, _Z = np.eye(3)
_CUBE = _group(_around(_Z, 90), _around(_X, 90))
_HEXAGON = _group(_around(_Z, 60), _around(_X, 180))
_PENTAGON = _group(_around(_Z, 72), _around(_X, 180))


def _is_in(point: Floats, vectors: Floats) -> bool:
    return bool(np.abs(vectors - point).max(axis=1).min() < _EQUAL)


def _own_rotations(vectors: Floats) -> Floats:
    """Return the proper rotations that bring a set of vectors onto itself."""
    a, b = vectors[0], next(v for v in vectors[1:] if np.linalg.norm(np.cross(vectors[0], v)) > _EQUAL)
    inverse, found = np.linalg.inv(np.column_stack([a, b, np.cross(a, b)])), []
    products = vectors @ vectors.T
    squares = np.diag(products)
    alike = np.abs(products - a @ b) + np.abs(squares - a @ a)[:, None] + np.abs(squares - b @ b) < _EQUAL
    for u, v in np.argwhere(alike):
        turn = np.column_stack([vectors[u], vectors[v], np.cross(vectors[u], vectors[v])]) @ inverse
        if all(_is_in(point, vectors) for point in vectors @ turn.T):
            found.append(turn)
    return np.array(found)


def _pairs(vectors: Floats, n_first: int) -> Integers:
    """Return one of the ordered, not collinear pairs that its own rotations bring onto each other."""
    turned = np.einsum("gij,mj->gmi", _own_rotations(vectors), vectors)
    place = np.linalg.norm(turned[:, :, None] - vectors[None, None], axis=3).argmin(axis=2)
    left = {
        (a, b)
        for a in range(n_first)
        for b in range(len(vectors))
        if np.linalg.norm(np.cross(vectors[a], vectors[b])) > _EQUAL
    }
    chosen = []
    while left:
        pair = min(left)
        chosen.append(pair)
        left -= {(int(a), int(b)) for a, b in place[:, list(pair)]}
    return np.array(chosen, np.int64)


def _template(vectors: Floats, lattice: Floats, *sites: Floats) -> Template:
    length = np.linalg.norm(vectors, axis=1)
    vectors = vectors[np.argsort(length, kind="stable")] / length.mean()
    length = np.linalg.norm(vectors, axis=1)
    n_first = int((length < length[0] + _EQUAL).sum())
    every = np.array([np.eye(3), *sites])
    return Template(vectors, n_first, float(length[0]), _pairs(vectors, n_first), every, lattice)


def _all_signs(*vectors: tuple[float, float, float]) -> Floats:
    """Return vectors with all permutations and signs of their components."""
    found = {
        tuple(np.array(v)[list(order)] * (sx, sy, sz))
        for v in vectors
        for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
        for sx in (1.0, -1.0)
        for sy in (1.0, -1.0)
        for sz in (1.0, -1.0)
    }
    return np.unique(np.round(np.array(sorted(found)), 12) + 0.0, axis=0)


def _ring(n: int, radius: float, height: float, start: float = 0.0) -> Floats:
    angle = np.radians(start) + 2 * np.pi * np.arange(n) / n
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full(n, height)])


def _hcp() -> Floats:
    above, height = np.sqrt(1 / 3), np.sqrt(2 / 3)
    return np.vstack([_ring(6, 1, 0), _ring(3, above, height, 30), _ring(3, above, -height, 30)])


def _icosahedron() -> Floats:
    cyclic = [np.roll([0.0, a, b * _PHI], turn) for a in (1, -1) for b in (1, -1) for turn in range(3)]
    return np.array(cyclic)


def _five_fold_axis() -> Floats:
    ring = np.sqrt(3) / 2
    return np.vstack([_ring(1, 0, 1), _ring(1, 0, -1), _ring(5, ring, 0.5), _ring(5, ring, -0.5)])


def _cubic_diamond() -> Floats:
    first = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 4
    return np.vstack([first, _all_signs((0.5, 0.5, 0))])


def _hexagonal_diamond() -> Floats:
    side, edge = np.sqrt(8) / 3, np.sqrt(8 / 3)
    first = np.vstack([_ring(1, 0, 1), _ring(3, side, -1 / 3, 30)])
    return np.vstack([first, _ring(6, edge, 0), _ring(3, side, 4 / 3, 30), _ring(3, side, -4 / 3, 30)])


_HALF_TURNS = tuple(_around(axis, 180) for axis in (_X, _Y, _Z))

#: Of every kind that is compared with, those of the fewest neighbours first.
TEMPLATES = {
    FCC: _template(_all_signs((1, 1, 0)), _CUBE),
    HCP: _template(_hcp(), _HEXAGON, _around(_Z, 180)),
    ICOSAHEDRAL: _template(_icosahedron(), np.eye(3)[None]),
    FIVE_FOLD_AXIS: _template(_five_fold_axis(), _PENTAGON),
    BCC: _template(np.vstack([_all_signs((0.5, 0.5, 0.5)), _all_signs((1, 0, 0))]), _CUBE),
    CUBIC_DIAMOND: _template(_cubic_diamond(), _CUBE, _around(_Z, 90)),
    HEXAGONAL_DIAMOND: _template(_hexagonal_diamond(), _HEXAGON, *_HALF_TURNS),
    SIMPLE_CUBIC: _template(np.vstack([_all_signs((1, 0, 0)), _all_signs((1, 1, 0))]), _CUBE),
}
#: Kinds whose lattice is turned into itself by the rotations of a template, so that orientations can be compared.
CRYSTALS = (FCC, HCP, BCC, CUBIC_DIAMOND, HEXAGONAL_DIAMOND, SIMPLE_CUBIC)
