"""How far the octahedra of a perovskite are turned about the beam, where oxygen columns are seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from stemdask.kernels.arrays import Floats, Integers

#: An oxygen column belongs to the octahedron within this fraction of the cell from where an upright one has it.
_REACH = 0.25


class Octahedra(NamedTuple):
    """Rotations of n octahedra, and what they hang on."""

    tilt: Floats
    """(n,), degree, counter-clockwise as displayed; NaN unless two opposite oxygen columns are there."""
    oxygen: Integers
    """(n, 4), numbers of the oxygen columns at a/2, -a/2, b/2 and -b/2; 0 where there is none."""
    by_oxygen: Floats
    """(n, 4, 2), degree per unit of length by which an oxygen column that moves along (y, x) turns it; 0: none."""
    by_cell: Floats
    """(n, 2, 2), the same of the ends of a and b."""


def octahedral_tilt(centres: Floats, a: Floats, b: Floats, oxygen: Floats) -> Octahedra:
    """Measure the rotation of each octahedron.

    Parameters
    ----------
    centres
        (n, 2), (y, x) of the columns in the middle of the octahedra.
    a, b
        (n, 2), vectors of the cells; an upright octahedron has its oxygen columns at ± a/2 and ± b/2.
    oxygen
        (m, 2), positions of the oxygen columns.

    Notes
    -----
    The mean angle of the four bonds, or of two opposite ones, between which a shift of the middle column cancels.

    Examples
    --------
    >>> oxygen = np.array([[-1.0, 8.0], [1.0, -8.0], [8.0, 1.0], [-8.0, -1.0]])
    >>> a, b = np.array([[0.0, 16.0]]), np.array([[16.0, 0.0]])
    >>> octahedral_tilt(np.zeros((1, 2)), a, b, oxygen).tilt.round(2)
    array([7.13])
    """
    n = len(centres)
    known = np.flatnonzero(np.isfinite(oxygen).all(axis=1))
    usable = np.asarray(np.isfinite(np.hstack([centres, a, b])).all(axis=1))
    if not known.size or not usable.any():
        return Octahedra(np.full(n, np.nan), np.zeros((n, 4), np.int64), np.zeros((n, 4, 2)), np.zeros((n, 2, 2)))
    upright = 0.5 * np.stack([a, -a, b, -b], axis=1)
    expected = np.where(usable[:, None, None], centres[:, None] + upright, 0.0)
    distance, which = KDTree(oxygen[known]).query(expected)
    there = usable[:, None] & (distance <= 2 * _REACH * np.linalg.norm(upright, axis=2))
    there[:, :2] &= there[:, :2].all(axis=1, keepdims=True)
    there[:, 2:] &= there[:, 2:].all(axis=1, keepdims=True)
    bond = oxygen[known][which] - centres[:, None]
    turn = np.arctan2(upright[..., 0] * bond[..., 1] - upright[..., 1] * bond[..., 0], (upright * bond).sum(axis=2))
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(there, np.rad2deg(1.0) / there.sum(axis=1, keepdims=True), 0.0)
        tilt = np.where(there, part * turn, 0.0).sum(axis=1)
    by_upright = np.where(there[..., None], -part[..., None] * _turned_by(upright), 0.0)
    return Octahedra(
        np.where(there.any(axis=1), tilt, np.nan),
        np.where(there, known[which], 0),
        np.where(there[..., None], part[..., None] * _turned_by(bond), 0.0),
        0.5 * np.stack([by_upright[:, 0] - by_upright[:, 1], by_upright[:, 2] - by_upright[:, 3]], axis=1),
    )


def _turned_by(vectors: Floats) -> Floats:
    """Return by what angle, radian, moving the end along (y, x) turns vectors (..., 2)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.stack([-vectors[..., 1], vectors[..., 0]], axis=-1) / (vectors**2).sum(axis=-1)[..., None]
    return found
