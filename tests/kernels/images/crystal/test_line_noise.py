"""Shifts that columns share by the lines of the scan: alike on one line, independent far away, and so in their sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from stemdask.kernels.images.crystal.line_noise import LineNoise, covariance_in_groups, variance_of_sums


def noise(across: int = 1) -> LineNoise:
    line = np.array([0.0, 0.0, 3.0, 50.0])
    return LineNoise(line, np.array([2.0, 2.0, 2.5, 2.0]), np.array([4.0, 1.0]), np.array([1.0, 1.0, 0.9, 1.0]), across)


def test_columns_of_one_line_move_together_and_those_far_apart_by_themselves() -> None:
    (found,) = covariance_in_groups(np.array([[0, 1, 3]]), noise())
    np.testing.assert_allclose(found[0, 1], np.diag([1.0, 4.0]))  # (y, x) of variances along (u, v)
    np.testing.assert_allclose(found[0, 2], 0.0, atol=1e-12)
    np.testing.assert_allclose(found, np.swapaxes(found, 0, 1))


@pytest.mark.parametrize("across", [0, 1])
def test_the_variance_of_a_sum_is_that_of_the_covariance_of_its_terms(across: int) -> None:
    weights = np.array([1.0, -2.0, 0.5, 0.3])
    (found,) = covariance_in_groups(np.arange(4)[None], noise(across))
    of_sum = np.einsum("k,klcd,l->cd", weights, found, weights)
    (unit,) = variance_of_sums(sparse.csr_array(weights[None]), noise(across))
    np.testing.assert_allclose([of_sum[1, 1], of_sum[0, 0]], unit * noise().variance, rtol=1e-12)


def test_a_column_that_is_missing_has_no_covariance() -> None:
    (found,) = covariance_in_groups(np.array([[0, -1]]), noise())
    assert np.isfinite(found[0, 0]).all()
    assert np.isnan(found[0, 1][[0, 1], [0, 1]]).all()
