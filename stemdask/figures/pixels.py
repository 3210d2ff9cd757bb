"""Thousandths of a pixel, in which displacements without a pixel size are stored, shown as pixels."""

from __future__ import annotations

from typing import TypeVar

import xarray as xr

#: How a store may name thousandths of a pixel and their square, what is shown instead, and by how much it is less.
_SHOWN = {
    "millipixel": ("pixel", 1e-3),
    "1e-3 pixel": ("pixel", 1e-3),
    "millipixel^2": ("pixel^2", 1e-6),
    "1e-6 pixel^2": ("pixel^2", 1e-6),
}

_Values = TypeVar("_Values", xr.DataArray, xr.Dataset)


def shown_units(units: str) -> tuple[str, float]:
    """Return in which units values are shown, and what those of the store are multiplied by for that."""
    return _SHOWN.get(units, (units, 1.0))


def in_pixels(values: _Values) -> _Values:
    """Return a variable, or a group of them, with pixels in place of their thousandths; others as they are."""
    if isinstance(values, xr.Dataset):
        return values.assign({name: in_pixels(array) for name, array in values.data_vars.items() if _is_small(array)})
    if not _is_small(values):
        return values
    units, factor = shown_units(str(values.attrs["units"]))
    return (values * factor).assign_attrs(values.attrs | {"units": units})


def _is_small(array: xr.DataArray) -> bool:
    return array.attrs.get("units") in _SHOWN
