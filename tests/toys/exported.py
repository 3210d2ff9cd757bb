"""What the tests of exports share."""

from __future__ import annotations

import csv
from pathlib import Path

import xarray as xr

COUNTS = (55, 13, 147, 13, 55)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tree(store: Path) -> xr.DataTree:
    return xr.open_datatree(store, engine="zarr")
