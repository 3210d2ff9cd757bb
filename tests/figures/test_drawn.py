from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, share_drawn
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from stemdask.figures.style import new, quantity


def test_empty_axes_are_no_picture():
    figure, axes = new()
    axes.set(title="Displacement", xlabel="x / nm")
    with pytest.raises(AssertionError, match=r"0\.000 %"):
        assert_drawn(figure)


def test_a_line_across_the_axes_and_an_empty_colour_bar_are_no_picture():
    figure, axes = new()
    axes.axhline(0.5)
    axes.text(0, 0, "nothing was found")
    figure.colorbar(ScalarMappable(Normalize(0, 1)), ax=axes)
    assert share_drawn(figure) == 0


@pytest.mark.parametrize(
    "draw",
    [
        lambda axes: axes.plot([0, 1], [0, 1]),
        lambda axes: axes.scatter([0, 1, 2], [0, 1, 4]),
        lambda axes: axes.bar([0, 1], [1, 2]),
        lambda axes: axes.imshow(np.eye(3)),
        lambda axes: axes.quiver([0, 1], [0, 1], [1, 1], [1, 0]),
        lambda axes: axes.fill_between([0, 1], [0, 1], [1, 2]),
    ],
    ids=["line", "points", "bars", "image", "arrows", "band"],
)
def test_data_of_any_sort_are_a_picture(draw):
    figure, axes = new()
    draw(axes)
    assert_drawn(figure)
    assert share_drawn(figure) == share_drawn(figure)


def test_points_that_are_not_there_are_no_picture():
    figure, axes = new()
    axes.scatter(*np.full((2, 9), np.nan))
    axes.plot(xr.DataArray(np.full(9, np.nan)))
    assert share_drawn(figure) == 0


def test_axes_say_quantity_and_unit():
    assert quantity("x", "nm") == "x / nm"
    assert quantity("strain", "1") == "strain"
    assert quantity("u", "millipixel") == "u / 10⁻³ px"
