import numpy as np
import pytest

from stemdask.kernels.images.finding.heights import heights_alone, tail_contrast, unexplained
from stemdask.kernels.images.finding.peaks import contrast

WIDTH, RADIUS = 3.0, 4.0


def draw(positions: np.ndarray, heights: np.ndarray, shape: tuple[int, int] = (120, 120)) -> np.ndarray:
    rows, columns = np.indices(shape)
    image = np.zeros(shape)
    for (y, x), height in zip(positions, heights, strict=True):
        image += height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * WIDTH**2))
    return image.astype(np.float32)


def columns_that_overlap() -> tuple[np.ndarray, np.ndarray]:
    i, j = np.mgrid[:10, :10].reshape(2, -1)
    positions = np.stack([10.0 + 10.0 * i + 0.3 * j, 10.0 + 10.0 * j], axis=1)
    return positions, np.where((i + j) % 2 == 0, 1.0, 0.2)


def test_the_contrast_of_a_tail_is_that_of_a_drawn_column() -> None:
    image = draw(np.array([[60.0, 60.0]]), np.ones(1))
    distance = np.array([0.0, 3.0, 6.0, 9.0])
    at = np.stack([60.0 + distance, np.full(4, 60.0)], axis=1)
    np.testing.assert_allclose(contrast(image, at, RADIUS), tail_contrast(distance, WIDTH, RADIUS), atol=0.02)


def test_overlapping_columns_have_the_heights_that_they_were_drawn_with() -> None:
    positions, heights = columns_that_overlap()
    heights[35] = 0.0
    measured = contrast(draw(positions, heights), positions, RADIUS)
    found = heights_alone(measured, positions, np.zeros(100), WIDTH, RADIUS)
    np.testing.assert_allclose(found, heights, atol=0.03)


def test_columns_that_are_not_seen_are_taken_for_what_is_assumed() -> None:
    positions, heights = columns_that_overlap()
    measured = contrast(draw(positions, heights), positions, RADIUS)
    measured[44] = np.nan
    found = heights_alone(measured, positions, heights, WIDTH, RADIUS)
    assert found[44] == heights[44]
    np.testing.assert_allclose(found, heights, atol=0.03)


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_what_is_unexplained_is_the_noise(noise: float) -> None:
    positions, heights = columns_that_overlap()
    rng = np.random.default_rng(0)
    empty = rng.normal(0, noise, (120, 120)).astype(np.float32)
    own = float(tail_contrast(np.zeros(1), WIDTH, RADIUS)[0])
    expected = np.std(contrast(empty, rng.uniform(10, 110, (2000, 2)), RADIUS)) / own
    shape = (WIDTH, RADIUS, 10.0)
    left = unexplained(draw(positions, heights) + empty, positions, heights, np.ones(100, bool), shape)
    assert np.median(left) == pytest.approx(expected, rel=0.15)


def test_nothing_is_told_where_there_is_nowhere_to_look() -> None:
    positions, heights = columns_that_overlap()
    image = np.full((120, 120), np.nan, np.float32)
    assert np.isnan(unexplained(image, positions, heights, np.ones(100, bool), (WIDTH, RADIUS, 10.0))).all()
