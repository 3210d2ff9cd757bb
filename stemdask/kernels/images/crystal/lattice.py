"""The mean lattice of indexed columns, and the names of its vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.arrays import Floats, Integers, Integers32

_ALIKE = 1.08
_TILT = np.deg2rad(3.0)


@dataclass(frozen=True, slots=True)
class Lattice:
    """A two-dimensional lattice: ``position = origin + i·a + j·b``."""

    a: Floats
    """(2,), (y, x)."""
    b: Floats
    origin: Floats

    def at(self, i: NDArray[np.generic], j: NDArray[np.generic]) -> Floats:
        """Positions (n, 2) of fractional indices."""
        return self.origin + np.asarray(i, np.float64)[:, None] * self.a + np.asarray(j, np.float64)[:, None] * self.b


def fit_lattice(positions: Floats, i: Integers32, j: Integers32) -> Lattice:
    """Fit a lattice to indexed columns by least squares.

    Parameters
    ----------
    positions
        (n, 2), (y, x), in any unit; a NaN is left out.
    i, j
        (n,), indices.

    Returns
    -------
    Lattice
        In the unit of the positions; NaN where the columns don't span two directions.

    Examples
    --------
    >>> i, j = (index.ravel().astype(np.int32) for index in np.indices((4, 4)))
    >>> positions = np.column_stack([2.0 + 10 * j, 3.0 + 12 * i])
    >>> found = fit_lattice(positions, i, j)
    >>> found.a, found.b
    (array([ 0., 12.]), array([10.,  0.]))
    """
    finite = np.isfinite(positions).all(axis=1)
    missing = np.full(2, np.nan)
    if finite.sum() < 3:
        return Lattice(missing, missing, missing)
    # Centred, so that far indices cost no digits.
    centre = np.array([i[finite].mean(), j[finite].mean()])
    indices = np.stack([i[finite], j[finite]], axis=1) - centre
    mean = positions[finite].mean(axis=0)
    normal = indices.T @ indices
    if np.linalg.matrix_rank(normal) < 2:
        return Lattice(missing, missing, missing)
    a, b = np.linalg.solve(normal, indices.T @ (positions[finite] - mean))
    return Lattice(a, b, mean - centre[0] * a - centre[1] * b)


def name_vectors(a: Floats, b: Floats) -> Integers:
    """Choose which lattice vectors are called a and b.

    Of the two shortest vectors of the lattice and their negatives, a is the one nearest to +x of the image and b the
    one that turns from +x towards +y (y down), so that i grows to the right and j downwards. Where a third vector is
    as short (within 8 %: hexagonal), a is chosen among all three, and b at the obtuse angle to it. "Nearest to +x" is
    judged from 3 degrees counter-clockwise of it, so that noise can't decide the names in a crystal turned by 45.

    Parameters
    ----------
    a, b
        (2,), (y, x), the two shortest vectors of the lattice in any order and sign.

    Returns
    -------
    (2, 2), integers: row 0 is the named a, row 1 the named b, as combinations of the given vectors.
    """
    combinations = [(1, 0), (0, 1)]
    vectors = np.array([a, b], float)
    third = (1, -1) if a @ b > 0 else (1, 1)
    if np.hypot(*(np.array(third) @ vectors)) < _ALIKE * min(np.hypot(*a), np.hypot(*b)):
        combinations.append(third)
    signed = np.array([(s * n, s * m) for n, m in combinations for s in (1, -1)])
    directions = signed @ vectors
    directions /= np.hypot(directions[:, 0], directions[:, 1])[:, None]
    first = int(np.argmax(directions @ (-np.sin(_TILT), np.cos(_TILT))))
    turn = directions[first, 1] * directions[:, 0] - directions[first, 0] * directions[:, 1]
    second = int(np.argmin(np.where(turn > 1e-6, directions @ directions[first], np.inf)))
    return np.array([signed[first], signed[second]], np.int64)
