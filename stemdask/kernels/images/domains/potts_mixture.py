"""A mixture of Gaussians behind measurements of known error whose neighbours are likely to be of the same component.

A hidden Markov random field (Zhang, Brady & Smith 2001). How likely equal neighbours are is not known beforehand: the
coupling is that which best predicts cells that were held out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import uniform_filter

from stemdask.kernels.arrays import Booleans, Floats
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.domains import deconvolved_mixture
from stemdask.kernels.images.domains.deconvolved_mixture import mahalanobis
from stemdask.kernels.images.domains.potts import beliefs

#: Couplings tried.
COUPLINGS = np.array([0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])
#: Rounds in which components and coupling take turns, and steps of the components in each.
_ROUNDS, _STEPS = 3, 15
#: Part of the cells whose errors are so many times larger than stated (a contaminated normal, Tukey 1960): a few such
#: cells are no domain.
_BAD, _LARGER = 0.02, 5.0
#: Steps in which the part of the cells without displacement is found, and the part that they begin with.
_PARTINGS, _PART = 500, 0.05


@dataclass(frozen=True, slots=True)
class PottsMixture:
    """What the vectors would be without noise."""

    weights: Floats
    """(k,), how likely each component is at a cell, its neighbours aside; any sum."""
    means: Floats
    """(k, 2)."""
    covariances: Floats
    """(k, 2, 2), of the vectors of one component, without noise; may vanish.

    A fit gives all components the same: a wide one would gather the cells that are measured worst, wherever they are.
    """
    coupling: float
    """Of neighbouring cells, as `potts.beliefs` takes it."""

    def beliefs(self, vectors: Floats, errors: Floats) -> Floats:
        """Return the probability of each component at each cell given all cells of its frame.

        Parameters
        ----------
        vectors, errors
            (frame, row, column, 2), pm; NaN where there is no cell.

        Returns
        -------
        (frame, row, column, k), sum 1, also where there is no cell.
        """
        present = cells_present(vectors)
        evidence = np.empty((*present.shape, len(self.means)))
        evidence[:] = self.weights / self.weights.max()
        log_density = self.log_densities(vectors[present], errors[present])
        evidence[present] *= np.exp(log_density - log_density.max(axis=1, keepdims=True))
        return beliefs(evidence, self.coupling)

    def held_out(self, vectors: Floats, errors: Floats, held: Booleans) -> Floats:
        """Return the beliefs without what was measured at some cells (frame, row, column)."""
        return self.beliefs(np.where(held[..., None], np.nan, vectors), errors)

    def log_densities(self, points: Floats, errors: Floats) -> Floats:
        """Return the log density of measurements (n, 2) under each component, (n, k)."""
        return _densities(points, errors**2, self.means, self.covariances)[0]

    def well_measured(self, points: Floats, errors: Floats) -> Floats:
        """Return how likely measurements (n, 2) of each component have the errors that they state, (n, k)."""
        return _densities(points, errors**2, self.means, self.covariances)[1]

    def log_likelihood(self, points: Floats, errors: Floats, shares: Floats) -> float:
        """Return the log likelihood of measurements (n, 2) that are of each component with probabilities (n, k)."""
        densities = self.log_densities(points, errors)
        return float(np.logaddexp.reduce(np.log(np.maximum(shares, 1e-300)) + densities, axis=1).sum())


def fit(vectors: Floats, errors: Floats, k: int, coupling: float | None = None, seed: int = 0) -> PottsMixture:
    """Fit `k` components and their coupling.

    Parameters
    ----------
    vectors, errors
        (frame, row, column, 2), pm; NaN where there is no cell, errors finite where there is one.
    k
        Number of components.
    coupling
        None: found as well.
    seed
        Of the start.
    """
    present = cells_present(vectors)
    points, variance = vectors[present], errors[present] ** 2
    if k == 1:
        single = deconvolved_mixture.fit(points, errors[present], 1, seed)
        return PottsMixture(np.ones(1), single.means, single.covariances, coupling or 0.0)
    # Components with covariances of their own would lie along what smoothed walls leave between two domains.
    start = deconvolved_mixture.fit(*_local_means(vectors, errors, present), k, seed, equal_covariances=True)
    first = float(np.median(COUPLINGS)) if coupling is None else coupling
    floor = 1e-6 * max(float(points.var(axis=0).sum()), 1e-12)
    mixture = PottsMixture(np.ones(k), start.means, start.covariances, first)
    # Steps from too small a spread would hardly get anywhere, noise beyond the errors stays unseen then.
    shares = mixture.beliefs(vectors, errors)[present]
    mixture = replace(mixture, covariances=_spread(points, variance, shares, mixture.means, floor))
    for _ in range(_ROUNDS):
        for _ in range(_STEPS):
            shares = mixture.beliefs(vectors, errors)[present]
            shares *= mixture.well_measured(points, errors[present])
            means = _means(points, variance, shares, mixture.covariances[0])
            _, _, own = deconvolved_mixture.maximise(points, variance, shares, means, mixture.covariances, floor)
            common = deconvolved_mixture.mean_covariance(shares.sum(axis=0) / shares.sum(), own)
            mixture = replace(mixture, means=means, covariances=common)
        if coupling is not None:
            continue
        before, mixture = mixture.coupling, coupled(mixture, vectors, errors)
        if mixture.coupling == before:
            break
    return mixture


def coupled(mixture: PottsMixture, vectors: Floats, errors: Floats) -> PottsMixture:
    """Return the mixture with that coupling of `COUPLINGS` which best predicts cells that are held out."""
    tried = [replace(mixture, coupling=float(coupling)) for coupling in COUPLINGS]
    return max(tried, key=lambda each: held_out_likelihood(each, vectors, errors))


def held_out_likelihood(mixture: PottsMixture, vectors: Floats, errors: Floats) -> float:
    """Return the log likelihood of all cells, each predicted by those that aren't held out with it."""
    total = 0.0
    for held in folds(cells_present(vectors)):
        shares = mixture.held_out(vectors, errors, held)[held]
        total += mixture.log_likelihood(vectors[held], errors[held], shares)
    return total


