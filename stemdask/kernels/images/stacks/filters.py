"""Filters that leave missing pixels missing: for finding columns, never for measuring them unless that is said."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from stemdask.kernels.arrays import AnyFloats


def gaussian(image: AnyFloats, sigma: float) -> AnyFloats:
    """Smooth an image by a Gaussian of standard deviation `sigma` (px); missing pixels (NaN) count for nothing.

    Parameters
    ----------
    image
        (ny, nx); missing pixels are NaN.
    sigma
        Standard deviation, px.

    Returns
    -------
    numpy.ndarray
        (ny, nx), in the unit of the image.

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

    Parameters
    ----------
    image
        (ny, nx); missing pixels are NaN.
    sigma
        Standard deviation of the Gaussian, px; a few cells.

    Returns
    -------
    numpy.ndarray
        (ny, nx), in the unit of the image.

    Examples
    --------
    >>> flatten(np.full((3, 3), 7.0), 2.0).round(9).any()
    np.False_
    """
    return image - gaussian(image, sigma)


def invert(image: AnyFloats) -> AnyFloats:
    """Invert the contrast of an image with dark columns (bright field): the brightest pixel minus each pixel.

    Parameters
    ----------
    image
        (ny, nx).

    Returns
    -------
    numpy.ndarray
        (ny, nx), 0 for the brightest pixel.

    Examples
    --------
    >>> invert(np.array([[1.0, 4.0]]))
    array([[3., 0.]])
    """
    finite = np.isfinite(image)
    return np.asarray(image[finite].max() - image) if finite.any() else image
