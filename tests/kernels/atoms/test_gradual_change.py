"""A gradual change is found with its begin and its end, and noise alone has none."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.atoms.change_points import course, transitions
from stemdask.kernels.atoms.gradual_change import gradual_change

WAY = 2 * np.log(9)  # from a tenth to nine tenths of a logistic curve


def noise(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    values = rng.normal(size=n)
    for k in range(1, n):
        values[k] = correlation * values[k - 1] + np.sqrt(1 - correlation**2) * values[k]
    return values


def logistic(n: int, middle: float, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-WAY * (np.arange(n) - middle) / width))


@pytest.mark.parametrize(("n", "width"), [(60, 6), (60, 12), (100, 10), (100, 20), (100, 40), (200, 80)])
@pytest.mark.parametrize("sigma", [0.02, 0.05])
def test_a_change_that_takes_a_tenth_to_two_fifths_of_the_frames_is_dated_within_its_errors(
    n: int, width: float, sigma: float
) -> None:
    rng = np.random.default_rng(3)
    off = []
    for _ in range(20):
        middle = n * rng.uniform(0.4, 0.6)
        values = logistic(n, middle, width) + sigma * noise(rng, n, 0.0)
        (found,) = transitions(course(values, 0.02), 0.02)
        off += [(found.start - (middle - width / 2)) / found.start_error]
        off += [(found.stop - (middle + width / 2)) / found.stop_error]
        assert found.start_error + found.stop_error < width / 4
        assert (found.before, found.after) == pytest.approx((0, 1), abs=0.1)
    assert np.sqrt(np.mean(np.square(off))) < 1.6


def test_a_fall_is_the_mirror_image_of_a_rise() -> None:
    rise = logistic(100, 45, 25) + 0.05 * noise(np.random.default_rng(1), 100, 0.3)
    (up,), (down,) = (transitions(course(values, 0.02), 0.02) for values in (rise, rise[::-1]))
    assert (99 - down.stop, 99 - down.start) == pytest.approx((up.start, up.stop), abs=1)


def test_a_long_series_has_the_same_change_as_its_means() -> None:
    values = logistic(1000, 400, 300) + 0.1 * noise(np.random.default_rng(2), 1000, 0.3)
    (found,) = transitions(course(values, 0.02), 0.02)
    assert abs(found.start - 250) < 3 * found.start_error < 60
    assert abs(found.stop - 550) < 3 * found.stop_error < 60


def test_values_that_are_missing_do_not_move_the_frames_of_a_change() -> None:
    values = logistic(100, 50, 20) + 0.03 * noise(np.random.default_rng(4), 100, 0.0)
    values[[5, 20, 21, 22, 48]] = np.nan
    found = course(values, 0.02)
    (change,) = transitions(found, 0.02)
    assert (change.start, change.stop) == pytest.approx((40, 60), abs=2)
    assert (np.isnan(found.fitted) == np.isnan(values)).all()


def test_a_sudden_change_stays_a_step() -> None:
    for seed in range(20):
        values = (np.arange(100) >= 50) + 0.05 * noise(np.random.default_rng(seed), 100, 0.3)
        assert [(t.start, t.stop) for t in transitions(course(values, 0.02), 0.02)] == [(50, 50)]


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_a_hundred_quiet_series_have_no_change(correlation: float) -> None:
    rng = np.random.default_rng(9)
    series = [noise(rng, 60, correlation) for _ in range(100)]
    assert [k for k, values in enumerate(series) if transitions(course(values, 0.0), 0.0)] == []


def test_a_series_too_short_for_begin_and_end_has_none() -> None:
    assert gradual_change(np.array([0.0, 0.1, 0.9, 1.0])) is None
