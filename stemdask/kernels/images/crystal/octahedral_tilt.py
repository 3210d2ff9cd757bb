"""How far the octahedra of a perovskite are turned about the beam, where oxygen columns are seen."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from stemdask.kernels.arrays import Floats

#: An oxygen column belongs to the octahedron within this fraction of the cell from where an upright one has it.
_REACH = 0.25


def octahedral_tilt(centres: Floats, a: Floats, b: Floats, oxygen: Floats, oxygen_err: Floats) -> tuple[Floats, Floats]:
    """Return the rotation of each octahedron, degree, counter-clockwise as displayed, and its standard error.

    Parameters
    ----------
    centres
        (n, 2), (y, x) of the columns in the middle of the octahedra.
    a, b
        (n, 2), vectors of the cells; an upright octahedron has its oxygen columns at ± a/2 and ± b/2.
    oxygen, oxygen_err
        (m, 2), positions and standard errors of the oxygen columns.

    Notes
    -----
    The mean angle of the four bonds; NaN unless two opposite ones are there, between which a shift of the middle column
    cancels.
    """
    n = len(centres)
    missing = np.full(n, np.nan), np.full(n, np.nan)
    known = np.isfinite(oxygen).all(axis=1)
    usable = np.asarray(np.isfinite(np.hstack([centres, a, b])).all(axis=1))
    if not known.any() or not usable.any():
        return missing
    oxygen, oxygen_err = oxygen[known], oxygen_err[known]
    upright = 0.5 * np.stack([a, -a, b, -b], axis=1)
    expected = np.where(usable[:, None, None], centres[:, None] + upright, 0.0)
    length = np.linalg.norm(upright, axis=2)
    distance, which = KDTree(oxygen).query(expected)
    there = usable[:, None] & (distance <= 2 * _REACH * length)
    there[:, :2] &= there[:, :2].all(axis=1, keepdims=True)
    there[:, 2:] &= there[:, 2:].all(axis=1, keepdims=True)
    bond = oxygen[which] - centres[:, None]
    turn = np.arctan2(upright[..., 0] * bond[..., 1] - upright[..., 1] * bond[..., 0], (upright * bond).sum(axis=2))
    with np.errstate(invalid="ignore", divide="ignore"):
        across = np.stack([bond[..., 1], -bond[..., 0]], axis=2) / (bond**2).sum(axis=2)[..., None]
        variance = (across**2 * oxygen_err[which] ** 2).sum(axis=2)
        number = there.sum(axis=1)
        tilt = np.where(there, turn, 0).sum(axis=1) / number
        error = np.sqrt(np.where(there, variance, 0).sum(axis=1)) / number
    return np.rad2deg(tilt), np.rad2deg(error)
