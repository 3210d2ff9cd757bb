"""The covariance of neighbouring columns is that of the inverse of the whole normal matrix."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from stemdask.kernels.images.fitting import image_fit
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.local_inverse import list_overlaps
from stemdask.kernels.images.fitting.normal_equations import NormalEquations
from stemdask.kernels.images.fitting.overlaps import tile_order
from stemdask.simulate import Truth, perovskite

SIDE, SIGMA = 220, 2.6


def whole_covariance(equations: NormalEquations) -> np.ndarray:
    """Return the covariance of all positions, fields unknown too: (n, 2, n, 2)."""
    n, size, _ = equations.own.shape
    blocks = np.zeros((n, n, size, size))
    blocks[range(n), range(n)] = equations.own
    first, second = equations.pairs.T
    blocks[first, second], blocks[second, first] = equations.coupling, equations.coupling.transpose(0, 2, 1)
    columns = blocks.transpose(0, 2, 1, 3).reshape(n * size, n * size)
    touched = [equations.apply(np.zeros((n, size)), unit) for unit in np.eye(len(equations.among_fields))]
    border, among = np.array([part[0].ravel() for part in touched]), np.array([part[1] for part in touched])
    inverse = np.linalg.inv(np.block([[columns, border.T], [border, among]]))[: n * size, : n * size]
    return inverse.reshape(n, size, n, size)[:, 1:3, :, 1:3]


def cells(truth: Truth) -> sparse.csr_array:
    """Return the weights of B columns, away from the border, less the mean of their A columns: (cells, columns)."""
    corners = {(i, j): k for k, (i, j, s) in enumerate(zip(truth.i, truth.j, truth.sublattice, strict=True)) if s == 0}
    rows = []
    for b in np.flatnonzero(truth.sublattice == 1):
        around = [corners.get((truth.i[b] + di, truth.j[b] + dj), -1) for di in (0, 1) for dj in (0, 1)]
        inside = np.all((truth.positions[b] > 16) & (truth.positions[b] < SIDE - 17))
        if min(around) >= 0 and inside:
            row = np.zeros(len(truth.i))
            row[b], row[around] = 1.0, -0.25
            rows.append(row)
    return sparse.csr_array(np.array(rows))


@pytest.mark.parametrize(("ratio", "within"), [(3.3, 0.01), (3.8, 0.006), (4.7, 0.003)])
def test_the_variance_of_a_displacement_is_that_of_the_whole_matrix(
    ratio: float, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    solve = image_fit.covariances

    def keeping(equations: NormalEquations) -> object:
        kept.append(equations)
        return solve(equations)

    monkeypatch.setattr(image_fit, "covariances", keeping)
    rng = np.random.default_rng(2)
    image, truth = perovskite(
        (SIDE, SIDE),
        ratio * SIGMA * np.sqrt(2),
        sigma_a=SIGMA,
        sigma_b=SIGMA,
        rotation=7.0,
        displacement=lambda p: rng.uniform(-0.5, 0.5, p.shape),
        seed=3,
    )
    sites = truth.positions - truth.displacement[:, ::-1]
    fit = fit_joint(image, sites, truth.sublattice, 1.1 * SIGMA, noise="poisson")
    back = np.argsort(tile_order(sites))
    whole = whole_covariance(kept[-1])[back][:, :, back] * fit.noise.correlation
    weights = cells(truth)
    exact = np.stack([(weights @ whole[:, a, :, a]) @ weights.T for a in (0, 1)])
    found = fit.covariance.of_sums(weights)
    for a in (0, 1):
        np.testing.assert_allclose(found[:, a, a], exact[a].diagonal(), rtol=within)
    seen = weights.nonzero()[1]
    for a in (0, 1):
        np.testing.assert_allclose(fit.covariance.own[seen, a, a], whole[seen, a, seen, a], rtol=1.5 * within)
    np.testing.assert_allclose(fit.covariance.own[seen][:, [0, 1], [0, 1]], fit.errors[seen] ** 2, rtol=0.025)


def test_columns_that_overlap_nothing_have_the_covariance_of_a_column_alone() -> None:
    image, truth = perovskite((130, 130), 40.0, sigma_a=2.5, sigma_b=2.5, seed=1)
    fit = fit_joint(image, truth.positions, truth.sublattice, 2.5)
    assert len(fit.covariance.pairs) == 0
    known = np.isfinite(fit.errors).all(axis=1)
    np.testing.assert_allclose(fit.covariance.own[known][:, [0, 1], [0, 1]], fit.errors[known] ** 2, rtol=5e-3)


def test_a_column_without_errors_has_no_covariance_and_no_pairs() -> None:
    image, truth = perovskite((130, 130), 13.0, sigma_a=2.6, sigma_b=2.6, seed=1)
    fit = fit_joint(image, truth.positions, truth.sublattice, 2.6)
    unknown = np.isnan(fit.errors).any(axis=1)
    assert unknown.any()
    assert np.isnan(fit.covariance.own[unknown]).all()
    assert not unknown[fit.covariance.pairs].any()


def test_every_pair_is_listed_at_both_of_its_columns() -> None:
    pairs = np.array([[0, 1], [0, 3], [1, 3]], np.int32)
    start, other, pair = list_overlaps(pairs, 4)
    assert [other[a:b].tolist() for a, b in pairwise(start)] == [[1, 3], [0, 3], [], [0, 1]]
    assert [pair[a:b].tolist() for a, b in pairwise(start)] == [[0, 1], [0, 2], [], [1, 2]]
