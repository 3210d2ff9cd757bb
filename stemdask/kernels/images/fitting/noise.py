"""How the noise of an image depends on its brightness and on the frequency, read from the image itself.

Second differences along both axes, taken of what a fit leaves over, see the noise and hardly the columns. Their square
against the fitted brightness is a straight line: its slope is the gain (counts), its intercept the read-out noise.

An image that was interpolated or filtered, such as the average of an aligned stack, has correlated noise: neighbouring
pixels share it, and a fit averages less of it away than the pixels' variance promises. The power spectrum of the
residual shows it. What matters to a position is the power at the frequencies of a column's flanks, just above those
that the fit itself takes out. Medians over rings of the spectrum pass over the Bragg peaks of misfitted columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import fft

from stemdask.kernels.arrays import AnyFloats, Booleans, Floats, Image, Indices
from stemdask.kernels.compiled import kernel

_BINS = 24
_PIXELS = 250_000  # enough to know the gain to 1 %
_FOR_EDGES = 20_000  # enough for the bins' edges
_FOR_RANGE = 50_000  # and for an image's range, whatever its columns
_FIELD = 512  # side of the field whose power spectrum is taken
_RINGS = 36
#: Frequencies that are compared with one another.
_NEXT = 16
#: At a peak of a model's spectrum is more than this times the power that a quarter of those next to it have less than.
_PEAK = 10.0
_SIGNIFICANT = 4.0
#: In units of 1/(2πσ), for columns of width σ: the frequencies of their flanks, and the band beside those where a fit
#: leaves the noise alone.
_FLANK, _BAND = 1.5, (2.5, 4.5)
#: An image whose noise has less than this part of its power at high frequencies was filtered, or has noise of another
#: kind there. Real images have less than 0.14 or more than 0.20, in each of their halves.
_FILTERED = 0.17
#: Noise that is correlated by less than this, or than so many standard errors, is taken as white.
_WHITE, _DOUBTED = 0.15, 2.0
#: Standard error of the logarithm of a ring's median power, times the root of the number of frequencies: 1 / ln 2, and
#: half as much more because the window makes neighbouring frequencies alike.
_MEDIAN_ERROR = 2.16
#: Quantiles of the brightness below and above which noise is compared.
_EIGHTHS = (0.125, 0.875)


@dataclass(frozen=True, slots=True)
class Noise:
    """Variance of a pixel = gain · brightness + readout.

    Parameters
    ----------
    gain
        Image units a count; 0 where the noise doesn't depend on the brightness.
    readout
        Variance at brightness 0, image units squared; negative where a pedestal was subtracted from counts.
    correlation
        Power of the noise at the frequencies of the columns over that of white noise of the same variance.
    """

    gain: float
    readout: float
    correlation: float = 1.0


def estimate_noise(image: Image, model: Image | None = None, *, kind: str = "auto", sigma: float = 3.0) -> Noise:
    """Estimate the noise of an image.

    Parameters
    ----------
    image
        (y, x) float32; NaN pixels are left out.
    model
        Fitted image. Without it the estimate is a first guess: the brightness is the local mean, sharp columns add to
        the noise, and the noise counts as white.
    kind
        "auto" decides by the data whether the noise depends on the brightness, "poisson" says that it's counting noise
        alone, "gaussian" that it doesn't depend on it.
    sigma
        Width of the columns in px.

    Returns
    -------
    Noise
        With a variance above 0.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(100, 5, (128, 128)).astype(np.float32)
    >>> round(estimate_noise(image, np.full_like(image, 100), kind="gaussian").readout)  # 5²
    25
    """
    smooth = np.zeros_like(image) if model is None else model
    square, brightness = _squares(image, smooth, image if model is None else model, _rows(*image.shape))
    if len(square) < 16:
        return Noise(0.0, 1.0)
    spread = float(np.ptp(brightness))
    tiny = (1e-6 * (spread if spread > 0.0 else 1.0)) ** 2
    seen = max(float(square.mean()), tiny)
    spectrum = _Spectrum(seen, 1.0, False) if model is None else _spectrum(image, model, sigma)
    if kind == "gaussian" or spread == 0.0 or (kind == "auto" and spectrum.filtered):
        # Filtered noise hides from second differences.
        return (
            Noise(0.0, max(spectrum.total, tiny), spectrum.correlation)
            if spectrum.filtered
            else _coloured(Noise(0.0, seen), spectrum, seen)
        )
    if kind == "poisson":
        noise = Noise(seen / max(float(brightness.mean()), 1e-30), 0.0)
    else:
        noise = _straight_line(square, brightness, Noise(0.0, seen))
    return _coloured(noise, spectrum, seen)


def noise_where_bright(image: AnyFloats, model: Image) -> float:
    """Return the variance of the noise in the brightest eighth of an image over that in the darkest.

    Counting makes it more than 1, read-out noise leaves 1. A logarithm or a root of counts makes it less: their noise
    is least where the image is brightest.

    Parameters
    ----------
    image
        (y, x); NaN pixels are left out.
    model
        Fitted image.

    Returns
    -------
    NaN where either shows no noise.
    """
    pixels = np.asarray(image, dtype=np.float32)
    square, brightness = _squares(pixels, model, pixels, np.arange(1, max(len(pixels) - 1, 1)))
    if len(square) < 16:
        return np.nan
    low, high = np.quantile(brightness, _EIGHTHS)
    # The median passes over what the fit leaves of single columns.
    dark, bright = (float(np.median(square[part])) for part in (brightness <= low, brightness >= high))
    return bright / dark if dark > 0.0 and bright > 0.0 else np.nan


def brightness_range(image: AnyFloats) -> tuple[float, float]:
    """Return (dark level, contrast) of an image from a part of its pixels."""
    step = max(1, int(np.sqrt(np.size(image) / _FOR_RANGE)))
    sample = np.asarray(image[::step, ::step], dtype=np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 0.0
    low, high = (float(level) for level in np.quantile(sample, [0.02, 0.98]))
    if not high > low:
        low, high = float(sample.min()), float(sample.max())
    return low, high - low


def _rows(height: int, width: int) -> Indices:
    """Return rows with a row on each side, in bands all over the image, of as many pixels as an estimate needs."""
    count = max(1, min(height // 16, _PIXELS // (16 * max(width, 1))))
    if 16 * count >= height - 16:
        return np.arange(1, max(height - 1, 1))
    first = np.linspace(0, height - 16, count).astype(int)
    return np.asarray((first[:, None] + np.arange(1, 15)).ravel())


@kernel
def _squares(image: Image, model: Image, level: Image, rows: Indices) -> tuple[Floats, Floats]:
    """Return the squares of second differences along both axes of image - model, and the brightness of each.

    In units of a pixel's variance, in these rows, where all pixels count. The brightness is the mean level with the
    difference's own weights, squared.
    """
    width = image.shape[1]
    square, brightness = np.empty(len(rows) * width), np.empty(len(rows) * width)
    down, level_down = np.empty(width), np.empty(width)
    n = 0
    for row in rows:
        for x in range(width):  # along y first, in vector registers
            above = np.float64(image[row - 1, x]) - np.float64(model[row - 1, x])
            here = np.float64(image[row, x]) - np.float64(model[row, x])
            below = np.float64(image[row + 1, x]) - np.float64(model[row + 1, x])
            down[x] = above - 2.0 * here + below
            level_down[x] = (
                np.float64(level[row - 1, x]) + 4.0 * np.float64(level[row, x]) + np.float64(level[row + 1, x])
            )
        for x in range(1, width - 1):
            difference = down[x - 1] - 2.0 * down[x] + down[x + 1]
            mean = level_down[x - 1] + 4.0 * level_down[x] + level_down[x + 1]
            if np.isfinite(difference) and np.isfinite(mean):
                square[n], brightness[n] = difference * difference / 36.0, mean / 36.0
                n += 1
    return square[:n], brightness[:n]


def _straight_line(square: Floats, brightness: Floats, flat: Noise) -> Noise:
    """Fit variance = gain · brightness + readout to the means in bins of equal numbers of pixels."""
    edges = np.quantile(brightness[:: max(1, len(brightness) // _FOR_EDGES)], np.linspace(0.0, 1.0, _BINS + 1))
    which = np.searchsorted(edges[1:-1], brightness, side="right")
    count = np.bincount(which, minlength=_BINS).astype(np.float64)
    used = count > 8
    if used.sum() < 4:
        return flat
    count = count[used]
    level = np.bincount(which, brightness, _BINS)[used] / count
    power = np.bincount(which, square, _BINS)[used] / count
    design: Floats = np.stack([level, np.ones_like(level)], axis=1)
    expected = np.full_like(power, flat.readout)
    slope, intercept, weight = 0.0, flat.readout, np.ones_like(power)
    covariance: Floats = np.eye(2)
    for _ in range(4):
        # A mean of squares of correlated normal deviates scatters by its expectation times sqrt(2 · 2.25 / n).
        weight = count / (4.5 * expected**2)
        covariance = np.asarray(np.linalg.pinv(design.T @ (weight[:, None] * design)), dtype=np.float64)
        slope, intercept = covariance @ (design.T @ (weight * power))
        expected = np.maximum(slope * level + intercept, 0.05 * flat.readout)
    if slope < _SIGNIFICANT * np.sqrt(covariance[0, 0]) or slope * np.ptp(level) < 0.1 * flat.readout:
        return flat
    if abs(intercept) < _SIGNIFICANT * np.sqrt(covariance[1, 1]):
        slope, intercept = float(np.sum(weight * power * level) / np.sum(weight * level**2)), 0.0
    return Noise(float(slope), float(intercept))


class _Spectrum(NamedTuple):
    """What the spectrum of a residual says of the noise."""

    total: float
    """Variance of the noise."""
    correlation: float
    """Its power at the frequencies of the columns over that of white noise; 1 where it may well be white."""
    filtered: bool
    """Whether what is seen at high frequencies says nothing of it."""


def _coloured(noise: Noise, spectrum: _Spectrum, seen: float) -> Noise:
    """Correct a variance that second differences saw for the spectrum of the noise, unless that is white."""
    if spectrum.correlation == 1.0:
        return noise
    to_all = spectrum.total / seen
    return Noise(noise.gain * to_all, noise.readout * to_all, spectrum.correlation)


@lru_cache(maxsize=4)
def _rings(height: int, width: int) -> tuple[Image, Indices, Indices, Floats]:
    """Return a window for a field's spectrum, its frequencies' rings and order, ascending, and the rings' middles."""
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)).ravel()
    edges = np.linspace(0.0, np.sqrt(0.5) + 1e-9, _RINGS + 1)
    order = np.argsort(frequency, kind="stable")
    ring = np.digitize(frequency[order], edges) - 1
    return window.astype(np.float32), ring, order, 0.5 * (edges[1:] + edges[:-1])


