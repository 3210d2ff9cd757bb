"""Atoms drawn along an axis: near ones over far ones, as large as the particle lets them be."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from stemdask.model import Array

#: Diameter of an atom in points, times the width of the particle in angstrom.
_SIZE = 140.0


def from_far(atoms: xr.Dataset, plane: str) -> Array:
    """Return the indices of the atoms that are there, those farthest from the eye first.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z`; padding is NaN.
    plane
        The two axes that are seen, such as "xz".
    """
    there = np.flatnonzero(np.all([np.isfinite(atoms[axis].values) for axis in "xyz"], axis=0))
    (towards,) = set("xyz") - set(plane)
    order: Array = there[np.argsort(atoms[towards].values[there], kind="stable")]
    return order


def project(axes: Axes, atoms: xr.Dataset, chosen: Array, plane: str, **colours: Any) -> Any:
    """Draw chosen atoms in the plane of two axes; return what a colour bar needs."""
    across, up = (atoms[axis].values for axis in plane)
    widths = [np.ptp(values[np.isfinite(values)]) for values in (across, up) if np.isfinite(values).any()]
    diameter = float(np.clip(_SIZE / max(*widths, 1.0), 1.0, 8.0)) if widths else 1.0
    axes.set(xlabel=f"{plane[0]} / Å", ylabel=f"{plane[1]} / Å", aspect="equal")
    look: dict[str, Any] = {"s": diameter**2, "edgecolors": "w", "linewidths": 0.06 * diameter} | colours
    return axes.scatter(across[chosen], up[chosen], **look)
