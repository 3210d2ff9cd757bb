import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.images.finding.growth import UNINDEXED, best_seed, grow, nearest_points

A, B = np.array([1.0, 14.0]), np.array([14.0, -1.0])


def crystal(n: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    i, j = np.mgrid[:n, :n].reshape(2, -1)
    return i[:, None] * A + j[:, None] * B, i, j


def indexed(positions: np.ndarray, heights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    heights = np.ones(len(positions)) if heights is None else heights
    seed = best_seed(positions, heights, np.arange(len(positions)), A, B, 4.0)
    return grow(positions, heights, A, B, seed, 4.0, 0.4)


@given(st.integers(0, 10_000), st.floats(0.0, 0.25))
def test_indices_survive_disorder_and_missing_columns(seed: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    positions, i, j = crystal()
    keep = rng.random(len(i)) >= missing
    order = rng.permutation(np.flatnonzero(keep))
    found_i, found_j = indexed((positions + rng.normal(0, 0.5, positions.shape))[order])
    part = found_i != UNINDEXED
    assert part.mean() > 0.95
    assert len(set((found_i[part] - i[order][part]).tolist())) == 1
    assert len(set((found_j[part] - j[order][part]).tolist())) == 1


def test_the_lattice_is_followed_through_a_bend_of_thirty_degrees() -> None:
    positions, i, j = crystal(60)
    radius, centre = 1600.0, positions.mean(axis=0)
    along, across = (positions - centre)[:, 1] / radius, (positions - centre)[:, 0]
    bent = np.stack([(radius + across) * np.cos(along) - radius, (radius + across) * np.sin(along)], axis=1)
    found_i, found_j = indexed(bent)
    assert (found_i != UNINDEXED).all()
    assert np.ptp(found_i - i) == 0
    assert np.ptp(found_j - j) == 0


def test_dim_maxima_are_not_taken_for_columns() -> None:
    positions, _, _ = crystal()
    heights = np.ones(len(positions))
    heights[100:103] = 0.1
    found_i, _ = indexed(positions, heights)
    assert (np.flatnonzero(found_i == UNINDEXED) == [100, 101, 102]).all()


def test_no_two_columns_share_their_indices() -> None:
    rng = np.random.default_rng(1)
    positions = rng.uniform(0, 300, (900, 2))
    positions[:225] = crystal(15)[0] + 40
    i, j = indexed(positions)
    pairs = [(m, n) for m, n in zip(i, j, strict=True) if m != UNINDEXED]
    assert len(pairs) == len(set(pairs))


def test_there_is_no_seed_without_neighbours() -> None:
    assert best_seed(np.array([[0.0, 0.0], [50.0, 50.0]]), np.ones(2), np.arange(2), A, B, 4.0) == -1
    assert best_seed(np.empty((0, 2)), np.empty(0), np.arange(0), A, B, 4.0) == -1


@pytest.mark.parametrize("seed", range(3))
def test_nearest_points_are_those_of_a_full_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, queries = rng.uniform(0, 100, (300, 2)), rng.uniform(-10, 110, (200, 2))
    distances = np.hypot(*(queries[:, None] - points).transpose(2, 0, 1))
    nearest = distances.argmin(axis=1)
    expected = np.where(distances.min(axis=1) < 5.0, nearest, -1)
    np.testing.assert_array_equal(nearest_points(points, queries, 5.0), expected)
