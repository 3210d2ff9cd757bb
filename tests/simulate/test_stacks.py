"""Simulated stacks hold what their truth says."""

from __future__ import annotations

import numpy as np

from stemdask.simulate import stack


def test_frames_of_a_stack_show_one_crystal_that_drifts() -> None:
    drift = np.array([[0.0, 0.0], [3.0, -2.0]])
    frames, truth = stack(2, drift=drift, shape=(96, 96), noise=None, missing=0.2, seed=5)
    np.testing.assert_allclose(frames[1][3:, :-2], frames[0][:-3, 2:], atol=1e-3)
    np.testing.assert_array_equal(truth.shifts, drift)


def test_row_jitter_moves_rows_and_not_the_mean() -> None:
    frames, truth = stack(1, row_jitter=0.5, shape=(96, 96), noise=None, seed=5)
    difference = frames[0] - truth.frame.expected
    assert np.abs(difference).max() > 0.02 * truth.frame.expected.max()
    assert abs(difference.mean()) < 0.01 * truth.frame.expected.mean()
