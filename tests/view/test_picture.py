from __future__ import annotations

import numpy as np
import pytest

from stemdask.model import ImageFrame
from stemdask.view.picture import contrast, picture


def frame(pixels: np.ndarray) -> ImageFrame:
    return ImageFrame(0, pixels, (0.5, 0.25), (10.0, 20.0))


def test_a_small_image_is_sent_pixel_for_pixel_where_it_is():
    seen = picture(frame(np.arange(12.0).reshape(3, 4)))
    assert seen.levels.shape == (3, 4)
    assert (seen.left, seen.top, seen.width, seen.height) == (19.875, 9.75, 1.0, 1.5)
    assert (np.diff(seen.levels.ravel().astype(int)) >= 0).all()
    assert seen.levels.min() == 1
    assert seen.levels.max() == 255


def test_a_large_image_becomes_means_of_squares():
    pixels = np.kron(np.arange(16.0).reshape(4, 4), np.ones((10, 10)))
    seen = picture(frame(pixels), most=4)
    assert seen.levels.shape == (4, 4)
    np.testing.assert_array_equal(np.argsort(seen.levels.ravel(), kind="stable"), np.arange(16))


def test_a_window_has_all_pixels_that_it_touches_and_no_other():
    seen = picture(frame(np.arange(400.0).reshape(20, 20)), window=(21.0, 22.0, 12.1, 13.9))
    assert seen.left <= 21.0
    assert seen.left + seen.width >= 22.0
    assert seen.levels.shape == (5, 5)


@pytest.mark.parametrize("window", [(-50.0, -40.0, 0.0, 1.0), (90.0, 99.0, 90.0, 99.0)])
def test_a_window_beside_the_image_is_a_pixel_at_its_edge(window: tuple[float, float, float, float]):
    assert picture(frame(np.ones((20, 20))), window=window).levels.shape == (1, 1)


def test_missing_pixels_are_told_from_black_ones_and_leave_the_contrast_alone():
    pixels = np.arange(100.0).reshape(10, 10)
    whole = contrast(pixels)
    pixels[0, :5] = np.nan
    assert (picture(frame(pixels)).levels == 0).sum() == 5
    assert contrast(pixels)[1] == pytest.approx(whole[1], abs=0.1)


@pytest.mark.parametrize("pixels", [np.full((4, 4), np.nan), np.full((4, 4), 7.0)])
def test_an_image_of_nothing_is_drawn(pixels: np.ndarray):
    assert picture(frame(pixels)).levels.shape == (4, 4)
