from __future__ import annotations

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from stemdask.kernels.images.domains.deconvolved_mixture import fit, posterior
from stemdask.kernels.images.domains.domain_count import STRONG, count_domains
from stemdask.kernels.images.domains.unimodality import evidence_of_two

pytestmark = pytest.mark.long


def blobs(centres, n=400, spread=2.0, noise=3.0, seed=0):
    random = np.random.default_rng(seed)
    label = random.integers(len(centres), size=n)
    errors = noise * random.uniform(0.5, 1.5, (n, 2))
    true = np.asarray(centres, dtype=float)[label] + spread * random.normal(size=(n, 2))
    return true + errors * random.normal(size=(n, 2)), errors, label


def test_the_spread_behind_the_errors_is_recovered():
    points, noise, _ = blobs([[10, 0], [-10, 0]], n=4000)
    mixture = fit(points, noise, 2)
    order = np.argsort(mixture.means[:, 0])
    np.testing.assert_allclose(mixture.means[order], [[-10, 0], [10, 0]], atol=0.3)
    np.testing.assert_allclose(np.sqrt(np.linalg.eigvalsh(mixture.covariances)), 2.0, atol=0.3)


def test_without_errors_it_is_the_mixture_of_scikit_learn():
    points, _, _ = blobs([[10, 0], [-10, 3]], n=500)
    mixture = fit(points, np.zeros_like(points), 2, tolerance=1e-10)
    reference = GaussianMixture(2, tol=1e-10, reg_covar=0, random_state=0).fit(points)
    assert mixture.log_likelihood == pytest.approx(reference.score(points), abs=1e-4)


def test_the_order_of_the_points_does_not_matter():
    points, noise, _ = blobs([[10, 0], [-10, 0]])
    order = np.random.default_rng(1).permutation(len(points))
    first, second = fit(points, noise, 2), fit(points[order], noise[order], 2)
    np.testing.assert_array_equal(first.means, second.means)
    np.testing.assert_array_equal(
        posterior(first, points, noise)[order], posterior(second, points[order], noise[order])
    )


@pytest.mark.parametrize("name", ["normal", "exponential", "heavy tails", "uniform", "noise alone"])
def test_one_peak_of_any_shape_is_no_evidence_of_two(name):
    random = np.random.default_rng(2)
    found = []
    for _ in range(10):
        n = 300
        true = {
            "normal": random.normal(0, 5, n),
            "exponential": random.exponential(8, n),
            "heavy tails": 4 * random.standard_t(3, n),
            "uniform": random.uniform(-10, 10, n),
            "noise alone": np.zeros(n),
        }[name]
        found.append(n * evidence_of_two(true + 2 * random.normal(size=n), np.full(n, 2.0)))
    assert np.median(found) < 1
    assert max(found) < STRONG


def test_two_peaks_are_strong_evidence():
    random = np.random.default_rng(3)
    values = np.where(random.random(300) < 0.3, 5.0, -5.0) + 2.5 * random.normal(size=300)
    assert 300 * evidence_of_two(values, np.full(300, 2.0)) > STRONG


@pytest.mark.parametrize(
    ("centres", "n"),
    [([[0, 0]], 0), ([[12, 5]], 1), ([[12, 0], [-12, 0]], 2), ([[12, 0], [0, 12], [-12, 0], [0, -12]], 4)],
)
def test_domains_are_counted(centres, n):
    points, noise, _ = blobs(centres, spread=0.0 if n == 0 else 2.0)
    assert count_domains(points, noise, len(points), 6).n == n


def test_displacements_that_turn_continuously_are_not_divided():
    random = np.random.default_rng(0)
    angle = random.uniform(0, 2 * np.pi, 600)
    points = 15 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 2 * random.normal(size=(600, 2))
    assert count_domains(points, np.full((600, 2), 2.0), 600, 6).n <= 1


def test_a_skew_population_is_one():
    random = np.random.default_rng(1)
    points = np.stack([5 + random.exponential(8, 800), random.normal(0, 4, 800)], axis=1)
    found = count_domains(points + random.normal(size=points.shape), np.ones_like(points), 800, 6)
    assert found.n == 1
    assert np.argmin(found.bic) > 0
