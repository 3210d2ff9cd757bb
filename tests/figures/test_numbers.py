from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from stemdask.figures.numbers import measured, median_row, number


def scalar(value, units="angstrom"):
    return xr.DataArray(np.array(value), attrs={"units": units})


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (23.74861, 0.03621, "23.749 ± 0.036 Å"),
        (7013.7, 32.2, "7014 ± 32 Å"),
        (7013.7, 0.0, "7014 Å"),
        (11.736, 4.5e-14, "11.74 Å"),
        (7013.7, np.nan, "7014 Å"),
        (np.nan, 1.0, "nan Å"),
        (-3e-5, 0.0019, "0.0000 ± 0.0019 Å"),
    ],
)
def test_a_value_has_as_many_digits_as_its_error_deserves(value, error, text):
    assert measured(scalar(value), scalar(error)) == text


def test_a_systematic_change_is_said_where_it_is_more_than_the_error():
    assert measured(scalar(9.7, "1"), scalar(0.05, "1"), scalar(-0.386, "1")) == "9.700 ± 0.050 (-0.386)"
    assert measured(scalar(9.7, "1"), scalar(0.05, "1"), scalar(0.01, "1")) == "9.700 ± 0.050"


def test_a_pure_number_has_no_unit():
    assert number(scalar(12.0, "1")) == "12"
    assert measured(scalar(12.0, "1"), None) == "12"


def test_a_median_is_that_of_the_values_there_are():
    assert median_row("median", scalar([1.0, np.nan, 2.0, 9.0], "millipixel")) == ("median", "0.002 px")
    assert median_row("median", scalar([np.nan])) == ("median", "none")
