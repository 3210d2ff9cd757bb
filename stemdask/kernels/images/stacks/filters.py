"""Filters that leave missing pixels missing: for finding columns, never for measuring them unless that is said."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from stemdask.kernels.arrays import AnyFloats


def gaussian(image: AnyFloats, sigma: float) -> AnyFloats:
    """Smooth an image by a Gaussian of standard deviation `sigma` (px); missing pixels (NaN) count for nothing.

    Examples
    --------
    >>> gaussian(np.ones((3, 3)), 1.0)
    array([[1., 1., 1.],
           [1., 1., 1.],
           [1., 1., 1.]])
    """
    finite = np.isfinite(image)
    if finite.all():
        smoothed: AnyFloats = scipy.ndimage.gaussian_filter(image, sigma)
        return smoothed
    weight = scipy.ndimage.gaussian_filter(finite.astype(image.dtype), sigma)
    total = scipy.ndimage.gaussian_filter(np.where(finite, image, 0).astype(image.dtype), sigma)
    return np.where(finite, total / np.where(weight > 0, weight, 1), np.nan).astype(image.dtype)


def flatten(image: AnyFloats, sigma: float) -> AnyFloats:
    """Subtract the local mean, a Gaussian average of standard deviation `sigma` (px).

    Examples
    --------
    >>> flatten(np.full((3, 3), 7.0), 2.0).round(9).any()
    np.False_
    """
    return image - gaussian(image, sigma)


def invert(image: AnyFloats) -> AnyFloats:
    """Turn dark columns (bright field) into bright ones: what is missing up to the brightest pixel.

    Examples
    --------
    >>> invert(np.array([[1.0, 4.0]]))
    array([[3., 0.]])
    """
    finite = np.isfinite(image)
    return np.asarray(image[finite].max() - image) if finite.any() else image
