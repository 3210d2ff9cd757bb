"""What a report is made of, and what every part of it reads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from stemdask.figures.style import unit
from stemdask.model import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(slots=True)
class Part:
    """A part of the report: a heading, sentences, rows of a table, and figures with their captions."""

    title: str
    sentences: list[str] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    figures: list[tuple[Figure, str]] = field(default_factory=list)


def values(tree: xr.DataTree, path: str) -> Array:
    """Return a whole variable of the store."""
    return np.asarray(tree[path].values)


def median_row(name: str, array: xr.DataArray) -> tuple[str, str]:
    """Return a row with the median of the finite values, and its unit."""
    finite = np.asarray(array.values)[np.isfinite(array.values)]
    return name, f"{np.median(finite):.4g} {array.attrs['units']}" if finite.size else "none"


def number(array: xr.DataArray, digits: int = 6) -> str:
    """Return a scalar with its unit."""
    return f"{float(array.values):.{digits}g} {unit(array.attrs.get('units', '1'))}".rstrip()


def measured(array: xr.DataArray, error: xr.DataArray | None, shift: xr.DataArray | None = None) -> str:
    """Return a scalar with its unit and, where there is one, its standard error to two digits.

    A systematic change by the same cause follows in brackets where it is more than the error.
    """
    if error is None or not np.isfinite(error) or not np.isfinite(array) or float(error) <= 0:
        return number(array)
    digits = max(1 - math.floor(math.log10(float(error))), 0)
    text = f"{float(array):.{digits}f} ± {float(error):.{digits}f}"
    if shift is not None and abs(float(shift)) > float(error):
        text += f" ({float(shift):+.{digits}f})"
    return f"{text} {unit(array.attrs.get('units', '1'))}".rstrip()
