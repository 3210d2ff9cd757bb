"""Size of a particle from its convex hull."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import ConvexHull, QhullError


def hull_volume(positions: ArrayLike) -> float:
    """Return the volume of the convex hull of points (n, 3); NaN where they are too few, in one plane or not finite.

    Parameters
    ----------
    positions
        (n, 3), in any unit of length.

    Returns
    -------
    float
        In the cube of that unit.

    Examples
    --------
    >>> cube = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    >>> round(hull_volume(cube), 9)
    1.0
    """
    points = np.asarray(positions, float)
    if len(points) < 4 or not np.isfinite(points).all():
        return np.nan
    try:
        return float(ConvexHull(points).volume)
    except QhullError:
        return np.nan


def equivalent_diameter(volume: float) -> float:
    """Return the diameter of the sphere of that volume.

    Parameters
    ----------
    volume
        In the cube of any unit of length.

    Returns
    -------
    float
        (6 V / π)^(1/3), in that unit.

    Examples
    --------
    >>> round(equivalent_diameter(np.pi / 6), 9)
    1.0
    """
    return float(np.cbrt(6 * volume / np.pi))
