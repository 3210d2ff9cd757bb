"""Changes that were put into a series are found, and none in noise, however it is correlated."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from stemdask.kernels.atoms.change_points import FEWEST, course, transitions


def noise(seed: int, n: int, correlation: float = 0.0) -> np.ndarray:
    """Return autoregressive noise of variance 1."""
    fresh = np.random.default_rng([99, seed]).standard_normal(n + 100)
    values = fresh.copy()
    for k in range(1, len(values)):
        values[k] = correlation * values[k - 1] + np.sqrt(1 - correlation**2) * fresh[k]
    return values[100:]


@pytest.mark.long
@pytest.mark.parametrize("n", [30, 100])
@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_noise_has_no_change_in_a_hundred_series(n: int, correlation: float) -> None:
    found = [course(noise(k, n, correlation)) for k in range(100)]
    assert not [one.place for one in found if len(one.place)]
    assert not [one for one in found if transitions(one)]


@pytest.mark.long
@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_a_steady_drift_has_no_change_of_its_course(correlation: float) -> None:
    drift = np.linspace(0, 30, 60)
    assert not [k for k in range(100) if len(course(noise(k, 60, correlation) + drift).place)]


@pytest.mark.parametrize("times", [6.0, 30.0])
def test_noise_that_grows_is_no_change(times: float) -> None:
    growing = np.where(np.arange(100) < 60, 1.0, times)
    assert not [k for k in range(20) if len(course(noise(k, 100, 0.6) * growing).place)]


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_a_step_is_found_where_it_is(correlation: float) -> None:
    for seed in range(10):
        series = noise(seed, 100, correlation)
        series[40:] += 12
        found = course(series)
        assert found.place.tolist() == pytest.approx([40], abs=1)
        assert found.error[0] < 2
        (change,) = transitions(found)
        assert (change.start, change.stop) == (found.place[0], found.place[0])
        assert change.after - change.before == pytest.approx(12, abs=4)


@pytest.mark.long
def test_small_steps_are_found_as_often_as_the_page_on_numbers_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "numbers.md").read_text(encoding="utf-8")
    stated = [int(number) for number in re.findall(r"in (\d+) of 100", page)]
    found = []
    for correlation in (0.0, 0.6):
        step = np.where(np.arange(60) < 30, 0.0, 6.0)
        found.append(sum(len(course(noise(k, 60, correlation) + step).place) > 0 for k in range(100)))
    assert found == pytest.approx(stated, abs=2)


def test_a_step_is_found_to_the_frame_where_the_noise_is_thirty_times_as_large_behind_it() -> None:
    quiet = np.where(np.arange(80) < 30, 0.03, 1.0)
    for seed in range(10):
        series = noise(seed, 80, 0.3) * quiet
        series[30:] -= 10
        assert course(series).place.tolist() == [30]


def test_the_ends_of_a_ramp_are_found() -> None:
    for seed in range(10):
        ramp = np.interp(np.arange(120), [40, 80], [0, 60]) + noise(seed, 120)
        found = course(ramp)
        assert found.moves.tolist() == [False, True, False]
        (change,) = transitions(found)
        assert (change.start, change.stop) == pytest.approx((40, 80), abs=2)
        assert (change.before, change.after) == pytest.approx((0, 60), abs=1)


def test_a_rise_and_a_fall_are_two_and_the_second_lasts_until_the_end() -> None:
    series = np.interp(np.arange(90), [20, 50, 90], [0, 60, -20]) + noise(2, 90)
    rise, fall = transitions(course(series))
    assert (rise.start, rise.stop, fall.start, fall.stop) == pytest.approx((20, 50, 50, 90), abs=2)
    assert (rise.after - rise.before, fall.after - fall.before) == pytest.approx((60, -80), abs=4)
    assert np.isnan(fall.stop_error)


def test_the_errors_of_places_are_those_by_which_they_miss() -> None:
    missed, told = [], []  # by simulation: a step of 6 in white noise of 1
    for seed in range(60):
        series = noise(seed, 60)
        series[25:] += 6.0
        found = course(series)
        if len(found.place) == 1:
            missed.append(found.place[0] - 25)
            told.append(found.error[0])
    assert len(missed) > 40
    assert np.sqrt(np.mean(np.square(missed))) <= np.sqrt(np.mean(np.square(told)))


def test_a_long_series_has_its_change_at_the_frame() -> None:
    series = noise(3, 5000, 0.6)
    series[3210:] += 6
    assert course(series).place.tolist() == pytest.approx([3210], abs=2)


def test_whole_numbers_that_grow_have_changes_and_those_that_matter_are_told_from_others() -> None:
    once = np.where(np.arange(60) < 30, 100.0, 101.0)
    assert course(once).place.tolist() == [30]
    assert len(course(once, least=2.0).place) == 0
    growing = np.interp(np.arange(60), [20, 40], [100, 160]).round()
    assert course(growing, least=2.0).place.tolist() == pytest.approx([20, 40], abs=2)


def test_one_value_apart_and_values_that_are_missing_are_no_change() -> None:
    series = noise(0, 80)
    series[30] = 40.0
    series[[5, 50, 51]] = np.nan
    found = course(series)
    assert len(found.place) == 0
    assert np.isnan(found.fitted).sum() == 3


def test_places_count_values_that_are_missing() -> None:
    series = noise(1, 80)
    series[50:] += 12
    series[[5, 6, 30]] = np.nan
    assert course(series).place.tolist() == [50]


@pytest.mark.parametrize("n", [0, 1, 2, FEWEST - 1])
def test_few_values_are_one_piece(n: int) -> None:
    series = np.arange(n) ** 2.0
    found = course(series)
    assert len(found.place) == 0
    assert found.fitted.shape == (n,)
    assert transitions(found) == []


def test_a_constant_has_no_change() -> None:
    assert len(course(np.full(50, 0.3)).place) == 0


def test_scale_and_offset_do_not_matter() -> None:
    series = noise(1, 90)
    series[50:] += 9
    assert course(series).place.tolist() == course(1e-6 * series + 1e3 * 1e-6).place.tolist()
