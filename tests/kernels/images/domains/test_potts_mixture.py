from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from stemdask.kernels.images.domains import potts_mixture
from stemdask.kernels.images.domains.potts_mixture import PottsMixture

MEANS = np.array([[10.0, 0.0], [-10.0, 2.0]])
SPREAD = np.array([[4.0, 1.0], [1.0, 3.0]])


def test_two_of_a_hundred_measurements_may_err_five_times_as_much_as_they_state():
    mixture = PottsMixture(np.ones(2), MEANS, np.stack([SPREAD, SPREAD]), 0.0)
    random = np.random.default_rng(0)
    points, errors = random.normal(0.0, 60.0, (200, 2)), random.uniform(0.1, 9.0, (200, 2))
    found, well = mixture.log_densities(points, errors), mixture.well_measured(points, errors)
    for n, (point, error) in enumerate(zip(points, errors, strict=True)):
        for k, mean in enumerate(MEANS):
            stated, larger = (
                np.log(part) + multivariate_normal(mean, SPREAD + np.diag((factor * error) ** 2)).logpdf(point)
                for part, factor in ((0.98, 1.0), (0.02, 5.0))
            )
            assert found[n, k] == pytest.approx(np.logaddexp(stated, larger), abs=1e-9)
            assert well[n, k] == pytest.approx(np.exp(stated - np.logaddexp(stated, larger)), abs=1e-12)


@pytest.mark.parametrize("noise", [0.5, 3.0, 12.0])
def test_the_means_of_domains_are_found_however_small_their_spread_is_beside_the_noise(noise):
    random = np.random.default_rng(1)
    domain = np.broadcast_to(np.arange(30) >= 13, (1, 30, 30)).astype(int)
    vectors = MEANS[domain] + noise * random.standard_normal((1, 30, 30, 2))
    found = potts_mixture.fit(vectors, np.full(vectors.shape, noise), 2).means
    expected = np.stack([vectors[domain == k].mean(axis=0) for k in range(2)])
    order = np.argsort(-found[:, 0])
    np.testing.assert_allclose(found[order], expected, atol=0.05 * noise)