def _power(field: Floats) -> Floats:
    """Return the power at each frequency, one after another."""
    amplitude = np.asarray(fft.rfft2(field.astype(np.float32))).ravel()
    return np.asarray(amplitude.real**2 + amplitude.imag**2)


def _between_peaks(power: Floats) -> Booleans:
    """Tell which frequencies, in ascending order, lie at no Bragg peak of a model.

    What it misses of columns that repeat lies at these, which in a field of few cells fill a third of a ring.
    """
    n = len(power) // _NEXT * _NEXT
    found = np.zeros(len(power), np.bool_)
    next_to = power[:n].reshape(-1, _NEXT)
    found[:n] = (next_to <= _PEAK * np.quantile(next_to, 0.25, axis=1, keepdims=True)).ravel()
    return found


def _spectrum(image: Image, model: Image, sigma: float) -> _Spectrum:
    """Read the noise from the power spectrum of what a fit with columns of width `sigma` leaves over."""
    height, width = (min(size, _FIELD) for size in image.shape)
    field = (
        slice((image.shape[0] - height) // 2, (image.shape[0] + height) // 2),
        slice((image.shape[1] - width) // 2, (image.shape[1] + width) // 2),
    )
    residual = image[field] - model[field]
    good = np.isfinite(residual)
    window, ring, order, middle = _rings(height, width)
    weight = max(float(np.sum(window[good] ** 2, dtype=np.float64)), 1e-30)
    power, of_model = (
        _power(np.where(good, values - np.mean(values[good] if good.any() else 0.0), 0.0) * window)[order] / weight
        for values in (residual, model[field])
    )
    between = _between_peaks(of_model)
    parts = np.split(power[between], np.searchsorted(ring[between], np.arange(1, _RINGS)))
    count = np.array([len(part) for part in parts])
    # The power at one frequency is exponentially distributed: its mean is its median over ln 2.
    mean = np.array([np.median(part) if len(part) else 0.0 for part in parts]) / np.log(2.0)
    low, high = (factor / (2.0 * np.pi * sigma) for factor in _BAND)
    band = (middle > min(low, 0.3)) & (middle < max(min(high, 0.45), low + 0.05)) & (count > 0)
    outer = (middle > 0.38) & (middle < 0.5) & (count > 0)
    if not band.any() or not outer.any():
        return _Spectrum(1.0, 1.0, False)
    # Straight on from the band to the columns' frequencies, as far as the power rises towards them.
    square, flank = middle**2, (_FLANK / (2.0 * np.pi * sigma)) ** 2
    error = _MEDIAN_ERROR / np.sqrt(float(count[band].sum()))
    slope, level = 0.0, float(np.log(max(np.average(mean[band], weights=count[band]), 1e-300)))
    if np.count_nonzero(band) >= 3:
        design = np.stack([square[band], np.ones(np.count_nonzero(band))], axis=1)
        covariance = np.linalg.pinv(design.T @ (count[band, None] * design))
        fitted = covariance @ (design.T @ (count[band] * np.log(np.maximum(mean[band], 1e-300))))
        if fitted[0] <= 0.0:
            slope, level = (float(value) for value in fitted)
            error = _MEDIAN_ERROR * float(np.sqrt(np.array([flank, 1.0]) @ covariance @ np.array([flank, 1.0])))
    mean[middle < low] = np.exp(level + slope * square[middle < low])
    at_columns, total = float(np.exp(level + slope * flank)), float(np.average(mean, weights=count))
    if not total > 0.0:
        return _Spectrum(1.0, 1.0, False)
    if np.log(at_columns / total) < max(np.log(1.0 + _WHITE), _DOUBTED * error):
        return _Spectrum(total, 1.0, False)
    filtered = float(np.average(mean[outer], weights=count[outer])) < _FILTERED * at_columns
    return _Spectrum(total, at_columns / total, filtered)
