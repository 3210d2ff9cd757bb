"""Denoising of images before columns are found in them; never to be measured on without saying so."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from stemdask.kernels.arrays import AnyFloats, Floats
from stemdask.kernels.images.denoising.gram_pca import Blocks, pca_with_missing
from stemdask.kernels.images.denoising.low_rank import LowRank, fill, reconstruct

ImageFilter = Literal["gaussian", "butterworth", "nl_means", "tv", "wavelet"]

#: Scales of the wavelet transform: structures up to 2³ px; larger ones are kept as they are.
_SCALES = 3
#: Noise that white noise of variance 1 leaves at each scale of the B3 spline (Starck & Murtagh 2002).
_SCALE_NOISE = (0.8907, 0.2007, 0.0856)
#: 99 % point of the Tracy-Widom law of order 1.
_TRACY_WIDOM = 2.0234


def noise_level(image: AnyFloats) -> float:
    """Return the standard deviation of white noise in an image, from its median second difference (Immerkær 1996).

    Parameters
    ----------
    image
        (ny, nx).

    Returns
    -------
    float
        In the unit of the image.

    Examples
    --------
    >>> round(noise_level(np.random.default_rng(0).normal(0, 5, (256, 256))))
    5
    """
    kernel = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]) / 6
    difference = ndimage.convolve(np.asarray(image, dtype=float), kernel)
    found = np.abs(difference[np.isfinite(difference)])
    return float(np.median(found)) / 0.6744897501960817 if found.size else 0.0


def filter_image(image: AnyFloats, method: ImageFilter, strength: float, period: float) -> Floats:
    """Denoise one image.

    Parameters
    ----------
    image
        (y, x); NaN stays NaN and doesn't spread.
    method
        ``gaussian``: width is strength × period / 12. ``butterworth``: low pass at 2 / strength of the lattice's
        frequency, order 2. ``nl_means``, ``tv`` and ``wavelet``: strength × the noise that the image shows.
    strength
        1 is usual.
    period
        Lattice period, px.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(0, 5, (64, 64))
    >>> bool(filter_image(noisy, "gaussian", 1.0, 24.0).std() < 0.3 * noisy.std())
    True
    """
    missing = ~np.isfinite(image)
    values = np.asarray(image, dtype=float)
    if missing.all() or np.ptp(values[~missing]) == 0:
        return values
    values = np.where(missing, np.median(values[~missing]), values)
    noise = noise_level(np.where(missing, np.nan, image))
    if method == "gaussian":
        found = ndimage.gaussian_filter(values, strength * period / 12)
    elif method == "butterworth":
        from skimage.filters import butterworth

        cutoff = min(2 / (strength * period), 0.5)
        pad = min(values.shape) // 4
        found = butterworth(values, cutoff, high_pass=False, order=2, npad=pad)  # type: ignore[no-untyped-call]
    elif method == "wavelet":
        found = _starlet(values, 3 * strength * noise)
    elif method == "nl_means":
        from skimage.restoration import denoise_nl_means

        size = max(3, 2 * round(period / 4) + 1)
        found = denoise_nl_means(
            values, patch_size=size, patch_distance=round(1.1 * period), h=0.8 * strength * noise, sigma=noise
        )
    else:
        from skimage.restoration import denoise_tv_chambolle

        low, high = values.min(), values.max()
        scaled, weight = (values - low) / (high - low), 2 * strength * noise / (high - low)
        found = denoise_tv_chambolle(scaled, weight=weight)  # type: ignore[no-untyped-call]
        found = low + found * (high - low)
    return np.where(missing, np.nan, found)


def fit_stack(blocks: Blocks, n_pixels: int, rank: int | Literal["auto"], most: int) -> LowRank:
    """Fit the components of a stack of images, one image a row.

    Parameters
    ----------
    blocks
        Gives the images anew at each call, block by block, (n_b, n_pixels); NaN is missing.
    n_pixels
        Pixels of an image.
    rank
        Number of components; ``auto`` keeps those that exceed the largest that noise alone shows in 99 of 100 cases
        (Johnstone 2001).
    most
        Largest number of components.
    """
    if rank != "auto":
        return pca_with_missing(blocks, n_pixels, rank, passes=4)
    model = pca_with_missing(blocks, n_pixels, most, passes=4)
    n, p = np.sqrt(max(model.n_rows - 1, 1)), np.sqrt(n_pixels)
    edge = np.sqrt((n + p) ** 2 + _TRACY_WIDOM * (n + p) * (1 / n + 1 / p) ** (1 / 3))
    for kept in range(min(model.rank, model.n_rows // 2), -1, -1):  # the rest has to show the noise
        shorter = model.truncated(kept)
        if kept == 0 or shorter.singular_values[-1] > edge * np.sqrt(shorter.noise_variance):
            return shorter
    return model


def project_image(model: LowRank, image: AnyFloats) -> Floats:
    """Project one image onto the components of its stack; NaN stays NaN."""
    row = np.asarray(image, dtype=float).reshape(1, -1)
    found = reconstruct(model, fill(model, row)).reshape(image.shape)
    return np.where(np.isfinite(image), found, np.nan)


def _starlet(image: Floats, threshold: float) -> Floats:
    """Undecimated wavelet transform with a B3 spline; coefficients below the noise are dropped, none is shrunk."""
    taps = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kept = np.zeros_like(image)
    smooth = image
    for scale in range(_SCALES):
        spread = np.zeros(4 * 2**scale + 1)
        spread[:: 2**scale] = taps
        smoother = ndimage.convolve1d(
            ndimage.convolve1d(smooth, spread, axis=0, mode="mirror"), spread, axis=1, mode="mirror"
        )
        detail = smooth - smoother
        kept += np.where(np.abs(detail) > threshold * _SCALE_NOISE[scale], detail, 0.0)
        smooth = smoother
    return kept + smooth
