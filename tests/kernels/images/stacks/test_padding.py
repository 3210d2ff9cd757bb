from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from stemdask import simulate
from stemdask.kernels.images.stacks.padding import find_padding


def crystal(seed: int = 0) -> np.ndarray:
    image, _ = simulate.perovskite((120, 150), 14.0, rotation=7.0, seed=seed)
    return np.asarray(image, np.float32)


@settings(max_examples=40, deadline=None)
@given(
    widths=st.tuples(*[st.integers(0, 30)] * 4).filter(any),
    value=st.sampled_from([0.0, -5.0, 1e4, "mean"]),
    seed=st.integers(0, 3),
)
def test_a_border_of_any_value_on_any_sides_is_found_to_the_pixel(widths, value, seed):
    image = crystal(seed)
    top, bottom, left, right = widths
    value = float(np.float32(image.mean())) if value == "mean" else value
    padded = np.pad(image, ((top, bottom), (left, right)), constant_values=value)
    expected = np.pad(np.zeros(image.shape, bool), ((top, bottom), (left, right)), constant_values=True)
    np.testing.assert_array_equal(find_padding(padded), expected)


@pytest.mark.parametrize("angle", [3.0, 20.0, 45.0, -12.0])
def test_the_corners_that_a_turn_leaves_are_found(angle):
    image = crystal() + 50
    turned = ndimage.rotate(image, angle, order=1)
    outside = ndimage.rotate(np.ones(image.shape), angle, order=1) == 0
    np.testing.assert_array_equal(find_padding(turned), outside)


def test_an_image_of_whole_numbers_may_have_the_value_of_its_border():
    image = crystal()
    image = np.clip(256 * (image - np.percentile(image, 0.5)) / np.ptp(image), 0, 255).astype(np.uint8)
    assert np.count_nonzero(image == 0) > 50
    padded = np.pad(image, ((0, 20), (15, 0)))
    found = find_padding(padded)
    assert found is not None
    assert found[:, :15].all()
    assert found[-20:].all()
    # Pixels of that value at the rim go with it where they join it.
    assert found[:-20, 15:].mean() < 0.01


@pytest.mark.parametrize("levels", [4, 16, 256])
def test_a_particle_in_a_vacuum_of_one_value_has_no_border(levels):
    y, x = np.mgrid[:200, :200]
    columns = sum(
        np.exp(-((y - a) ** 2 + (x - b) ** 2) / 12.0) * max(0.0, 1 - ((a - 100) ** 2 + (b - 100) ** 2) / 70**2) ** 0.5
        for a in range(30, 171, 10)
        for b in range(30, 171, 10)
        if (a - 100) ** 2 + (b - 100) ** 2 < 70**2
    )
    assert find_padding(np.round(columns * (levels - 1)).astype(np.float32)) is None


def test_a_background_that_is_clipped_winds_around_columns_and_is_no_border():
    image = crystal()
    level = float(np.percentile(image, 60))
    assert find_padding(np.maximum(image, level)) is None


@pytest.mark.parametrize("image", [np.zeros((30, 40)), np.full((30, 40), np.nan), np.zeros((1, 1))])
def test_what_holds_no_image_has_no_border(image):
    assert find_padding(image) is None


def test_an_image_without_a_border_has_none():
    assert find_padding(crystal()) is None
    assert find_padding(np.random.default_rng(0).poisson(0.3, (200, 200)).astype(np.float32)) is None
