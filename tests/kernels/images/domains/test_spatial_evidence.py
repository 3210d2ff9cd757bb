from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stemdask.kernels.images.domains import potts_mixture
from stemdask.kernels.images.domains.continuous import Surroundings, local_fit
from stemdask.kernels.images.domains.domain_count import STRONG
from stemdask.kernels.images.domains.potts import beliefs
from stemdask.kernels.images.domains.spatial_evidence import spatial_evidence

SHAPE = (20, 20)


def noisy(truth, noise=10.0, seed=0):
    """One map (1, row, column, 2) of a field (2, row, column), and its errors."""
    vectors = np.moveaxis(np.asarray(truth), 0, -1)[None]
    errors = np.full(vectors.shape, noise)
    return vectors + errors * np.random.default_rng(seed).standard_normal(vectors.shape), errors


def walls(shift=10.0, shape=SHAPE):
    row, column = np.indices(shape)
    return shift * np.stack([np.where(column + 0.3 * row > 13, 1.0, -1.0), np.zeros(shape)])


def test_beliefs_along_a_line_are_the_exact_ones():
    random = np.random.default_rng(0)
    evidence = random.random((1, 1, 6, 3))
    exact = np.zeros((6, 3))
    for labels in itertools.product(range(3), repeat=6):
        equal = sum(a == b for a, b in itertools.pairwise(labels))
        weight = np.exp(0.8 * equal) * np.prod(evidence[0, 0, range(6), labels])
        exact[range(6), labels] += weight
    exact /= exact.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(beliefs(evidence, 0.8)[0, 0], exact, atol=2e-3)


def test_beliefs_of_a_small_map_are_nearly_the_exact_ones():
    random = np.random.default_rng(1)
    evidence = random.random((1, 3, 3, 2))
    exact = np.zeros((3, 3, 2))
    for labels in itertools.product(range(2), repeat=9):
        grid = np.array(labels).reshape(3, 3)
        equal = np.sum(grid[1:] == grid[:-1]) + np.sum(grid[:, 1:] == grid[:, :-1])
        chosen = np.take_along_axis(evidence[0], grid[..., None], axis=2)[..., 0]
        np.put_along_axis(
            exact,
            grid[..., None],
            np.take_along_axis(exact, grid[..., None], 2) + np.exp(0.5 * equal) * chosen.prod(),
            2,
        )
    exact /= exact.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(beliefs(evidence, 0.5)[0], exact, atol=0.03)


def test_without_coupling_each_cell_is_by_itself():
    evidence = np.random.default_rng(2).random((2, 4, 5, 3))
    np.testing.assert_allclose(beliefs(evidence, 0.0), evidence / evidence.sum(axis=-1, keepdims=True))


def test_means_and_labels_behind_noise_as_large_as_the_shift_are_found():
    truth = walls()
    vectors, errors = noisy(truth)
    mixture = potts_mixture.fit(vectors, errors, 2)
    np.testing.assert_allclose(mixture.means[np.argsort(mixture.means[:, 0])], [[-10, 0], [10, 0]], atol=2)
    label = mixture.beliefs(vectors, errors)[0].argmax(axis=-1)
    assert np.mean(mixture.means[label, 0] * truth[0] > 0) > 0.97


def test_a_plane_is_predicted_as_well_as_its_noise_lets_it():
    row, column = np.indices(SHAPE) - 9.5
    truth = np.stack([row + 2 * column, column])
    vectors, errors = noisy(truth, 1.0)
    used = np.random.default_rng(3).random((1, *SHAPE)) < 0.7
    fitted = local_fit(used, np.where(used[..., None], errors**2, 0.0), Surroundings(np.inf, np.inf, plane=True))
    apart = fitted.predict(np.where(used[..., None], vectors, 0.0)) - np.moveaxis(truth, 0, -1)[None]
    assert np.sqrt(np.mean(apart**2 / fitted.variance)) == pytest.approx(1, abs=0.5)
    assert np.abs(apart).max() < 0.5


def fields():
    random = np.random.default_rng(4)
    row, column = np.indices(SHAPE) / 20 - 0.5
    smooth = np.stack([gaussian_filter(random.standard_normal((60, 60)), 3)[20:40, 20:40] for _ in range(2)])
    angle = np.arctan2(row, column)
    return {
        "none": np.zeros((2, *SHAPE)),
        "white": random.standard_normal((2, *SHAPE)),
        "skew and white": random.exponential(1, (2, *SHAPE)) - 1,
        "smooth": smooth / smooth.std(),
        "ramp": 3 * np.stack([column + 0.5 * row, row]),
        "scan lines": np.repeat(random.standard_normal((2, 20, 1)), 20, axis=2),
        "vortex": np.stack([-np.sin(angle), np.cos(angle)]),
    }


@pytest.mark.parametrize("name", fields())
@pytest.mark.parametrize("size", [10.0, 30.0])
def test_what_has_no_domains_gives_no_evidence_of_them(name, size):
    gain = spatial_evidence(*noisy(size * fields()[name]), 4)
    assert np.nanmax(gain) < STRONG


@pytest.mark.parametrize("noise", [3.0, 10.0])
def test_two_domains_give_strong_evidence_of_two_and_none_of_three(noise):
    gain = spatial_evidence(*noisy(walls(shape=(24, 24)), noise), 4)
    assert gain[1] > STRONG
    assert np.nanmax(gain[2:]) < STRONG


@pytest.mark.parametrize("seed", [8, 9, 10, 11])
def test_cells_that_were_measured_badly_are_no_domain_of_their_own(seed):
    vectors, errors = noisy(walls(shape=(26, 26)))
    random = np.random.default_rng(seed)
    bad = random.random(vectors.shape[:3]) < 0.05
    vectors[bad] += 30.0 * random.standard_normal((int(bad.sum()), 2))
    gain = spatial_evidence(vectors, errors, 4)
    assert gain[1] > STRONG
    assert np.nanmax(gain[2:]) < STRONG


def test_noise_beyond_the_errors_is_the_spread_of_the_domains():
    vectors, errors = noisy(walls(shape=(40, 40)))
    mixture = potts_mixture.fit(vectors, 0.8 * errors, 2)
    np.testing.assert_allclose(mixture.covariances, 2 * [np.diag([36.0, 36.0])], atol=9)


def test_frames_that_show_the_same_are_counted_once():
    single, errors = noisy(walls())
    many = np.concatenate([noisy(walls(), seed=seed)[0] for seed in range(6)])
    gain = spatial_evidence(many, np.tile(errors, (6, 1, 1, 1)), 2)[1]
    assert 0.3 < gain / spatial_evidence(single, errors, 2)[1] < 3


def test_too_few_cells_give_no_evidence():
    assert np.isnan(spatial_evidence(np.zeros((1, 2, 2, 2)), np.ones((1, 2, 2, 2)), 4)).all()
