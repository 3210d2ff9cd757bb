from __future__ import annotations

import numpy as np
from drawn import assert_drawn, title

from stemdask.figures.images.denoise_images import removed

PIXELS = np.random.default_rng(0).random((20, 30))


def test_the_denoised_image_is_the_measured_one_less_what_was_removed():
    taken = np.random.default_rng(1).normal(0, 0.1, PIXELS.shape)
    figure = removed(PIXELS, taken)
    measured, denoised, away, scale = figure.axes
    np.testing.assert_array_equal(measured.images[0].get_array(), PIXELS)
    np.testing.assert_allclose(denoised.images[0].get_array(), PIXELS - taken)
    np.testing.assert_array_equal(away.images[0].get_array(), taken)
    assert measured.images[0].get_clim() == denoised.images[0].get_clim()
    low, high = away.images[0].get_clim()
    assert low == -high
    assert [title(axes) for axes in (measured, denoised, away)] == ["as measured", "denoised", "removed"]
    assert (measured.get_xlabel(), scale.get_ylabel()) == ("x / px", "intensity")
    assert_drawn(figure)


def test_nothing_removed_and_no_pixels_are_drawn():
    removed(PIXELS, np.zeros_like(PIXELS)).canvas.draw()
    removed(PIXELS * np.nan, PIXELS * np.nan).canvas.draw()
