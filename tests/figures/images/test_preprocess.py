from __future__ import annotations

import numpy as np
import pytest
from drawn import assert_drawn, title

from stemdask.figures.images.preprocess import before_and_after

PIXELS = np.random.default_rng(0).random((20, 30))


def test_the_pixels_of_the_file_stand_beside_those_that_are_measured():
    figure = before_and_after(PIXELS, PIXELS[::-1], PIXELS[::-1])
    before, after = figure.axes
    np.testing.assert_array_equal(before.images[0].get_array(), PIXELS)
    np.testing.assert_array_equal(after.images[0].get_array(), PIXELS[::-1])
    assert [title(axes) for axes in figure.axes] == ["as in the file", "to measure on"]
    assert (before.get_xlabel(), before.get_ylabel()) == ("x / px", "y / px")
    assert_drawn(figure)


def test_pixels_for_finding_are_shown_where_they_are_others():
    figure = before_and_after(PIXELS, PIXELS, 2 * PIXELS)
    assert title(figure.axes[2]) == "to find columns on"
    np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), 2 * PIXELS)


@pytest.mark.parametrize("missing", [slice(3), slice(None)])
def test_missing_pixels_are_left_white(missing):
    pixels = PIXELS.copy()
    pixels[missing] = np.nan
    figure = before_and_after(PIXELS, pixels, pixels)
    assert len(figure.axes) == 2  # missing pixels are no difference
    np.testing.assert_array_equal(np.ma.getmaskarray(figure.axes[1].images[0].get_array()), np.isnan(pixels))
    figure.canvas.draw()
