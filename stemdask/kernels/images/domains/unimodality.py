"""Whether two peaks explain measurements of known error better than any single one could."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from stemdask.kernels.arrays import Floats

#: Measurements at most; more are thinned evenly along their values.
MOST = 400
_MODES, _WIDTHS, _STEPS = 15, 16, 200


def evidence_of_two(values: Floats, noise: Floats) -> float:
    """Return how much better a mixture of two Gaussians fits than the best unimodal distribution.

    The unimodal one is as free as can be: by Khinchin's theorem it is a mixture of uniform distributions that all
    begin at the mode, so skewness and heavy tails don't look like a second peak. Both are blurred by each
    measurement's own error.

    Parameters
    ----------
    values
        (n,), any unit.
    noise
        (n,), standard errors in the same unit.

    Returns
    -------
    Mean gain of log likelihood per measurement; negative where one peak does as well.
    """
    known = np.isfinite(values) & np.isfinite(noise)
    values, noise = values[known], noise[known]
    if len(values) < 8 or np.ptp(values) == 0:
        return -np.inf
    order = np.argsort(values, kind="stable")
    if len(order) > MOST:
        order = order[np.linspace(0, len(order) - 1, MOST).round().astype(int)]
    values, noise = values[order], np.maximum(noise[order], 1e-3 * values.std())
    return _two_peaks(values, noise) - max(
        _one_peak(values, noise, float(mode)) for mode in np.quantile(values, np.linspace(0.02, 0.98, _MODES))
    )


def _two_peaks(values: Floats, noise: Floats) -> float:
    """Mean log likelihood of two Gaussians blurred by the noise."""
    low, high = np.quantile(values, [0.2, 0.8])
    best = -np.inf
    for share in (0.5, 0.25, 0.75):
        cut = np.quantile(values, share)
        lower, upper = values[values <= cut], values[values > cut]
        means = np.array([lower.mean() if lower.size else low, upper.mean() if upper.size else high])
        spreads = np.array([lower.var(), upper.var() if upper.size else 0.0]) + 1e-6 * values.var()
        weights = np.array([share, 1 - share])
        likelihood = -np.inf
        for _ in range(_STEPS):
            total = spreads + noise[:, None] ** 2
            apart = values[:, None] - means
            density = weights * np.exp(-0.5 * apart**2 / total) / np.sqrt(2 * np.pi * total)
            sums = np.maximum(density.sum(axis=1), 1e-300)
            before, likelihood = likelihood, float(np.log(sums).mean())
            if likelihood - before < 1e-6:
                break
            shares = density / sums[:, None]
            mass = np.maximum(shares.sum(axis=0), 1e-12)
            gain = spreads / total
            true = means + gain * apart
            weights = mass / len(values)
            means = (shares * true).sum(axis=0) / mass
            spreads = (shares * ((true - means) ** 2 + spreads * (1 - gain))).sum(axis=0) / mass
            spreads = spreads + 1e-6 * values.var()
        best = max(best, likelihood)
    return best


def _one_peak(values: Floats, noise: Floats, mode: float) -> float:
    """Mean log likelihood of the best distribution with its only mode at `mode`, blurred by the noise."""
    reach = max(values.max() - mode, mode - values.min()) + 2 * float(np.median(noise))
    widths = np.geomspace(1e-2, 1.0, _WIDTHS) * reach
    edge = ndtr((values - mode) / noise)[:, None]
    right = (edge - ndtr((values[:, None] - mode - widths) / noise[:, None])) / widths
    left = (ndtr((values[:, None] - mode + widths) / noise[:, None]) - edge) / widths
    density = np.maximum(np.concatenate([right, left], axis=1), 1e-300)
    weights = np.full(density.shape[1], 1 / density.shape[1])
    likelihood = -np.inf
    for _ in range(_STEPS):
        sums = density @ weights
        before, likelihood = likelihood, float(np.log(sums).mean())
        if likelihood - before < 1e-6:
            break
        weights = weights * (density.T @ (1 / sums)) / len(values)
    return likelihood
