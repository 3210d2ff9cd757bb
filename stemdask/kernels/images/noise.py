"""How the noise of an image depends on its brightness, read from the image itself.

Second differences along both axes, taken of what a fit leaves over, see the noise and hardly the columns. Their square
against the fitted brightness is a straight line: its slope is the gain (counts), its intercept the read-out noise. An
image that was interpolated, such as the average of an aligned stack, has correlated noise: neighbouring pixels share it,
and a fit averages less of it away than the pixels' variance promises. The power spectrum of the residual, extrapolated
from its high frequencies (where no column is) to those of the columns, gives the factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

_BINS = 24
_PIXELS = 250_000  # enough to know the gain to 1 %
_FIELD = 512  # side of the field whose power spectrum is taken
_SIGNIFICANT = 4.0


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

    @property
    def counts(self) -> bool:
        """Whether the noise is that of counting."""
        return self.gain > 0.0


def estimate_noise(image: Image, model: Image | None = None, *, kind: str = "auto", sigma: float = 0.0) -> Noise:
    """Estimate the noise of an image.

    Parameters
    ----------
    image
        (y, x) float32; NaN pixels are left out.
    model
        Fitted image; without it the brightness is the local mean, and sharp columns add to the noise.
    kind
        "auto" decides by the data whether the noise depends on the brightness, "poisson" says that it's counting noise
        alone, "gaussian" that it doesn't depend on it.
    sigma
        Width of the columns in px, for the correlation (needs `model`); 0 leaves it at 1.

    Returns
    -------
    Noise
        With a variance above 0 for an image that varies at all.
    """
    rows = _bands(image.shape[0], image.shape[1])
    difference = np.concatenate([_second_differences(image[r] if model is None else image[r] - model[r]).ravel() for r in rows])
    brightness = np.concatenate([(_local_mean(image[r]) if model is None else model[r][1:-1, 1:-1]).ravel() for r in rows])
    good = np.isfinite(difference) & np.isfinite(brightness)
    difference, brightness = difference[good], brightness[good].astype(np.float64)
    if len(difference) < 16:
        return Noise(0.0, 1.0)
    square = difference.astype(np.float64) ** 2
    tiny = (1e-6 * float(np.ptp(brightness)) + 1e-30) ** 2
    flat = Noise(0.0, max(float(square.mean()), tiny))
    if kind == "gaussian" or np.ptp(brightness) == 0.0:
        noise = flat
    elif kind == "poisson":
        noise = Noise(max(float(square.mean()), tiny) / max(float(brightness.mean()), 1e-30), 0.0)
    else:
        noise = _straight_line(square, brightness, flat)
    if model is None or sigma <= 0.0:
        return noise
    spectrum = _extrapolated_power(image, noise, model, sigma)
    return Noise(noise.gain * spectrum[0], noise.readout * spectrum[0], spectrum[1])


def variance(noise: Noise, brightness: Image) -> Image:
    """Return the variance of pixels of some brightness, kept above a hundredth of the mean one."""
    value = np.float32(noise.gain) * brightness + np.float32(noise.readout)
    floor = np.float32(max(noise.gain * 0.01 * abs(float(brightness.mean())), 0.0 if noise.gain else noise.readout))
    return np.maximum(value, np.maximum(floor, np.float32(1e-30)))


def _bands(height: int, width: int) -> list[slice]:
    """Return bands of rows, all over the image, that together hold as many pixels as an estimate needs."""
    count = max(1, min(height // 16, _PIXELS // (16 * max(width, 1))))
    if 16 * count >= height:
        return [slice(0, height)]
    return [slice(first, first + 16) for first in np.linspace(0, height - 16, count).astype(int)]


def _second_differences(image: Image) -> Image:
    rows = image[:-2] - 2.0 * image[1:-1] + image[2:]
    return (rows[:, :-2] - 2.0 * rows[:, 1:-1] + rows[:, 2:]) / np.float32(6.0)


def _local_mean(image: Image) -> Image:
    rows = image[:-2] + image[1:-1] + image[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9.0)


def _straight_line(square: NDArray[np.float64], brightness: NDArray[np.float64], flat: Noise) -> Noise:
    """Fit variance = gain · brightness + readout to the means in bins of equal numbers of pixels."""
    edges = np.quantile(brightness, np.linspace(0.0, 1.0, _BINS + 1))
    which = np.clip(np.searchsorted(edges, brightness, side="right") - 1, 0, _BINS - 1)
    count = np.bincount(which, minlength=_BINS).astype(np.float64)
    used = count > 8
    if used.sum() < 4:
        return flat
    count = count[used]
    level = np.bincount(which, brightness, _BINS)[used] / count
    power = np.bincount(which, square, _BINS)[used] / count
    design = np.stack([level, np.ones_like(level)], axis=1)
    expected = np.full_like(power, flat.readout)
    slope, intercept, covariance = 0.0, flat.readout, np.eye(2)
    for _ in range(4):
        # A mean of squares of correlated normal deviates scatters by its expectation times sqrt(2 · 2.25 / n).
        weight = count / (4.5 * expected**2)
        covariance = np.linalg.pinv(design.T @ (weight[:, None] * design))
        slope, intercept = covariance @ (design.T @ (weight * power))
        expected = np.maximum(slope * level + intercept, 0.05 * flat.readout)
    if slope < _SIGNIFICANT * np.sqrt(covariance[0, 0]) or slope * np.ptp(level) < 0.1 * flat.readout:
        return flat
    if abs(intercept) < _SIGNIFICANT * np.sqrt(covariance[1, 1]):
        slope, intercept = float(np.sum(weight * power * level) / np.sum(weight * level**2)), 0.0
    return Noise(float(slope), float(intercept))


def _extrapolated_power(image: Image, noise: Noise, model: Image, sigma: float) -> tuple[float, float]:
    """Return (pixel variance over what the second differences saw, power at the columns' frequencies over white)."""
    height, width = (min(size, _FIELD) for size in image.shape)
    middle = tuple(slice((size - part) // 2, (size + part) // 2) for size, part in zip(image.shape, (height, width), strict=True))
    scaled = (image[middle] - model[middle]) / np.sqrt(variance(noise, model[middle]))
    if min(height, width) < 32:
        return 1.0, 1.0
    scaled = np.where(np.isfinite(scaled), scaled, 0.0)
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.rfft2(scaled * window)) ** 2 / np.sum(window**2)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.hypot(fy, fx)
    # White in y and x apart: an interpolated image lost its high frequencies, the noise of one exposure didn't.
    low = max(0.2, 1.0 / sigma / np.pi)
    rings = np.linspace(low, 0.5, 13)
    which = np.digitize(frequency.ravel(), rings) - 1
    inside = (which >= 0) & (which < 12)
    mean = np.bincount(which[inside], power.ravel()[inside], 12) / np.bincount(which[inside], minlength=12)
    centre = 0.5 * (rings[1:] + rings[:-1])
    slope, _ = np.polyfit(centre**2, np.log(np.maximum(mean, 1e-30)), 1)
    slope = min(slope, 0.0)
    at = 1.0 / (2.0 * np.pi * sigma)
    colour = np.exp(slope * (fy**2 + np.fft.fftfreq(width) ** 2))
    response = (2.0 - 2.0 * np.cos(2.0 * np.pi * fy)) ** 2 * (
        2.0 - 2.0 * np.cos(2.0 * np.pi * np.fft.fftfreq(width))
    ) ** 2
    seen = float(np.mean(colour * response) / np.mean(response))
    total = float(np.mean(colour))
    return total / seen, float(np.exp(slope * at**2) / total)
