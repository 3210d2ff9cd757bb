from __future__ import annotations

import numpy as np
import pytest
from drawn import assert_drawn, title

from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.figures.images.preprocess import before_and_after, method

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


def test_the_method_names_what_was_done_and_nothing_else():
    assert method(PreprocessParams()).text == "Images were analysed as recorded."
    said = method(PreprocessParams.model_validate({"invert": True, "rotate": -3.5, "smooth": "2 px"})).text
    assert said == (
        "Before columns were found, the contrast was inverted; axes of vectors were rotated by 3.5° clockwise; images "
        "were smoothed by a Gaussian of 2 px (SD), only to find columns."
    )


@pytest.mark.parametrize(("key", "value", "words"), [
    ("hot_pixels", 6, "more than 6 SD were excluded"),
    ("detector", [0, 100], "response of the detector"),
    ("crop", ["0 px", "1 px", "50 px", "61 px"], "from (0 px, 1 px) to (50 px, 61 px), y and x, was cropped"),
    ("rotate", {"angle": 4, "pixels": True}, "rotated by interpolation by 4° counter-clockwise"),
    ("upsample", 2, "upsampled 2 times"),
    ("flatten", "9 px", "local mean over a Gaussian of 9 px (SD) was subtracted"),
])  # fmt: skip
def test_each_step_is_in_the_method_in_words(key, value, words):
    said = method(PreprocessParams.model_validate({key: value})).text
    assert words in said
    assert "{" not in said
    assert "True" not in said
