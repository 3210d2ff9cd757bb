from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, bars, share_drawn, title

from stemdask.figures.images.strain import ratio_map, strain_maps

NAMES = {"exx": "strain along x", "eyy": "strain along y", "exy": "shear strain", "rotation": "rotation"}


def strained(n=36):
    row, column = np.indices((6, 6)).reshape(2, -1)[:, :n]
    found = {"y": ("cell", 0.4 * row, {"units": "nm"}), "x": ("cell", 0.4 * column, {"units": "nm"})}
    for k, name in enumerate([*NAMES, "c_over_a"]):
        values = 0.01 * (k + 1) * np.linspace(-1, 1, n) + (name == "c_over_a")
        about = {"long_name": NAMES.get(name, name), "units": "degree" if name == "rotation" else "1"}
        found[name] = ("cell", values, about)
    return xr.Dataset(found)


def test_each_strain_has_a_map_with_its_name_and_its_values():
    found = strained()
    figure = strain_maps(found)
    maps = figure.axes
    assert [title(axes) for axes in maps] == ["strain along x", "strain along y", "shear strain", "rotation / °"]
    for axes, name in zip(maps, NAMES, strict=True):
        np.testing.assert_array_equal(axes.collections[0].get_array(), found[name])
    assert [len(axes.child_axes) for axes in maps] == [1] * 4  # its colours
    assert [axes.get_xlabel() for axes in maps] == ["", "", "x / nm", "x / nm"]  # where the ticks are
    assert [axes.get_ylabel() for axes in maps] == ["y / nm", "", "y / nm", ""]
    assert_drawn(figure)


def test_the_ratio_of_the_axes_is_a_map_and_a_histogram_of_all_cells_that_have_one():
    found = strained()
    found["c_over_a"][:6] = np.nan
    figure = ratio_map(found)
    left, right = figure.axes
    np.testing.assert_array_equal(left.collections[0].get_array(), found["c_over_a"][6:])
    assert sum(bars(right)[0]) == 30
    assert title(right) == "30 cells"
    assert_drawn(figure)


@pytest.mark.parametrize("draw", [strain_maps, ratio_map])
def test_a_frame_without_cells_has_empty_maps(draw):
    assert share_drawn(draw(strained(0))) == 0
