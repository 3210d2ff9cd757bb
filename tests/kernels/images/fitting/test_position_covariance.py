"""The covariance of positions: kept for those columns that are chosen, and against matrices written out."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from stemdask.kernels.images.fitting.position_covariance import PositionCovariance


def chain(n: int) -> tuple[PositionCovariance, np.ndarray]:
    """Columns each of which shares information with the next; and their whole covariance (2n, 2n)."""
    rng = np.random.default_rng(3)
    factor = np.zeros((2 * n, 2 * n))
    for k in range(n):
        factor[2 * k : 2 * k + 2, 2 * k : 2 * k + 4] = rng.normal(
            size=factor[2 * k : 2 * k + 2, 2 * k : 2 * k + 4].shape
        )
    whole = factor @ factor.T
    blocks = whole.reshape(n, 2, n, 2).transpose(0, 2, 1, 3)
    pairs = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    return PositionCovariance(blocks[range(n), range(n)], pairs, blocks[pairs[:, 0], pairs[:, 1]]), whole


def test_sums_have_the_covariance_of_the_whole_matrix() -> None:
    known, whole = chain(7)
    weights = np.random.default_rng(1).normal(size=(4, 7)) * (np.random.default_rng(2).random((4, 7)) < 0.6)
    each = np.kron(weights, np.eye(2))
    expected = (each @ whole @ each.T).reshape(4, 2, 4, 2)[range(4), :, range(4)]
    np.testing.assert_allclose(known.of_sums(sparse.csr_array(weights)), expected, rtol=1e-12)


def test_what_moves_with_both_coordinates_has_the_variance_of_the_whole_matrix() -> None:
    known, whole = chain(7)
    moves = np.random.default_rng(4).normal(size=(4, 7, 2))
    each = moves.reshape(4, 14)
    found = known.of_moves(*(sparse.csr_array(moves[..., axis]) for axis in (0, 1)))
    np.testing.assert_allclose(found, np.diag(each @ whole @ each.T), rtol=1e-12)


def test_a_subset_keeps_what_its_columns_share_under_their_new_numbers() -> None:
    known, _ = chain(7)
    some = known.subset([5, 2, 4])
    np.testing.assert_array_equal(some.own, known.own[[5, 2, 4]])
    np.testing.assert_array_equal(some.pairs, [[2, 0]])
    np.testing.assert_array_equal(some.between, known.between[[4]])
    masked = known.subset(np.isin(np.arange(7), [2, 4, 5]))
    np.testing.assert_array_equal(masked.own, known.own[[2, 4, 5]])
    np.testing.assert_array_equal(masked.pairs, [[1, 2]])


def test_columns_spread_over_more_sites_leave_the_others_unknown() -> None:
    known, _ = chain(3)
    spread = known.renumbered([4, -1, 1], 6)
    assert len(spread) == 6
    assert len(spread.pairs) == 0
    np.testing.assert_array_equal(spread.own[4], known.own[0])
    assert np.isnan(spread.own[[0, 2, 3, 5]]).all()
    np.testing.assert_array_equal(known.renumbered([4, 0, 1], 6).pairs, [[4, 0], [0, 1]])


def test_in_other_units_and_axes_it_follows_the_positions() -> None:
    known, whole = chain(4)
    matrix = np.array([[0.0, 2.0], [-3.0, 0.5]])
    each = np.kron(np.eye(4), matrix)
    expected = (each @ whole @ each.T).reshape(4, 2, 4, 2)
    turned = known.transformed(matrix)
    np.testing.assert_allclose(turned.own[2], expected[2, :, 2], rtol=1e-12)
    np.testing.assert_allclose(turned.between[1], expected[1, :, 2], rtol=1e-12)


def test_independent_columns_have_their_errors_and_share_nothing() -> None:
    known = PositionCovariance.independent([[1.0, 2.0], [np.nan, 3.0]])
    np.testing.assert_array_equal(known.own[0], [[1.0, 0.0], [0.0, 4.0]])
    assert np.isnan(known.own[1, 0, 0])
    assert len(known.pairs) == 0
