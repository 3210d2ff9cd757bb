import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from stemdask.kernels.images.finding.growth import UNINDEXED, best_seed, grow, nearest_points

A, B = np.array([1.0, 14.0]), np.array([14.0, -1.0])


def crystal(n: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    i, j = np.mgrid[:n, :n].reshape(2, -1)
    return i[:, None] * A + j[:, None] * B, i, j


def indexed(positions: np.ndarray, heights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    heights = np.ones(len(positions)) if heights is None else heights
    seed = best_seed(positions, heights, np.arange(len(positions)), A, B, 4.0)
    return grow(positions, heights, A, B, seed, 4.0, 0.4)


def same_frame(found: np.ndarray, expected: np.ndarray) -> bool:
    part = found != UNINDEXED
    return np.ptp(found[part] - expected[part]) == 0


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    missing=st.floats(0.0, 0.25),
    turn=st.floats(-2.0, 2.0),
    ratio=st.floats(0.75, 1.3),
    angle=st.floats(65.0, 115.0),
)
def test_indices_survive_disorder_and_missing_columns(
    seed: int, missing: float, turn: float, ratio: float, angle: float
) -> None:
    rng = np.random.default_rng(seed)
    directions = np.deg2rad([turn, turn + angle])
    true = 14.0 * np.array([1.0, ratio])[:, None] * np.stack([np.sin(directions), np.cos(directions)], axis=1)
    given_directions = directions - np.deg2rad(turn)
    a, b = 14.0 * np.array([1.0, ratio])[:, None] * np.stack([np.sin(given_directions), np.cos(given_directions)], 1)
    kept = rng.random((30, 30)) >= missing
    # Reachable is a column that has at least half of its eight neighbours.
    reachable = ndimage.convolve(kept.astype(int), np.ones((3, 3), int), mode="constant") - kept >= 4
    i, j = rng.permutation(np.argwhere(kept)).T
    positions = np.stack([i, j], axis=1) @ true + rng.normal(0.0, 0.4, (len(i), 2))
    tolerance = 0.28 * 14.0 * min(ratio, 1.0)
    start = best_seed(positions, np.ones(len(i)), np.arange(len(i)), a, b, tolerance)
    found_i, found_j = grow(positions, np.ones(len(i)), a, b, start, tolerance, 0.4)
    assert (found_i == UNINDEXED)[reachable[i, j]].mean() <= 0.05
    assert same_frame(found_i, i)
    assert same_frame(found_j, j)


def test_a_lattice_cut_by_a_missing_row_keeps_one_frame() -> None:
    positions, i, j = crystal()
    there = i != 12
    found_i, found_j = indexed(positions[there])
    assert (found_i != UNINDEXED).all()
    assert same_frame(found_i, i[there])
    assert same_frame(found_j, j[there])


@pytest.mark.parametrize("by", [0.3, 0.5])
def test_what_lies_between_the_sites_beyond_a_cut_is_another_grain(by: float) -> None:
    positions, i, _ = crystal()
    positions[i > 12] += by * B
    found_i, _ = indexed(positions[i != 12])
    part = found_i != UNINDEXED
    assert sorted([part[i[i != 12] < 12].mean(), part[i[i != 12] > 12].mean()]) == [0.0, 1.0]


def test_a_grain_that_is_turned_stays_a_grain() -> None:
    positions, _, _ = crystal()
    turned = positions - positions.mean(axis=0)
    turn = np.deg2rad(25.0)
    turned = turned @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + positions.mean(axis=0)
    left, right = positions[positions[:, 1] < 205.0], turned[turned[:, 1] > 217.0]
    found_i, _ = indexed(np.concatenate([left, right]))
    own, other = (found_i != UNINDEXED)[: len(left)], (found_i != UNINDEXED)[len(left) :]
    low, high = sorted([own.mean(), other.mean()])
    assert high == 1.0
    assert low < 0.05


def test_noise_beside_a_crystal_starts_no_island() -> None:
    rng = np.random.default_rng(5)
    positions, _, _ = crystal()
    noise = rng.uniform([0.0, 440.0], [400.0, 800.0], (1000, 2))  # 1.4 maxima in the area of a cell
    found_i, _ = indexed(np.concatenate([positions, noise]))
    assert (found_i[: len(positions)] != UNINDEXED).all()
    assert (found_i[len(positions) :] != UNINDEXED).mean() < 0.01


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
