import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

from stemdask.kernels.images.crystal.displacement import (
    REFERENCES,
    Displacements,
    as_normal,
    displacements,
    noise_floor,
    nominal_site,
    surrounding,
)

A, B = np.array([0.3, 14.0]), np.array([14.2, -0.2])
HEXAGON = (np.array([0.0, 16.0]), 16.0 * np.array([np.sqrt(0.75), -0.5]))


def crystal(
    displacement: tuple[float, float], sigma: float = 0.0, seed: int = 0, n: int = 24
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Perovskite whose B columns are displaced by (u, v), with errors of known size."""
    i, j = np.mgrid[:n, :n].reshape(2, -1).astype(np.int32)
    corner = i[:, None] * A + j[:, None] * B
    positions = np.concatenate([corner, corner + 0.5 * (A + B) + np.array(displacement)[::-1]])
    positions += np.random.default_rng(seed).normal(0, 1, positions.shape) * sigma
    sublattice = np.repeat([0, 1], n * n).astype(np.int8)
    return positions, np.full_like(positions, sigma or 0.1), sublattice, np.tile(i, 2), np.tile(j, 2)


@given(st.floats(-1, 1), st.floats(-1, 1), st.sampled_from(REFERENCES))
def test_a_known_displacement_comes_out_whatever_the_reference(u: float, v: float, reference: str) -> None:
    found = displacements(*crystal((u, v)), reference=reference)  # type: ignore[arg-type]
    assert len(found.column) == 23 * 23
    np.testing.assert_allclose(found.vector, np.broadcast_to([u, v], found.vector.shape), atol=1e-9)


def test_the_angle_is_counter_clockwise_as_displayed() -> None:
    right, up = displacements(*crystal((0.5, 0.0))), displacements(*crystal((0.0, -0.5)))
    np.testing.assert_allclose(right.angle, 0.0, atol=1e-6)
    np.testing.assert_allclose(up.angle, 90.0, atol=1e-6)
    np.testing.assert_allclose(up.magnitude, 0.5)


@pytest.mark.parametrize("reference", REFERENCES)
def test_errors_are_those_of_repeated_measurements(reference: str) -> None:
    found = [displacements(*crystal((0.2, -0.3), 0.1, seed), reference=reference) for seed in range(30)]  # type: ignore[arg-type]
    pulls = np.concatenate([(one.vector - [0.2, -0.3]) / one.error for one in found])
    assert pulls.std() == pytest.approx(1.0, abs=0.02)
    within = (np.abs(pulls) < 1).mean()
    assert within == pytest.approx(0.683, abs=0.015)


@pytest.mark.parametrize("reference", REFERENCES)
def test_without_displacement_one_vector_in_twenty_is_significant(reference: str) -> None:
    found = [displacements(*crystal((0.0, 0.0), 0.1, seed), reference=reference) for seed in range(30)]  # type: ignore[arg-type]
    share = np.concatenate([one.significant() for one in found]).mean()
    assert share == pytest.approx(0.05, abs=0.006)


def test_a_cell_that_lacks_a_column_is_left_out() -> None:
    positions, errors, sublattice, i, j = crystal((0.1, 0.1))
    gone = (sublattice == 0) & (i == 5) & (j == 7)
    found = displacements(positions[~gone], errors[~gone], sublattice[~gone], i[~gone], j[~gone])
    assert len(found.column) == 23 * 23 - 4
    np.testing.assert_allclose(found.vector, 0.1, atol=1e-9)


def test_columns_without_place_or_position_count_as_missing() -> None:
    positions, errors, sublattice, i, j = crystal((0.1, 0.1))
    absent = np.arange(len(i)) % 17 == 3
    positions, errors = positions.copy(), errors.copy()
    positions[absent] = errors[absent] = np.nan
    sublattice, i, j = (np.where(absent, -1, values).astype(values.dtype) for values in (sublattice, i, j))
    for reference in REFERENCES:
        found = displacements(positions, errors, sublattice, i, j, reference=reference)
        assert len(found.column) > 300
        np.testing.assert_allclose(found.vector, 0.1, atol=1e-9)


def test_without_b_columns_there_are_no_displacements() -> None:
    positions, errors, sublattice, i, j = crystal((0.1, 0.1))
    alone = sublattice == 0
    found = displacements(positions[alone], errors[alone], sublattice[alone], i[alone], j[alone])
    assert len(found.column) == 0
    assert len(found.angle) == 0


def test_without_errors_nothing_is_called_significant() -> None:
    positions, errors, sublattice, i, j = crystal((0.5, 0.5))
    found = displacements(positions, np.full_like(errors, np.nan), sublattice, i, j)
    assert (found.significant() == -1).all()


@pytest.mark.parametrize(
    ("site", "vectors", "expected"),
    [
        ((0.5, 0.5), (A, B), {(0, 0), (1, 0), (0, 1), (1, 1)}),
        ((0.5, 0.0), (A, B), {(0, 0), (1, 0)}),
        ((1 / 3, 2 / 3), HEXAGON, {(0, 0), (0, 1), (1, 1)}),
        ((0.25, 0.25), (A, B), {(0, 0), (1, 0), (0, 1), (1, 1)}),
    ],
)
def test_the_reference_surrounds_the_site(site: object, vectors: object, expected: object) -> None:
    a, b = vectors  # type: ignore[misc]
    around = surrounding(np.array(site), a, b)
    assert {tuple(step) for step in around.cells.tolist()} == expected
    np.testing.assert_allclose(around.weights @ around.cells, site, atol=1e-12)
    assert around.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("fraction", "vectors", "expected"),
    [
        ((0.53, 0.46), (A, B), (0.5, 0.5)),
        ((0.45, 0.04), (A, B), (0.5, 0.0)),
        ((0.35, 0.65), HEXAGON, (1 / 3, 2 / 3)),
        ((0.27, 0.24), (A, B), (0.25, 0.25)),
        ((0.35, 0.15), (A, B), (0.35, 0.15)),
    ],
)
def test_a_polar_shift_is_not_taken_for_the_site(fraction: object, vectors: object, expected: object) -> None:
    np.testing.assert_allclose(nominal_site(np.array(fraction), *vectors), expected)  # type: ignore[misc]


def test_the_noise_floor_is_the_noise_and_not_the_domains() -> None:
    rng = np.random.default_rng(0)
    i, j = np.mgrid[:40, :40].reshape(2, -1).astype(np.int32)
    domains = np.where(i < 20, 8.0, -8.0)[:, None] * np.array([1.0, 0.5])
    assert noise_floor(domains + rng.normal(0, 2.0, (1600, 2)), i, j) == pytest.approx(2.0, rel=0.08)
    assert np.isnan(noise_floor(np.zeros((3, 2)), i[:3], j[:3]))
    assert np.isnan(noise_floor(np.zeros((0, 2)), i[:0], j[:0]))


def test_an_offset_is_taken_off_the_vectors_alone() -> None:
    found = displacements(*crystal((0.3, 0.1)))
    left = found.without(np.array([0.3, 0.1]))
    assert isinstance(left, Displacements)
    np.testing.assert_allclose(left.vector, 0.0, atol=1e-9)
    np.testing.assert_array_equal(left.centre, found.centre)


@given(st.floats(-30, 30), st.floats(2, 1e4))
def test_a_pull_by_an_error_of_few_values_is_as_rare_as_the_normal_number_it_becomes(
    pull: float, freedom: float
) -> None:
    exact = stats.norm.isf(stats.t.sf(abs(pull), freedom)) * np.sign(pull)
    (found,) = as_normal(np.array([pull]), np.array([freedom]))
    assert found == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_errors_known_for_certain_leave_pulls_as_they_are_and_of_nothing_is_rare() -> None:
    found = as_normal(np.array([[3.0, -4.0, np.nan, 1e6]]), np.array([[np.inf, 0.0, 5.0, 1e6]]))
    np.testing.assert_allclose(found[0, :3], [3.0, 0.0, np.nan], atol=1e-6)
    assert 30.0 < found[0, 3] < 1e6


def test_displacements_are_seldom_significant_where_errors_are_known_of_few_values() -> None:
    rng, n = np.random.default_rng(0), 20_000
    freedom = np.column_stack([np.full(n, 6.0), np.full(n, np.inf)])
    error = np.sqrt(rng.chisquare(6, n) / 6.0)
    covariance = np.einsum("nc,cd->ncd", np.column_stack([error**2, np.ones(n)]), np.eye(2))
    zero = Displacements(np.arange(n), np.zeros((n, 2)), rng.normal(size=(n, 2)), covariance, sparse.csr_array((n, n)))
    assert zero.significant().mean() > 0.08
    assert zero.significant(None, freedom).mean() == pytest.approx(0.05, abs=0.01)
