"""Shifts that columns share by the lines of the scan: alike on one line, independent far away, and so in their sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from stemdask.kernels.images.crystal.line_noise import (
    LineNoise,
    covariance_in_groups,
    covariance_of_sums,
    variance_of_moves,
)
from stemdask.kernels.images.crystal.row_response import MeanCell, row_response


def noise(across: int = 1) -> LineNoise:
    """Return that of four columns of two kinds, the fainter one beside the brighter."""
    precision = np.tile(np.eye(2) / 4.0, (2, 1, 1))
    places = np.array([[0.0, 0.0], [5.0, 4.0]])
    cell = MeanCell(np.array([0.0, 30.0]), np.array([30.0, 0.0]), places, np.array([1.0, 0.2]), precision, 0.1, 1.0, 0)
    response = row_response(cell, across)
    return LineNoise(np.array([0.0, 0.0, 4.0, 90.0]), np.array([0, 0, 1, 0]), response, np.array([4.0, 1.0]), 2.0)


def test_columns_of_one_line_move_together_and_those_far_apart_by_themselves() -> None:
    (found,) = covariance_in_groups(np.array([[0, 1, 2, 3]]), noise())
    np.testing.assert_allclose(found[0, 1], found[0, 0])
    np.testing.assert_allclose(np.diag(found[0, 1]), [4.0, 1.0], rtol=0.1)  # (u, v); a little by the other shift
    np.testing.assert_allclose(found[0, 3], 0.0, atol=1e-6)
    assert found[0, 2, 0, 0] > 0.1
    np.testing.assert_allclose(found, np.transpose(found, (1, 0, 3, 2)))
    np.testing.assert_allclose(noise().by_column() ** 2, found[[0, 1, 2, 3], [0, 1, 2, 3]][:, [0, 1], [0, 1]])


@pytest.mark.parametrize("across", [0, 1])
def test_the_covariance_of_a_sum_is_that_of_its_terms(across: int) -> None:
    weights = np.array([1.0, -2.0, 0.5, 0.3])
    (found,) = covariance_in_groups(np.arange(4)[None], noise(across))
    (unit,) = covariance_of_sums(sparse.csr_array(weights[None]), noise(across))
    of_sum = np.einsum("k,klcd,l->cd", weights, found, weights)
    np.testing.assert_allclose(of_sum, np.einsum("s,scd->cd", noise().variance, unit), rtol=1e-9, atol=1e-12)


def test_the_variance_of_a_number_is_that_of_the_moves_that_change_it() -> None:
    moves = np.array([[1.0, 0.2], [-2.0, 0.0], [0.5, -1.0], [0.3, 0.7]])  # along (u, v)
    (found,) = covariance_in_groups(np.arange(4)[None], noise())
    sums = [sparse.csr_array((along, np.arange(4), [0, 4]), shape=(1, 4)) for along in moves.T]
    (variance,) = variance_of_moves(*sums, noise())
    np.testing.assert_allclose(variance, np.einsum("kc,klcd,ld->", moves, found, moves), rtol=1e-9)


def test_a_column_that_is_missing_has_no_covariance() -> None:
    (found,) = covariance_in_groups(np.array([[0, -1]]), noise())
    assert np.isfinite(found[0, 0]).all()
    assert np.isnan(found[0, 1]).all()


def test_positions_in_another_unit_have_their_covariance_in_it() -> None:
    one, other = (covariance_in_groups(np.arange(4)[None], of) for of in (noise(), noise().scaled(0.1)))
    np.testing.assert_allclose(other, 0.01 * one)
