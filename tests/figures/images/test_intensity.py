from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, legend, share_drawn, title

from stemdask.figures.images.intensity import intensity_map, mixture

ABOUT = {"long_name": "integral of the fitted column", "units": "1"}


def test_every_column_that_has_an_intensity_is_drawn_where_it_is():
    row, column = np.indices((6, 6)).reshape(2, -1)
    places = xr.Dataset({"y": ("column", 0.4 * row, {"units": "nm"}), "x": ("column", 0.4 * column)})
    values = xr.DataArray(np.arange(36.0), dims="column", attrs=ABOUT)
    values[:2] = np.nan
    figure = intensity_map(places, values)
    (axes,) = figure.axes
    (squares,) = axes.collections
    np.testing.assert_array_equal(squares.get_array(), np.arange(2.0, 36))
    centres = [path.vertices[:4].mean(axis=0) for path in squares.get_paths()]
    np.testing.assert_allclose(centres, np.stack([places["x"], places["y"]], axis=1)[2:], atol=1e-12)
    assert title(axes) == "integral of the fitted column"
    assert_drawn(figure)


def test_the_mixture_covers_as_many_columns_as_were_counted():
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(10, 0.5, 300), random.normal(14, 0.5, 100), random.normal(5, 0.5, 50)])
    kinds = np.array([0] * 400 + [1] * 50)
    values[449] = np.nan
    steps = {0: {"mean_intensity": [10, 14], "weight": [0.75, 0.25], "sigma": 0.5, "n_atoms": [3, 4]}}
    figure = mixture(values, kinds, steps)
    counted, plain = figure.axes
    assert sum(bar.get_height() for bar in counted.patches) == 400
    x, density = counted.lines[0].get_data()
    width = counted.patches[0].get_width()
    assert density.sum() * (x[1] - x[0]) / width == pytest.approx(400, rel=0.02)
    assert x[np.argmax(density)] == pytest.approx(10, abs=0.1)
    assert len(counted.lines) == 3  # the whole and its two steps
    assert legend(counted) == ["A, 400 columns", "mixture"]
    assert legend(plain) == ["B, 49 columns"]
    assert (plain.get_xlabel(), plain.get_ylabel()) == ("intensity", "columns")
    assert_drawn(figure)


def test_columns_of_no_sublattice_have_no_distribution():
    assert share_drawn(mixture(np.ones(3), np.full(3, -1), {})) == 0
