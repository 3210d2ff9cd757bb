"""Atoms drawn along an axis, near ones over far ones, as large as the particle lets them be."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stemdask.figures.style import SYMBOLS, new, quantity, style
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


def by_property(atoms: xr.Dataset, name: str, *, greatest_in_front: bool = False) -> Figure:
    """Draw the atoms of one frame in two projections, coloured by a property of theirs.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z` in angstrom and the property.
    name
        The property.
    greatest_in_front
        Draw the atoms with the greatest values over the others, instead of the near ones.
    """
    values = atoms[name].values
    with style():
        figure, panels = new(8.4, 3.9, 1, 2)
        for axes, plane in zip(panels, ("xy", "xz"), strict=True):
            order = from_far(atoms, plane)
            if greatest_in_front:
                order = order[np.argsort(values[order], kind="stable")]
            shown = project(axes, atoms, order, plane, c=values[order], cmap="viridis")
        figure.colorbar(shown, ax=list(panels), label=_label(atoms[name]), pad=0.01)
    return figure


def _label(array: xr.DataArray) -> str:
    words = SYMBOLS.get(str(array.name)) or "\n".join(textwrap.wrap(array.attrs.get("long_name", ""), 40))
    return quantity(words, array.attrs.get("units", "1"))
