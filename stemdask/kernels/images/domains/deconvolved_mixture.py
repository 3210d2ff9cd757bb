"""A mixture of Gaussians behind measurements of known error (extreme deconvolution, Bovy, Hogg & Roweis 2011)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.compiled import kernel
from stemdask.kernels.quiet import quiet


@dataclass(frozen=True, slots=True)
class Mixture:
    """What the vectors would be distributed like without noise."""

    weights: Floats
    """(k,), sum 1."""
    means: Floats
    """(k, 2)."""
    covariances: Floats
    """(k, 2, 2), of the vectors themselves, without noise; may vanish."""
    log_likelihood: float
    """Mean over the measurements."""

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return 6 * len(self.weights) - 1


def fit(
    points: Floats,
    noise: Floats,
    k: int,
    seed: int = 0,
    steps: int = 200,
    tolerance: float = 1e-6,
    *,
    equal_covariances: bool = False,
) -> Mixture:
    """Fit a mixture of `k` Gaussians to points with independent errors.

    The result doesn't depend on the order of the points: they are sorted first.

    Parameters
    ----------
    points
        (n, 2), finite.
    noise
        (n, 2), standard errors.
    k
        Number of components, at most n.
    seed
        Of the start, which k-means gives.
    steps, tolerance
        The iteration ends after so many steps, or when the mean log likelihood grows by less than the tolerance.
    equal_covariances
        All components have the same covariance.
    """
    order = np.lexsort(points.T)
    points, variance = points[order], noise[order] ** 2
    weights, means, covariances = _start(points, k, seed)
    floor = 1e-6 * max(float(points.var(axis=0).sum()), 1e-12)
    likelihood = -np.inf
    for _ in range(steps):
        before = likelihood
        if equal_covariances:
            covariances = mean_covariance(weights, covariances)
        likelihood, weights, means, covariances = _step(points, variance, weights, means, covariances, floor)
        if likelihood - before < tolerance:
            break
    if equal_covariances:
        covariances = mean_covariance(weights, covariances)
    return Mixture(weights, means, covariances, likelihood)


def posterior(mixture: Mixture, points: Floats, noise: Floats) -> Floats:
    """Return the probability of each component for each measurement, (n, k)."""
    log_density = log_densities(points, noise**2, mixture.weights, mixture.means, mixture.covariances)
    shares: Floats = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def mean_covariance(weights: Floats, covariances: Floats) -> Floats:
    """Return the mean of covariances (k, 2, 2), weighted by (k,), once for each."""
    return np.broadcast_to(np.einsum("k,kij->ij", weights, covariances), covariances.shape).copy()


def noise_alone(points: Floats, noise: Floats) -> float:
    """Return the mean log likelihood of the points if every true vector is zero."""
    zero = np.zeros((1, 2))
    return float(log_densities(points, noise**2, np.ones(1), zero, np.zeros((1, 2, 2))).mean())


@kernel
def mahalanobis(x: float, y: float, xx: float, xy: float, yy: float) -> tuple[float, float]:
    """Return the squared distance of (x, y) from zero in units of a covariance, and the determinant of that."""
    determinant = max(xx * yy - xy * xy, 1e-300)
    return (yy * x * x - 2 * xy * x * y + xx * y * y) / determinant, determinant


@kernel
def log_densities(points: Floats, variance: Floats, weights: Floats, means: Floats, covariances: Floats) -> Floats:
    """Log of weight × density of each component at each measurement, (n, k)."""
    n, k = len(points), len(weights)
    log_density = np.empty((n, k))
    for c in range(k):
        log_weight = np.log(max(weights[c], 1e-300)) - np.log(2 * np.pi)
        for i in range(n):
            xx, yy = covariances[c, 0, 0] + variance[i, 0], covariances[c, 1, 1] + variance[i, 1]
            xy = covariances[c, 0, 1]
            x, y = points[i, 0] - means[c, 0], points[i, 1] - means[c, 1]
            distance, determinant = mahalanobis(x, y, xx, xy, yy)
            log_density[i, c] = log_weight - 0.5 * (distance + np.log(determinant))
    return log_density


@kernel
def _step(
    points: Floats, variance: Floats, weights: Floats, means: Floats, covariances: Floats, floor: float
) -> tuple[float, Floats, Floats, Floats]:
    """One step of expectation and maximisation; the mean log likelihood is that before the step."""
    n, k = len(points), len(weights)
    shares = log_densities(points, variance, weights, means, covariances)
    likelihood = 0.0
    for i in range(n):
        largest = shares[i].max()
        total = 0.0
        for c in range(k):
            shares[i, c] = np.exp(shares[i, c] - largest)
            total += shares[i, c]
        likelihood += largest + np.log(total)
        for c in range(k):
            shares[i, c] /= total
    weights, means, covariances = maximise(points, variance, shares, means, covariances, floor)
    return likelihood / n, weights, means, covariances


@kernel
def maximise(
    points: Floats, variance: Floats, shares: Floats, means: Floats, covariances: Floats, floor: float
) -> tuple[Floats, Floats, Floats]:
    """Return the weights, means and covariances that follow from the share of each component in each measurement.

    Parameters
    ----------
    points, variance
        (n, 2), measurements and squares of their standard errors.
    shares
        (n, k), sum 1.
    means, covariances
        (k, 2) and (k, 2, 2), those before.
    floor
        Variance that a component keeps.
    """
    n, k = shares.shape
    mass, first, second = np.zeros(k), np.zeros((k, 2)), np.zeros((k, 3))
    for i in range(n):
        for c in range(k):
            share = shares[i, c]
            a, b, d = covariances[c, 0, 0], covariances[c, 0, 1], covariances[c, 1, 1]
            xx, yy = a + variance[i, 0], d + variance[i, 1]
            determinant = max(xx * yy - b * b, 1e-300)
            # gain = covariance / (covariance + noise)
            g00, g01 = (a * yy - b * b) / determinant, (b * xx - a * b) / determinant
            g10, g11 = (b * yy - d * b) / determinant, (d * xx - b * b) / determinant
            x, y = points[i, 0] - means[c, 0], points[i, 1] - means[c, 1]
            # True vector expected from the measurement, from the mean, and what is left of the spread.
            true_x, true_y = g00 * x + g01 * y, g10 * x + g11 * y
            mass[c] += share
            first[c, 0] += share * true_x
            first[c, 1] += share * true_y
            second[c, 0] += share * (true_x * true_x + a - g00 * a - g01 * b)
            second[c, 1] += share * (true_x * true_y + b - g00 * b - g01 * d)
            second[c, 2] += share * (true_y * true_y + d - g10 * b - g11 * d)
    new_means, new_covariances = np.empty((k, 2)), np.empty((k, 2, 2))
    for c in range(k):
        held = max(mass[c], 1e-12)
        x, y = first[c, 0] / held, first[c, 1] / held
        new_means[c, 0], new_means[c, 1] = means[c, 0] + x, means[c, 1] + y
        new_covariances[c, 0, 0] = second[c, 0] / held - x * x + floor
        new_covariances[c, 1, 1] = second[c, 2] / held - y * y + floor
        new_covariances[c, 0, 1] = new_covariances[c, 1, 0] = second[c, 1] / held - x * y
    return mass / n, new_means, new_covariances


def _start(points: Floats, k: int, seed: int) -> tuple[Floats, Floats, Floats]:
    if k == 1:
        label = np.zeros(len(points), dtype=int)
    else:
        from sklearn.cluster import KMeans

        with quiet():
            label = KMeans(k, n_init=5, random_state=seed).fit(points).labels_
    weights, means, covariances = np.empty(k), np.empty((k, 2)), np.empty((k, 2, 2))
    for part in range(k):
        members = points[label == part]
        weights[part] = max(len(members), 1) / len(points)
        means[part] = members.mean(axis=0) if len(members) else points.mean(axis=0)
        apart = members - means[part]
        covariances[part] = apart.T @ apart / max(len(members), 1)
    return weights / weights.sum(), means, covariances
