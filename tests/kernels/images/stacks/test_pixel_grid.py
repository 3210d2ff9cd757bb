import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemdask.kernels.images.stacks.pixel_grid import crop, turn


def blob(shape, at, sigma=2.5, dtype=np.float32):
    y, x = np.indices(shape)
    return np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * sigma**2)).astype(dtype)


def centre(image):
    weight = np.nan_to_num(image)
    return np.array([(index * weight).sum() for index in np.indices(image.shape)]) / weight.sum()


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(-180, 180),
    upsample=st.integers(1, 3),
    y=st.floats(12, 28),
    x=st.floats(12, 44),
)
def test_a_column_found_after_turning_lies_where_it_was(angle, upsample, y, x):
    turned, grid = turn(blob((41, 57), (y, x)), angle, upsample)
    assert grid.to_source(centre(turned)[None])[0] == pytest.approx((y, x), abs=0.01)
    assert grid.from_source(np.array([[y, x]]))[0] == pytest.approx(centre(turned), abs=0.03)


def test_a_positive_angle_turns_counter_clockwise_as_displayed():
    turned, _ = turn(blob((41, 41), (20, 28)), 90)  # a spot on the right goes to the top
    assert turned.shape == (41, 41)
    assert centre(turned) == pytest.approx((12, 20), abs=0.01)


def test_no_turn_and_no_upsampling_keep_every_pixel():
    image = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    same, grid = turn(image, 0.0)
    assert np.array_equal(same, image)
    assert np.array_equal(grid.matrix, np.eye(2))
    finer, _ = turn(image, 0.0, 3)
    assert np.allclose(finer[::3, ::3], image, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept_and_what_the_source_has_not_is_missing(dtype):
    image = np.ones((30, 40), dtype)
    turned, _ = turn(image, 30.0)
    assert turned.dtype == dtype
    assert np.isnan(turned[0, 0])
    assert np.isfinite(turned).sum() == pytest.approx(29 * 39, rel=0.02)
    assert np.allclose(turned[np.isfinite(turned)], 1.0)


def test_missing_pixels_stay_missing_and_spoil_no_others():
    image = blob((40, 40), (20, 20))
    image[10, 10] = np.nan
    turned, grid = turn(image, 20.0)
    hole = np.rint(grid.from_source(np.array([[10.0, 10.0]]))[0]).astype(int)
    assert np.isnan(turned[tuple(hole)])
    inside = grid.from_source(np.array([[20.0, 20.0]]))[0].astype(int)
    assert np.isfinite(turned[inside[0] - 5 : inside[0] + 6, inside[1] - 5 : inside[1] + 6]).all()


def test_a_crop_beyond_the_border_ends_there():
    image = np.arange(60.0).reshape(6, 10)
    part, grid = crop(image, (2, 3, 99, 7))
    assert np.array_equal(part, image[2:, 3:7])
    assert np.array_equal(grid.to_source(np.zeros((1, 2))), [[2, 3]])
    assert crop(image, (5, 0, 2, 4))[0].size == 0
