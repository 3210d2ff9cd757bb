from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from stemdask.figures.pixels import in_pixels, shown_units
from stemdask.store.layout import _UNCALIBRATED
from stemdask.units import symbol


@pytest.mark.parametrize("stored", _UNCALIBRATED.values())
def test_whatever_a_store_without_pixel_size_holds_is_shown_in_whole_pixels(stored):
    assert symbol(shown_units(stored)[0]) in ("px", "px²", "px⁻¹")


def test_values_become_pixels_and_their_squares_and_others_stay():
    group = xr.Dataset(
        {
            "u": ("cell", [100.0, np.nan], {"units": "millipixel", "long_name": "displacement"}),
            "variance": ("cell", [2e6, 0.0], {"units": "millipixel^2"}),
            "y": ("cell", [3.0, 4.0], {"units": "pixel"}),
            "i": ("cell", [1, 2], {"units": "1"}),
        }
    )
    shown = in_pixels(group)
    np.testing.assert_allclose(shown["u"], [0.1, np.nan])
    assert shown["u"].attrs == {"units": "pixel", "long_name": "displacement"}
    np.testing.assert_allclose(shown["variance"], [2.0, 0.0])
    assert shown["variance"].attrs["units"] == "pixel^2"
    for name in ("y", "i"):
        xr.testing.assert_identical(shown[name], group[name])
    assert group["u"].attrs["units"] == "millipixel"  # what the store holds is left alone
    xr.testing.assert_identical(in_pixels(shown), shown)
