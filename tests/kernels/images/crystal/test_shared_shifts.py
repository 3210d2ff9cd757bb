"""The variance of shifts of a scan's lines: the true one from few lines on, however they lie, and none by chance."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.crystal.shared_shifts import LAGS, Lines, SharedShifts, shared_shifts

SPACING, WIDTH, NOISE, SHIFT = 14.0, 2.5, 0.02, 0.1
#: Along and across lines, of columns that don't overlap, in even noise.
ALONG = np.exp(-0.5 * LAGS**2)
ACROSS = ALONG * (1.0 + LAGS**2 * (LAGS**2 - 2.0) / 3.0)


def found(side: int, seed: int, shift: float = SHIFT, angle: float = 0.0, slow: int = 0) -> SharedShifts:
    """Return what a square lattice of `side` rows tells whose lines are shifted; columns feel the rows about them."""
    rng = np.random.default_rng(seed)
    i, j = np.tile(np.arange(side), side), np.repeat(np.arange(side), side)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    positions = SPACING * np.column_stack([j, i]) @ turn
    rows = np.arange(np.ptp(positions[:, slow]) + 40.0) + positions[:, slow].min() - 20.0
    away = (positions[:, slow, None] - rows) / WIDTH
    middle = np.exp(-(away**2))
    for axis in (0, 1):
        weights = away**2 * middle if axis == slow else middle
        felt = weights @ rng.normal(0.0, shift, len(rows)) / np.sqrt((weights**2).sum(axis=1))
        positions[:, axis] += felt + rng.normal(0.0, NOISE, len(positions))
    alike = np.stack([ALONG, ACROSS] if slow == 0 else [ACROSS, ALONG])
    return shared_shifts(positions, i, j, np.zeros(len(i), int), Lines(slow, WIDTH, SPACING, alike))


@pytest.mark.parametrize("side", [6, 9, 17])
@pytest.mark.parametrize(("angle", "slow"), [(0.0, 0), (0.0, 1), (0.5, 0)])
def test_it_is_the_true_one_in_the_mean_however_few_the_lines(side: int, angle: float, slow: int) -> None:
    variance = np.array([found(side, seed, angle=angle, slow=slow).variance for seed in range(150)]).ravel()
    unsure = variance.std() / np.sqrt(len(variance))
    assert variance.mean() == pytest.approx(SHIFT**2, abs=3.0 * unsure + 0.05 * SHIFT**2)


@pytest.mark.parametrize(("side", "angle"), [(12, 0.0), (12, 0.5), (24, 0.0)])
def test_it_scatters_as_far_as_its_freedom_says(side: int, angle: float) -> None:
    every = [found(side, seed, angle=angle) for seed in range(150)]
    relative = np.std([one.variance for one in every]) / SHIFT**2
    assert relative == pytest.approx(np.sqrt(2.0 / every[0].freedom), rel=0.35)
    assert every[0].freedom <= np.ptp(SPACING * np.arange(side)) * (np.cos(angle) + np.sin(angle)) / WIDTH


def test_without_shifts_there_is_none_but_by_chance() -> None:
    none = np.array([found(12, seed, shift=0.0).variance for seed in range(100)])
    assert np.mean(none == 0.0) > 0.9
    assert none.max() < NOISE**2


def test_grains_of_few_columns_and_positions_that_are_not_known_do_not_count() -> None:
    lines = Lines(0, WIDTH, SPACING, np.stack([ALONG, ACROSS]))
    nothing = shared_shifts(np.zeros((0, 2)), *3 * [np.zeros(0, int)], lines)
    np.testing.assert_array_equal(nothing.variance, 0.0)
    i, j = np.tile(np.arange(12), 12), np.repeat(np.arange(12), 12)
    positions = SPACING * np.column_stack([j, i]) + np.random.default_rng(0).normal(0.0, NOISE, (144, 2))
    positions[:, 1] += np.random.default_rng(1).normal(0.0, SHIFT, 12)[j]
    whole = shared_shifts(positions, i, j, np.zeros(144, int), lines)
    wrong = np.vstack([positions, np.full((30, 2), np.nan), np.random.default_rng(2).normal(0.0, 40.0, (19, 2))])
    more = np.concatenate([i, np.arange(49)]), np.concatenate([j, np.arange(49)])
    grain = np.repeat([0, 0, 1], [144, 30, 19])
    np.testing.assert_allclose(shared_shifts(wrong, *more, grain, lines).variance, whole.variance)
    assert whole.variance[0] > 0.2 * SHIFT**2
