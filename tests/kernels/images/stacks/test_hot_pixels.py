import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemdask.kernels.images.stacks.hot_pixels import find_hot_pixels
from stemdask.simulate import perovskite


@pytest.mark.parametrize("electrons", [50.0, 1000.0, 100_000.0])
@pytest.mark.parametrize("sigma", [1.2, 3.0])
def test_no_pixel_of_a_good_image_is_hot(electrons, sigma):
    image, _ = perovskite((200, 200), 6 * sigma, sigma_a=sigma, sigma_b=sigma, electrons_a=electrons)
    assert find_hot_pixels(image).sum() <= 1


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999))
def test_hot_and_dead_pixels_are_found_and_nothing_else(seed):
    image, _ = perovskite((128, 128), 14.0, background=40.0, noise_seed=seed)
    rng = np.random.default_rng(seed)
    at = 8 * rng.permutation(14 * 14)[:20]
    y, x = 4 + at // 14 // 8 * 8, 4 + at // 8 % 14 * 8
    image[y[:10], x[:10]] += 2000
    image[y[10:], x[10:]] = -500
    wrong = find_hot_pixels(image)
    assert wrong[y, x].all()
    assert wrong.sum() <= 21


@pytest.mark.parametrize("image", [np.full((40, 40), np.nan), np.zeros((40, 40)), np.ones((2, 2))])
def test_images_without_content_have_no_hot_pixels(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not find_hot_pixels(image).any()


def test_missing_pixels_do_not_hide_a_hot_one():
    image = np.random.default_rng(0).normal(100, 3, (64, 64))
    image[30:32, 30:35] = np.nan
    image[32, 32] = 500
    wrong = find_hot_pixels(image)
    assert wrong[32, 32]
    assert wrong.sum() == 1
