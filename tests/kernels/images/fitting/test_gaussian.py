"""Gaussians and their moments against sums written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.images.fitting.ellipses import axes_of, precision_of
from stemdask.kernels.images.fitting.gaussian import moments, render

POWERS = [
    (0, 0),
    (1, 0),
    (0, 1),
    (2, 0),
    (1, 1),
    (0, 2),
    (3, 0),
    (2, 1),
    (1, 2),
    (0, 3),
    (4, 0),
    (3, 1),
    (2, 2),
    (1, 3),
    (0, 4),
]


def written_out(shape: tuple[int, int], y: float, x: float, precision: np.ndarray) -> tuple[np.ndarray, ...]:
    dy, dx = np.mgrid[: shape[0], : shape[1]] - np.array([y, x])[:, None, None]
    yy, yx, xx = precision
    return dy, dx, np.exp(-0.5 * (yy * dy**2 + 2 * yx * dy * dx + xx * dx**2))


@given(st.floats(1.0, 5.0), st.floats(0.5, 1.0), st.floats(-1.5, 1.5))
def test_axes_and_precision_are_inverse_to_each_other(major: float, ratio: float, rotation: float) -> None:
    axes = axes_of(precision_of(np.array([major]), np.array([major * ratio]), np.array([rotation])))
    back = precision_of(*axes)
    np.testing.assert_allclose(
        back, precision_of(np.array([major]), np.array([major * ratio]), np.array([rotation])), rtol=1e-9, atol=1e-12
    )


def test_the_major_axis_turns_counter_clockwise_as_displayed() -> None:
    image = np.zeros((41, 41), np.float32)
    render(
        image,
        np.array([[20.0, 20.0]]),
        np.ones(1),
        precision_of(np.array([5.0]), np.array([2.0]), np.array([np.pi / 4])),
    )
    assert image[14, 26] > 10 * image[26, 26]  # up and to the right


@pytest.mark.parametrize("centre", [(30.3, 33.9), (-2.0, 10.2), (61.5, 63.9)])
def test_render_adds_the_gaussian_that_the_formula_says(centre: tuple[float, float]) -> None:
    precision = precision_of(np.array([3.1]), np.array([2.2]), np.array([0.6]))
    image = np.ones((64, 64), np.float32)
    render(image, np.array([centre]), np.array([7.0]), precision)
    _, _, bell = written_out((64, 64), *centre, precision[0])
    np.testing.assert_allclose(image, 1.0 + 7.0 * bell, atol=7.0 * 1e-4)


@pytest.mark.parametrize("order", [2, 4])
def test_moments_are_the_sums_written_out(order: int) -> None:
    rng = np.random.default_rng(4)
    image = rng.random((64, 64)).astype(np.float32)
    precision = precision_of(np.array([3.1, 2.0]), np.array([2.2, 2.0]), np.array([0.6, 0.0]))
    centres = np.array([[30.3, 33.9], [3.0, 61.2]])
    out = np.empty((2, 6 if order == 2 else 15))
    moments(image, centres, precision, order, False, out)
    for k in range(2):
        dy, dx, bell = written_out((64, 64), *centres[k], precision[k])
        expected = [np.sum(image * bell * dy**m * dx**n) for m, n in POWERS[: out.shape[1]]]
        scale = [np.sum(bell * np.abs(dy**m * dx**n)) for m, n in POWERS[: out.shape[1]]]
        np.testing.assert_allclose(out[k] / scale, np.array(expected) / scale, atol=4e-4)


def test_moments_of_a_smooth_image_need_not_every_row() -> None:
    y, x = np.mgrid[:64, :64]
    image = (2.0 + np.sin(y / 4.0) * np.cos(x / 5.0)).astype(np.float32)
    precision = precision_of(np.array([2.9]), np.array([2.5]), np.array([0.4]))
    every, some = np.empty((1, 15)), np.empty((1, 15))
    moments(image, np.array([[31.7, 30.2]]), precision, 4, False, every)
    moments(image, np.array([[31.7, 30.2]]), precision, 4, True, some)
    np.testing.assert_allclose(some[:, [0, 3, 5, 10, 14]], every[:, [0, 3, 5, 10, 14]], rtol=1e-3)