def cells_present(vectors: Floats) -> Booleans:
    """Tell which of (frame, row, column, 2) are cells."""
    return np.asarray(np.isfinite(vectors).all(axis=-1))


def folds(present: Booleans) -> Iterator[Booleans]:
    """Yield the cells present, (frame, row, column), a quarter after the other; none of a quarter are neighbours."""
    row, column = np.indices(present.shape[1:])
    for part in range(4):
        yield present & ((row % 2) * 2 + column % 2 == part)


def with_undisplaced(mixture: PottsMixture, vectors: Floats, errors: Floats) -> PottsMixture:
    """Return the mixture with one more component, the last, of cells that aren't displaced at all.

    How common they are is found with each cell by itself.
    """
    present = cells_present(vectors)
    points, noise = vectors[present], errors[present]
    shares = mixture.beliefs(vectors, errors)[present].mean(axis=0, keepdims=True)
    densities = np.log(np.maximum(shares, 1e-300)) + mixture.log_densities(points, noise)
    displaced = np.logaddexp.reduce(densities, axis=1)
    none = PottsMixture(np.ones(1), np.zeros((1, 2)), np.zeros((1, 2, 2)), 0.0)
    ratio = np.exp(np.clip(displaced - none.log_densities(points, noise)[:, 0], -700, 700))
    part = _PART
    for _ in range(_PARTINGS):
        part = float(np.clip(np.mean(part / (part + ratio * (1 - part))), 1e-4, 1 - 1e-4))
    return PottsMixture(
        np.append(mixture.weights, part / (1 - part)),
        np.concatenate([mixture.means, none.means]),
        np.concatenate([mixture.covariances, none.covariances]),
        mixture.coupling,
    )


@kernel
def _densities(points: Floats, variance: Floats, means: Floats, covariances: Floats) -> tuple[Floats, Floats]:
    """Return the log density of each measurement (n, 2) under each component, and the part of it that is as stated."""
    n, k = len(points), len(means)
    density, well = np.empty((n, k)), np.empty((n, k))
    wider, of_good, odds_of_bad = _LARGER**2, np.log((1.0 - _BAD) / (2.0 * np.pi)), np.log(_BAD / (1.0 - _BAD))
    for c in range(k):
        a, b, d = covariances[c, 0, 0], covariances[c, 0, 1], covariances[c, 1, 1]
        for i in range(n):
            x, y = points[i, 0] - means[c, 0], points[i, 1] - means[c, 1]
            of_x, of_y = variance[i, 0], variance[i, 1]
            distance, determinant = mahalanobis(x, y, a + of_x, b, d + of_y)
            distance_of_bad, of_bad = mahalanobis(x, y, a + wider * of_x, b, d + wider * of_y)
            # How much likelier it is that the error is larger, as a logarithm.
            odds = odds_of_bad + 0.5 * (distance - distance_of_bad + np.log(determinant / of_bad))
            ratio = np.exp(min(odds, 100.0))
            more = np.log1p(ratio) if odds < 100.0 else odds
            density[i, c] = of_good - 0.5 * (distance + np.log(determinant)) + more
            well[i, c] = 1.0 / (1.0 + ratio)
    return density, well


def _means(points: Floats, variance: Floats, shares: Floats, covariance: Floats) -> Floats:
    """Return the means (k, 2) that are likeliest for a covariance (2, 2) that all components have."""
    precision = np.linalg.inv(covariance + variance[:, None] * np.eye(2))
    weight = (shares.T @ precision.reshape(len(points), 4)).reshape(-1, 2, 2)
    weighed = shares.T @ (precision @ points[:, :, None])[..., 0]
    return np.asarray(np.linalg.solve(weight + 1e-300 * np.eye(2), weighed[..., None])[..., 0])


def _spread(points: Floats, variance: Floats, shares: Floats, means: Floats, floor: float) -> Floats:
    """Return the covariance of measurements (n, 2) about the means that is beyond their noise², (k, 2, 2)."""
    apart = points[:, None] - means
    beyond = np.einsum("nk,nki,nkj->ij", shares, apart, apart) / len(points) - np.diag(variance.mean(axis=0))
    squares, axes = np.linalg.eigh(beyond)
    found = (axes * np.maximum(squares, floor)) @ axes.T
    return np.broadcast_to(found, (len(means), 2, 2)).copy()


def _local_means(vectors: Floats, errors: Floats, present: Booleans) -> tuple[Floats, Floats]:
    """Means over 3 × 3 cells at the cells present, and their errors, each (n, 2)."""
    size = (1, 3, 3)

    def mean(values: Floats) -> Floats:
        axes = [uniform_filter(np.where(present, values[..., axis], 0.0), size, mode="constant") for axis in range(2)]
        return np.stack(axes, axis=-1)[present]

    share = uniform_filter(present.astype(float), size, mode="constant")[present][:, None]
    return mean(vectors) / share, np.sqrt(mean(errors**2) / 9) / share
