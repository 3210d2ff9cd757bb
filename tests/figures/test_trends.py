from __future__ import annotations

import numpy as np
import xarray as xr
from drawn import assert_drawn, title

from stemdask.figures import trends

ABOUT = {"units": "angstrom", "long_name": "diameter"}


def test_a_series_shows_a_gap_for_a_failed_frame_and_a_band_where_an_error_is_known():
    series = {"particle/diameter": xr.DataArray(np.array([1.0, np.nan, 3.0, 2.0]), dims="frame", attrs=ABOUT)}
    figure = trends.draw(series, {})
    (plain,) = figure.axes
    np.testing.assert_array_equal(plain.lines[0].get_ydata(), series["particle/diameter"])
    assert plain.get_ylabel() == "Å"
    assert title(plain) == "diameter"
    assert plain.get_xlabel() == "frame"
    assert not plain.collections
    assert_drawn(figure)
    errors = {"particle/diameter": xr.DataArray(np.array([2.0, 1, 1, 1]), dims="frame")}
    banded = trends.draw(series, errors).axes[0]
    assert len(banded.collections) == 1
    assert banded.get_ylim()[0] == 0


def test_numbers_below_zero_are_not_cut_off():
    series = {"a/b": xr.DataArray(np.array([-3.0, 1.0]), dims="frame", attrs=ABOUT)}
    assert trends.draw(series, {}).axes[0].get_ylim()[0] < -3


def test_every_number_has_a_panel():
    series = {
        f"a/{k}": xr.DataArray(np.arange(3.0) + k, dims="frame", attrs=ABOUT | {"long_name": str(k)}) for k in range(3)
    }
    figure = trends.draw(series, {})
    assert [title(axes) for axes in figure.axes] == ["0", "1", "2"]
    assert [axes.lines[0].get_ydata()[0] for axes in figure.axes] == [0, 1, 2]
