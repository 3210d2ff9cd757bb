"""How far the nearest, the second nearest, ... atom of one element is from each atom of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Booleans, Floats, Indices
from stemdask.kernels.atoms.periodic import images


def nearest_distances(
    positions: ArrayLike,
    around: Booleans,
    of: Booleans,
    k: int,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
) -> Floats:
    """Return the distances of the `k` nearest chosen atoms from each of others, which may be the same.

    Parameters
    ----------
    positions
        (n, 3).
    around
        (n,), the m atoms from which is measured.
    of
        (n,), the atoms that are looked for.
    k
        How many; an atom isn't its own neighbour, but in a small box an image of it is.
    cell, periodic
        The periodic box, as in `find_neighbours`.

    Returns
    -------
    Floats
        (m, k), ascending; NaN where there are fewer, and for atoms with a coordinate that isn't finite.

    Examples
    --------
    >>> from ase.build import bulk
    >>> salt = bulk("NaCl", "rocksalt", a=5.64)
    >>> sodium = salt.numbers == 11
    >>> nearest_distances(salt.positions, sodium, ~sodium, 7, salt.cell[:]).round(3)
    array([[2.82 , 2.82 , 2.82 , 2.82 , 2.82 , 2.82 , 4.884]])
    """
    xyz = np.asarray(positions, float)
    there = np.isfinite(xyz).all(axis=1)
    start, end = np.flatnonzero(around & there), np.flatnonzero(of & there)
    found = np.full((len(xyz), k), np.inf)
    if len(start) and len(end):
        if cell is None or not np.any(periodic):
            found[start] = _query(xyz, start, xyz[end], end, k)
        else:
            found[start] = _in_box(xyz, start, end, k, np.asarray(cell, float), periodic)
    distances: Floats = np.where(np.isfinite(found), found, np.nan)[around]
    return distances


def _in_box(xyz: Floats, start: Indices, end: Indices, k: int, cell: Floats, periodic: ArrayLike) -> Floats:
    """Look at more and more images, until all that are found are nearer than what was left out could be."""
    reach = 1.2 * float(np.cbrt(abs(np.linalg.det(cell)) * (k + 1) / (4 * len(end))))
    while True:
        box = images(np.where(np.isfinite(xyz), xyz, np.nan), reach, cell, periodic)
        looked_for = np.isin(box.owner, end)
        points = np.vstack([box.wrapped[end], (box.wrapped[box.owner] + box.shift)[looked_for]])
        names = np.concatenate([end, np.full(int(looked_for.sum()), -1)])
        found = _query(box.wrapped, start, points, names, k)
        if (found <= reach).all():
            return found
        reach *= 1.5


def _query(xyz: Floats, start: Indices, points: Floats, names: Indices, k: int) -> Floats:
    """Return the distances (m, k) of the nearest points; infinite where there are fewer."""
    away, index = cKDTree(points).query(xyz[start], k=np.arange(1, k + 2))
    itself = np.append(names, -1)[index] == start[:, None]
    itself[~itself.any(axis=1), -1] = True  # the farthest is one too many where the atom isn't among them
    found: Floats = away[~itself].reshape(-1, k)
    return found
