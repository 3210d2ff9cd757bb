import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.images.finding.peaks import climb, contrast, interpolate_cubic, local_maxima


def bump(y: float, x: float, sigma: float = 2.0, shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)).astype(np.float32)


@given(st.floats(10, 30), st.floats(10, 40))
def test_a_smooth_maximum_is_found_to_a_tenth_of_a_pixel(y: float, x: float) -> None:
    positions, heights = local_maxima(bump(y, x), 1)
    assert len(positions) == 1
    np.testing.assert_allclose(positions[0], (y, x), atol=0.1)
    assert heights[0] == pytest.approx(1.0, abs=0.01)


def test_a_plateau_has_one_maximum() -> None:
    image = np.zeros((9, 9), np.float32)
    image[3:6, 3:6] = 1
    assert len(local_maxima(image, 1)[0]) == 1
    assert len(local_maxima(np.ones((9, 9), np.float32), 1)[0]) == 0


def test_a_missing_pixel_hides_only_what_touches_it() -> None:
    image = bump(12, 12) + bump(28, 36)
    image[12, 13] = np.nan
    np.testing.assert_allclose(local_maxima(image, 1)[0], [[28, 36]], atol=0.1)


def test_more_maxima_than_the_first_capacity_are_kept_in_reading_order() -> None:
    image = np.zeros((201, 201), np.float32)
    image[1::2, 1::2] = 1
    positions, _ = local_maxima(image, 1)
    assert len(positions) == 100 * 100
    assert (np.diff(positions[:, 0]) >= 0).all()


def test_contrast_ignores_a_constant_and_a_slope() -> None:
    image = bump(20, 25)
    at = np.array([[20.0, 25.0]])
    sloped = image + np.float32(7) + np.float32(0.3) * np.indices(image.shape)[0].astype(np.float32)
    np.testing.assert_allclose(contrast(sloped, at, 4.0), contrast(image, at, 4.0), atol=1e-5)


def test_climbing_stops_at_the_radius_and_then_stays() -> None:
    image = bump(20, 25)
    start = np.array([[18.0, 24.0], [20.0, 35.0]])
    found, arrived = climb(image, start, 4.0)
    np.testing.assert_array_equal(arrived, [True, False])
    np.testing.assert_allclose(found, [[20, 25], [20, 35]], atol=1e-6)


def test_cubic_interpolation_is_exact_for_parabolas() -> None:
    rows, columns = np.indices((12, 12)).astype(np.float32)
    image = (0.5 * rows**2 - columns**2 + rows * columns + 3).astype(np.float32)
    y, x = 5.3, 6.7
    assert interpolate_cubic(image, y, x) == pytest.approx(0.5 * y**2 - x**2 + x * y + 3, abs=1e-4)
    assert np.isnan(interpolate_cubic(image, 0.2, 5.0))
