"""Errors of displacements are those of repeated measurements where columns overlap, which share their noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from stemdask.kernels.images.crystal.displacement import Displacements, Reference, displacements
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.simulate import perovskite

SIDE, SIGMA = 480, 2.6
#: Images that hold 4,000 cells whose neighbours all lie inside.
IMAGES = {3.3: 3, 3.8: 4, 4.7: 6}


def measured(ratio: float, reference: Reference, most: float, seeds: int) -> Iterator[tuple[Displacements, np.ndarray]]:
    """Yield what is found in some images of columns `ratio` widths apart, and the displacements that were put in."""
    for seed in range(seeds):
        rng = np.random.default_rng(100 + seed)
        image, truth = perovskite(
            (SIDE, SIDE),
            ratio * SIGMA * np.sqrt(2),
            sigma_a=SIGMA,
            sigma_b=SIGMA,
            rotation=7.0,
            displacement=lambda p, rng=rng: rng.uniform(-most, most, p.shape),
            seed=seed,
            noise_seed=1000 + seed,
        )
        sites = truth.positions - truth.displacement[:, ::-1]
        fit = fit_joint(image, sites, truth.sublattice, 1.1 * SIGMA)
        seen = np.flatnonzero(truth.inside)
        labels = truth.sublattice[seen], truth.i[seen], truth.j[seen]
        found = displacements(fit.positions[seen], fit.covariance.subset(seen), *labels, reference=reference)
        put_in = displacements(truth.positions[seen], fit.errors[seen], *labels, reference=reference)
        place = truth.positions[seen][found.column]
        inner = np.all((place > 6 * SIGMA) & (place < SIDE - 1 - 6 * SIGMA), axis=1)
        parts = (found.column, found.centre, found.vector, found.covariance, found.weights)
        yield Displacements(*(part[inner] for part in parts)), put_in.vector[inner]


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["neighbours", "line"])
@pytest.mark.parametrize("ratio", IMAGES)
def test_errors_cover_what_was_put_in_however_near_the_columns_are(ratio: float, reference: Reference) -> None:
    pulls = np.concatenate(
        [(found.vector - put_in) / found.error for found, put_in in measured(ratio, reference, 0.5, IMAGES[ratio])]
    )
    assert len(pulls) > 3000
    for pull in pulls.T:
        assert np.std(pull) == pytest.approx(1.0, abs=0.03)
        assert np.mean(np.abs(pull) < 1.0) == pytest.approx(0.683, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", IMAGES)
def test_without_displacement_one_vector_in_twenty_lies_beyond_its_ellipse(ratio: float) -> None:
    found = [one.significant() for one, _ in measured(ratio, "neighbours", 0.0, IMAGES[ratio])]
    assert np.mean(np.concatenate(found)) == pytest.approx(0.05, abs=0.01)
