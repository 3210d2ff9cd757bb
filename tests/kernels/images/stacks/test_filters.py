import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.images.stacks.filters import flatten, gaussian, invert

IMAGE = np.random.default_rng(0).normal(10, 1, (40, 50)).astype(np.float32)


def test_without_missing_pixels_it_is_the_gaussian_filter():
    assert np.array_equal(gaussian(IMAGE, 2.0), scipy.ndimage.gaussian_filter(IMAGE, 2.0))


def test_missing_pixels_stay_missing_and_count_for_nothing():
    image = np.full((30, 30), 7.0)
    image[10:14, 10:20] = np.nan
    smooth = gaussian(image, 3.0)
    assert np.array_equal(np.isnan(smooth), np.isnan(image))
    assert np.allclose(smooth[np.isfinite(image)], 7.0)


@given(gradient=st.floats(-1, 1), level=st.floats(-100, 100))
def test_flattening_takes_out_level_and_gradient(gradient, level):
    y = np.arange(60.0)[:, None] * np.ones(60)
    flat = flatten(level + gradient * y, 4.0)
    assert np.abs(flat[20:40]).max() < 1e-3


def test_inverting_twice_is_the_image_from_zero():
    assert np.allclose(invert(invert(IMAGE)), IMAGE - IMAGE.min(), atol=1e-5)
    assert invert(IMAGE).min() == pytest.approx(0.0)
    assert np.isnan(invert(np.full((3, 3), np.nan))).all()
