"""The bound against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.fitting.cramer_rao import isolated_bound, joint_bound
from stemdask.simulate import perovskite


@pytest.mark.parametrize(("electrons", "sigma"), [(100.0, 3.0), (1e4, 2.0), (1e5, 4.0)])
def test_without_background_an_electron_tells_a_position_to_the_width(electrons: float, sigma: float) -> None:
    bound = isolated_bound(electrons, sigma, 1e-9 * electrons, radius=6 * sigma)
    assert bound == pytest.approx(sigma / np.sqrt(electrons), rel=2e-3)


def test_with_constant_noise_the_bound_is_that_of_least_squares() -> None:
    sigma, electrons, readout = 3.0, 5000.0, 4.0
    amplitude = electrons / (2 * np.pi * sigma**2)
    bound = isolated_bound(electrons, sigma, 1.0, radius=8 * sigma, readout=readout)
    assert bound == pytest.approx(readout * np.sqrt(2 / np.pi) / amplitude, rel=2e-3)


def test_neighbours_far_away_leave_the_joint_bound_that_of_a_column_alone() -> None:
    _, truth = perovskite((96, 96), 40.0, sigma_a=2.5, sigma_b=2.5, background=3.0, noise=None)
    sigma = np.full(len(truth.electrons), 2.5)
    bound = joint_bound(truth.expected, truth.positions, truth.electrons, sigma, truth.sublattice, truth.inside)
    central = np.argmin(np.hypot(*(truth.positions - 47.5).T))
    alone = isolated_bound(truth.electrons[central], 2.5, 3.0, radius=12)
    assert bound[central, 0] == pytest.approx(alone, rel=0.01)
    assert np.isnan(bound[~truth.inside]).all()
