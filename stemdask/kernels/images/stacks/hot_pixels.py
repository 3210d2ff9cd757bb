"""Single pixels that a detector got wrong: hot, dead, or hit by something from outside."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from stemdask.kernels.arrays import AnyFloats, Booleans, Floats

_NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
_LEVELS = 16
#: Fraction of the largest differences that don't count for the noise; more wrong pixels than this can't be told.
_WRONG = 0.005


def find_hot_pixels(image: AnyFloats, threshold: float = 6.0) -> Booleans:
    """Find pixels that stand out of all their eight neighbours by more than the noise allows.

    A column is never one: even the sharpest spreads over its neighbours. The noise is taken from the image itself as a
    function of brightness, so that it holds for counted electrons too.

    Parameters
    ----------
    image
        (ny, nx); NaN where a pixel is missing.
    threshold
        In standard deviations of the noise at that brightness.

    Returns
    -------
    (ny, nx), true where a pixel is wrong; missing pixels aren't. Of two wrong neighbours neither is found.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(100, 5, (64, 64))
    >>> image[20, 30] = 400
    >>> np.argwhere(find_hot_pixels(image, 8))
    array([[20, 30]])
    """
    finite = np.isfinite(image)
    if finite.sum() < 9 * _LEVELS:
        return np.zeros(image.shape, dtype=bool)
    middle = float(np.median(image[finite]))
    highest = _filter(scipy.ndimage.maximum_filter, np.where(finite, image, -np.inf))
    lowest = _filter(scipy.ndimage.minimum_filter, np.where(finite, image, np.inf))
    level = _filter(scipy.ndimage.median_filter, np.where(finite, image, middle))
    sigma = _noise_of_level(level, np.where(finite, image - level, np.nan))
    with np.errstate(invalid="ignore"):
        wrong: Booleans = finite & (
            (image - np.maximum(highest, level) > threshold * sigma)
            | (np.minimum(lowest, level) - image > threshold * sigma)
        )
    return wrong


def _filter(kind: object, image: AnyFloats) -> AnyFloats:
    return kind(image, footprint=_NEIGHBOURS, mode="reflect")  # type: ignore[operator, no-any-return]


def _noise_of_level(level: AnyFloats, difference: AnyFloats) -> Floats:
    """Return the standard deviation of the difference for each pixel, from pixels of the same level."""
    known = np.isfinite(difference)
    edges = np.quantile(level[known], np.linspace(0, 1, _LEVELS + 1))
    which = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, _LEVELS - 1)
    sigma = np.full(_LEVELS, np.nan)
    for k in range(_LEVELS):
        of_level = np.sort(np.abs(difference[known & (which == k)]))
        kept = of_level[: max(len(of_level) - max(1, int(_WRONG * _LEVELS * len(of_level))), 0)]
        if len(kept) >= 9:
            sigma[k] = np.sqrt(np.mean(np.square(kept, dtype=np.float64)))
    found = np.isfinite(sigma)
    if not found.any():
        return np.full(level.shape, np.inf)
    sigma = np.interp(np.arange(_LEVELS), np.flatnonzero(found), sigma[found])
    of_pixel: Floats = np.where(sigma > 0, sigma, sigma.max())[which]
    return of_pixel
