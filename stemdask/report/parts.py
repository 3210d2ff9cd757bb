"""What a report is made of, and what every part of it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import yaml

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


def config(tree: xr.DataTree) -> dict[str, Any]:
    """Return the resolved config of the run."""
    return dict(yaml.safe_load(tree.attrs["config"]))


def median_row(name: str, array: xr.DataArray) -> tuple[str, str]:
    """Return a row with the median of the finite values, and its unit."""
    finite = np.asarray(array.values)[np.isfinite(array.values)]
    return name, f"{np.median(finite):.4g} {array.attrs['units']}" if finite.size else "none"


def number(array: xr.DataArray, digits: int = 6) -> str:
    """Return a scalar with its unit."""
    units = array.attrs.get("units", "1")
    return f"{float(array.values):.{digits}g}" + ("" if units == "1" else f" {units}")
