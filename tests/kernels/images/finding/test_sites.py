import numpy as np

from stemdask.kernels.images.finding.growth import UNINDEXED
from stemdask.kernels.images.finding.sites import predict_sites, to_grid

A, B = np.array([0.5, 14.0]), np.array([13.0, 0.0])


def strained(n: int, strain: float) -> np.ndarray:
    """Grid of a crystal stretched by `strain` along a."""
    i, j = np.mgrid[:n, :n]
    return i[..., None] * A * (1 + strain) + j[..., None] * B


def test_a_homogeneous_strain_is_predicted_exactly_inside() -> None:
    grid = strained(9, 0.05)
    sites, support = predict_sites(grid, A, B, np.array([0.5, 0.5]), False)
    expected = grid + 0.5 * A * 1.05 + 0.5 * B
    np.testing.assert_allclose(sites[2:-3, 2:-3], expected[2:-3, 2:-3], atol=0.02)
    assert (support[2:-3, 2:-3] == 4).all()


def test_a_missing_column_is_predicted_from_its_neighbours() -> None:
    grid = strained(9, 0.0)
    holed = grid.copy()
    holed[4, 4] = np.nan
    sites, _ = predict_sites(holed, A, B, np.zeros(2), False)
    np.testing.assert_allclose(sites[4, 4], grid[4, 4], atol=1e-6)


def test_a_column_is_judged_without_itself() -> None:
    grid = strained(9, 0.0)
    moved = grid.copy()
    moved[4, 4] += 3.0
    sites, _ = predict_sites(moved, A, B, np.zeros(2), True)
    np.testing.assert_allclose(sites[4, 4], grid[4, 4], atol=1e-6)


def test_the_other_side_of_a_slip_plane_does_not_count() -> None:
    grid = strained(9, 0.0)
    slipped = grid.copy()
    slipped[5:] += 0.9 * B
    sites, _ = predict_sites(slipped, A, B, np.zeros(2), True)
    np.testing.assert_allclose(sites[:, 2:-2], slipped[:, 2:-2], atol=1e-6)


def test_nothing_is_predicted_far_from_all_columns() -> None:
    grid = np.full((9, 9, 2), np.nan)
    grid[4, 4] = 0.0
    sites, support = predict_sites(grid, A, B, np.zeros(2), False)
    assert np.isnan(sites).all()
    assert support[4, 4] == 1


def test_columns_without_indices_are_left_off_the_grid() -> None:
    i = np.array([3, UNINDEXED, 4], np.int32)
    j = np.array([-2, UNINDEXED, 0], np.int32)
    grid, i0, j0 = to_grid(np.arange(6.0).reshape(3, 2), i, j, padding=1)
    assert (i0, j0) == (2, -3)
    assert grid.shape == (4, 5, 2)
    np.testing.assert_array_equal(grid[1, 1], [0, 1])
    np.testing.assert_array_equal(grid[2, 3], [4, 5])
    assert np.isfinite(grid).all(axis=2).sum() == 2
    assert to_grid(np.empty((0, 2)), i[:0], j[:0])[0].shape == (0, 0, 2)
