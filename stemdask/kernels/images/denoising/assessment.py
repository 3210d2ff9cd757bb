"""How far denoised maps are from the truth: the noise that is left in them, and the truth that was taken out.

Both come from differences that don't ask how large the noise is. What was removed is noise and truth together, and
where hundreds of frames are averaged, one per cent more noise than stated looks like more truth lost than all the
noise that is left. Noise is new in every frame, however, and truth mostly is not: what the residuals of a cell share
from frame to frame is truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import uniform_filter

from stemdask.kernels.arrays import Booleans, Floats
from stemdask.kernels.images.denoising.map_comparison import Denoise
from stemdask.kernels.noise_stream import noise_stream

#: Standard errors by which an estimate must exceed zero to count.
CERTAIN = 3.0
#: Repeats of the noise, fewest and most, and entries in all that they aim at; large maps need few.
REPEATS, PROBED = (2, 8), 20_000


@dataclass(frozen=True, slots=True)
class Assessment:
    """Errors in the unit of the maps."""

    passed: Floats
    """(2,), RMS of the noise left in u and in v."""
    removed: float
    """RMS of the truth that denoising took out."""
    where: Floats
    """(2, row, column), the same at each place of u and v: walls lose more than what lies between them."""

    @property
    def total(self) -> float:
        """RMS error against the truth."""
        return float(np.sqrt(np.mean(self.passed**2) + self.removed**2))


def assess(denoise: Denoise, values: Floats, noise: Floats, doubt: float = 0.0, seed: int = 0) -> Assessment:
    """Estimate the error of denoised maps.

    The denoised maps are taken for the truth, noise is added anew, and they are denoised again: their scatter is the
    noise left, and their residuals say what noise alone leaves. The truth removed is the larger of two estimates,
    each only as far as it is certain: what residuals of a cell share in successive frames, which fails where nothing
    lasts from one frame to the next, and what Stein's unbiased estimate of the risk leaves beside the noise (Stein
    1981), which needs to know how large the noise is.

    Parameters
    ----------
    denoise
        Fits and applies.
    values, noise
        (frame, 2, row, column), maps and standard errors; NaN is missing.
    doubt
        Relative standard error of noise².
    seed
        Of the noise.

    Returns
    -------
    NaN where no error is known.
    """
    known = np.isfinite(values) & np.isfinite(noise) & (noise > 0)
    if not known.any():
        return Assessment(np.full(2, np.nan), np.nan, np.full(values.shape[1:], np.nan))
    random = noise_stream(seed)
    spread, denoised = np.where(known, noise, 0.0), denoise(values)
    residuals, power = values - denoised, float(np.mean(spread[known] ** 2))
    repeats = int(np.clip(PROBED // int(known.sum()), *REPEATS))
    again, left, let_through = [], [], 0.0
    for _ in range(repeats):
        added = spread * random.standard_normal(values.shape)
        noisy = np.where(np.isfinite(values), denoised + added, np.nan)
        again.append(denoise(noisy))
        left.append(noisy - again[-1])
        let_through += float(np.mean((added * (again[-1] - denoised))[known])) / repeats
    # Between two repeats, what denoising takes from the denoised maps themselves is gone.
    by_noise = [(second - first) / np.sqrt(2) for first, second in pairwise(left)]
    scatter = np.where(known, np.var(again, axis=0, ddof=1), 0.0)
    passed = scatter.sum(axis=(0, 2, 3)) / np.maximum(known.sum(axis=(0, 2, 3)), 1)
    lasting, excess, mass = _certain(
        _shared(residuals, noise, known), np.mean([_shared(part, noise, known) for part in by_noise], axis=0)
    )
    stein = float(np.mean(residuals[known] ** 2)) - power + 2 * let_through - float(passed.mean())
    if stein > max(lasting, CERTAIN * doubt * power):
        expected = np.mean([_squares(part, known) for part in by_noise], axis=0)
        lasting, excess, mass = stein, _squares(residuals, known) - expected, known.sum(axis=0).astype(float)
    where = _spread_out(lasting, excess, mass)
    return Assessment(np.sqrt(passed), float(np.sqrt(lasting)), np.sqrt(where))


def _shared(residuals: Floats, noise: Floats, known: Booleans) -> Floats:
    """Sum the products of residuals of a cell in two frames at most 1, 2, 4, ... frames apart.

    Parameters
    ----------
    residuals, noise
        (frame, 2, row, column), residuals and standard errors of the entries; a pair counts by 1/noise⁴.
    known
        Same shape, entries that count.

    Returns
    -------
    (windows, 3, 2, row, column), sum of the products, of their weights and of their squares; no window for one frame.
    """
    weight = np.where(known, 1 / np.where(known, noise, 1.0) ** 2, 0.0)
    weighted = np.where(known, residuals, 0.0) * weight
    windows = [2**k for k in range(16) if 2**k < len(residuals)]
    found = [[_products(series, reach) for series in (weighted, weight, weighted**2)] for reach in windows]
    return np.array(found).reshape(len(windows), 3, *residuals.shape[1:])


def _products(series: Floats, reach: int) -> Floats:
    """Sum over all pairs of frames at most `reach` apart."""
    sums = np.concatenate([np.zeros_like(series[:1]), np.cumsum(series, axis=0)])
    last = np.minimum(np.arange(len(series)) + reach + 1, len(series))
    total: Floats = np.sum(series * (sums[last] - sums[1:]), axis=0)
    return total


def _squares(residuals: Floats, known: Booleans) -> Floats:
    """Sum over the frames."""
    total: Floats = np.sum(np.where(known, residuals, 0.0) ** 2, axis=0)
    return total


def _certain(found: Floats, by_noise: Floats) -> tuple[float, Floats, Floats]:
    """Mean product, less that of noise alone, over the shortest time over which it is certain; 0 if over none.

    Returns
    -------
    The mean, and the sum and the weight at each place, (2, row, column).
    """
    for (products, weights, squares), (expected, *_) in zip(found, by_noise, strict=True):
        excess = products - expected
        if excess.sum() > CERTAIN * np.sqrt(squares.sum()):
            return float(excess.sum() / weights.sum()), excess, weights
    return 0.0, np.zeros(found.shape[2:]), np.zeros(found.shape[2:])


def _spread_out(mean: float, excess: Floats, mass: Floats) -> Floats:
    """Share a mean variance out to the places that it comes from, as far as 3 × 3 cells about each tell."""
    size = (0, 3, 3)
    near = uniform_filter(mass, size, mode="constant")
    local = np.where(near > 0, uniform_filter(excess, size, mode="constant") / np.where(near > 0, near, 1.0), 0.0)
    local = np.maximum(local, 0.0)
    typical = float(np.sum(local * mass) / max(mass.sum(), 1e-300))
    return np.where(near > 0, local * mean / typical, mean) if typical > 0 else np.full(excess.shape, mean)
