"""Directions of displacements as they are seen: degrees counter-clockwise from +x of an image whose y points down."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Indices

#: Where the order of directions begins, degree: between the axes and diagonals that domains like to lie along.
SEAM = -22.5


def angle(u: Floats, v: Floats) -> Floats:
    """Return the direction in degree, in (-180, 180]; NaN where the vector is zero or missing.

    Parameters
    ----------
    u, v
        Displacement along +x and +y (down), any unit.

    Examples
    --------
    >>> angle(np.array([0.0]), np.array([-1.0]))  # upwards
    array([90.])
    """
    found = np.degrees(np.arctan2(-np.asarray(v, dtype=float), u))
    found = np.where(found <= -180.0, 180.0, found)
    return np.where((np.asarray(u) == 0) & (np.asarray(v) == 0), np.nan, found)


def in_words(u: float, v: float) -> str:
    """Say where a vector points, in whole degrees from −179 to 180."""
    whole = round(float(angle(np.asarray(u), np.asarray(v)))) if u or v else 0
    return f"{180 if whole == -180 else whole}°".replace("-", "\N{MINUS SIGN}")


def vector(direction: Floats | float) -> Floats:
    """Return the unit vector (u, v) of a direction in degree; shape (..., 2)."""
    radians = np.radians(direction)
    return np.stack([np.cos(radians), -np.sin(radians)], axis=-1)


def difference(first: Floats, second: Floats | float) -> Floats:
    """Return the angle from `second` to `first`, degree, in [-180, 180).

    Parameters
    ----------
    first, second
        Directions of any shape, degree.

    Returns
    -------
    numpy.ndarray
        Of that shape, degree.

    Examples
    --------
    >>> difference(np.array([170.0]), -170.0)
    array([-20.])
    """
    turned: Floats = (np.asarray(first, dtype=float) - second + 180.0) % 360.0 - 180.0
    return turned


def order(centres: Floats) -> Indices:
    """Return the order of vectors (n, 2) by direction, counter-clockwise from `SEAM`; equal ones by length."""
    turned = (angle(centres[:, 0], centres[:, 1]) - SEAM) % 360.0
    return np.lexsort((np.hypot(centres[:, 0], centres[:, 1]), np.nan_to_num(turned, nan=-1.0)))
