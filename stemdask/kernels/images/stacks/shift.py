"""The rigid shift between two images of a lattice, to a fraction of a pixel and on the right branch of the lattice.

The cross-correlation of two images of a crystal has a peak at every lattice vector. Which of them is the drift can't be
read from their heights alone once there is noise, so a guess (from the frames before) chooses among the peaks that are
equally high, and only a peak that is higher beyond doubt overrules it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from stemdask.kernels.arrays import AnyFloats, Floats, Image

#: Fraction of each side over which the window falls to zero.
_TAPER = 0.125
#: A frequency of the reference counts where its power is this many times the noise's.
_PASS = 5.0
#: Peaks of the correlation within this of the best one may be the same on another branch: standard errors, fraction.
_DOUBT = (6.0, 0.03)
#: Loss of height of a peak for a distance from the guess of one whole field; brightness gradients do as much.
_SLOPE = 0.5
#: Largest distance from the guess that is searched, as a fraction of the field.
_REACH = 1 / 3
#: Residual shift (px) above which the images are cropped to their common area again: the window biases the peak before.
_AGAIN = 3.0


class Shift(NamedTuple):
    """How far an image is moved against a reference; px, y down."""

    y: float
    x: float
    y_err: float
    x_err: float
    quality: float
    """Correlation coefficient of the aligned images in the frequencies where the reference exceeds its noise."""


NO_SHIFT = Shift(np.nan, np.nan, np.nan, np.nan, np.nan)


def find_shift(
    reference: AnyFloats,
    image: AnyFloats,
    guess: tuple[float, float] = (0.0, 0.0),
    *,
    with_error: bool = True,
) -> Shift:
    """Find how far an image is moved against a reference.

    The correlation is weighted by the Wiener filter of the reference, 1 - 5 N / |R|² with its noise floor N; its peak
    nearest to the guess, among the equally high ones, is refined by Newton's method on the Fourier series itself.

    Parameters
    ----------
    reference, image
        (ny, nx), any brightness; missing pixels are NaN.
    guess
        Expected shift (y, x), px.
    with_error
        Find the standard errors too, which doubles the time.

    Returns
    -------
    Shift
        A feature at p in the reference is at p + shift in the image. All NaN where either is blank or where less than a
        quarter of the field would overlap.

    Notes
    -----
    Standard errors are the sandwich estimate (White, Econometrica 48 (1980) 817): the noise of each pixel is taken from
    what remains in it, so that they hold for counted electrons as well as for even noise.

    Examples
    --------
    >>> from stemdask.simulate import perovskite
    >>> image = perovskite((128, 128), 14.0, seed=0)[0]
    >>> found = find_shift(image[:, 3:], image[:, :-3], guess=(0.0, 2.0))
    >>> round(float(found.x), 1)
    3.0
    """
    extents = [*zip(_extents(reference), _extents(image), strict=True)]
    whole = (round(guess[0]), round(guess[1]))
    for _ in range(3):
        common = [_common(*pair, amount) for pair, amount in zip(extents, whole, strict=True)]
        if min(stop - start for start, stop in common) < max(8, min(image.shape) // 4):
            return NO_SHIFT
        there = tuple(slice(start, stop) for start, stop in common)
        here = tuple(slice(start + w, stop + w) for (start, stop), w in zip(common, whole, strict=True))
        residual = (guess[0] - whole[0], guess[1] - whole[1])
        found = _correlate(reference[there], image[here], residual, with_error)
        if not np.isfinite(found.y):
            return NO_SHIFT
        guess = (whole[0] + found.y, whole[1] + found.x)
        if max(abs(found.y), abs(found.x)) <= _AGAIN:
            break
        whole = (round(guess[0]), round(guess[1]))
    return found._replace(y=guess[0], x=guess[1])


def lattice_period(image: AnyFloats) -> float:
    """Return the shortest period of an image, px, from its autocorrelation; NaN where it has none."""
    spectrum = _spectrum(image)
    if spectrum is None:
        return np.nan
    power = _power(spectrum)
    noise = _noise(power)
    kept = np.maximum(power - _PASS * noise, 0.0)
    kept[:2, :2] = kept[-1:, :2] = 0.0
    if float(kept.sum()) < 4 * kept.size * noise * np.exp(-_PASS):  # what white noise alone leaves, with a margin
        return np.nan
    peaks = _peaks(scipy.fft.irfft2(kept, s=image.shape), 0.5 - 1e-9)
    if peaks is None:
        return np.nan
    distance = np.hypot(peaks[:, 0], peaks[:, 1])
    centre = distance.argmin()
    others = (peaks[:, 2] > 0.3 * peaks[centre, 2]) & (distance > 2.0)
    return float(distance[others].min()) if others.any() else np.nan


def is_blank(image: AnyFloats) -> bool:
    """Tell whether an image has no finite pixels or no contrast."""
    seen = image[np.isfinite(image)]
    return seen.size == 0 or bool(seen.min() == seen.max())


def _extents(image: AnyFloats) -> list[tuple[int, int]]:
    """Return the first and last (exclusive) row and column that are seen for the most part."""
    finite = np.isfinite(image)
    extents = []
    for axis in (1, 0):
        seen = np.flatnonzero(finite.mean(axis=axis) > 0.5)
        extents.append((int(seen[0]), int(seen[-1]) + 1) if seen.size else (0, 0))
    return extents


def _common(reference: tuple[int, int], image: tuple[int, int], whole: int) -> tuple[int, int]:
    """Return the part of the reference that the image shows too, of a length that transforms fast."""
    start, stop = max(reference[0], image[0] - whole), min(reference[1], image[1] - whole)
    if stop <= start:
        return 0, 0
    length = scipy.fft.prev_fast_len(stop - start, real=True)
    start += (stop - start - length) // 2
    return start, start + length


def _correlate(reference: AnyFloats, image: AnyFloats, guess: tuple[float, float], with_error: bool) -> Shift:
    shape = reference.shape
    first, second = _spectrum(reference), _spectrum(image)
    if first is None or second is None:
        return NO_SHIFT
    power, noise = _power(first), _noise(_power(second))
    least = _PASS * _noise(power)
    weight = np.where(power > least, 1 - least / np.where(power > least, power, 1), 0.0).astype(power.dtype)
    weight[:2, :2] = weight[-1:, :2] = 0.0  # illumination, and what the window leaves of it
    cross = weight * first.conj() * second
    both = np.full(weight.shape[1], 2.0)  # a real image's transform holds each frequency but these once
    both[[0, -1] if shape[1] % 2 == 0 else [0]] = 1.0
    spread = np.sqrt(noise * float((both * weight**2 * power).sum())) / reference.size
    start = _branch(scipy.fft.irfft2(cross, s=shape), spread, guess)
    if start is None:
        return NO_SHIFT
    rows, cols = np.nonzero(weight)
    k = 2 * np.pi * np.stack([scipy.fft.fftfreq(shape[0])[rows], cols / shape[1]])
    at, height, bend = _climb(cross[rows, cols].astype(np.complex128) * both[cols], k, start)
    part = weight[rows, cols].astype(np.float64) * both[cols]
    strength, other = float(part @ power[rows, cols]), float(part @ _power(second[rows, cols]))
    if height <= 0 or strength <= 0 or other <= 0:
        return NO_SHIFT
    found = Shift(float(at[0]), float(at[1]), np.nan, np.nan, min(height / (strength * other) ** 0.5, 1.0))
    if not with_error:
        return found
    scatter = _scatter(weight, first, second, at, height / strength, shape)
    error = np.sqrt(np.diag(np.linalg.solve(bend, np.linalg.solve(bend, scatter).T)))
    return found._replace(y_err=float(error[0]), x_err=float(error[1]))


def _scatter(
    weight: AnyFloats,
    reference: NDArray[np.complexfloating],
    image: NDArray[np.complexfloating],
    at: Floats,
    contrast: float,
    shape: tuple[int, ...],
) -> Floats:
    """Return the covariance of the correlation's gradient; a pixel's noise is what the reference leaves in it."""
    k = (2 * np.pi * scipy.fft.fftfreq(shape[0])[:, None], 2 * np.pi * scipy.fft.rfftfreq(shape[1]))
    expected = (np.exp(-1j * at[0] * k[0]) * np.exp(-1j * at[1] * k[1]) * reference).astype(np.complex64)
    remains = scipy.fft.irfft2(image - np.float32(contrast) * expected, s=shape) * float(shape[0] * shape[1])
    y, x = (remains * scipy.fft.irfft2((1j * one * weight * expected).astype(np.complex64), s=shape) for one in k)
    products = [np.sum(a * b, dtype=np.float64) for a, b in ((y, y), (y, x), (x, x))]
    return np.array([products[:2], products[1:]])


def _spectrum(image: AnyFloats) -> NDArray[np.complexfloating] | None:
    """Return the Fourier transform of the windowed image without its mean; None where it is blank."""
    finite = np.isfinite(image)
    seen = image if finite.all() else image[finite]
    if seen.size < 16:
        return None
    # A hot pixel stands still while the specimen moves: no pixel counts for more than the brightest columns.
    low, middle, high = np.quantile(seen.ravel()[:: max(1, seen.size // 20_000)], [0.001, 0.5, 0.999])
    clipped = np.clip(image, 1.5 * low - 0.5 * middle, 1.5 * high - 0.5 * middle).astype(np.float32)
    window = _window(image.shape[0])[:, None] * _window(image.shape[1])
    if seen.size != image.size:
        window = window * finite
        clipped[~finite] = 0.0
    total = float(window.sum(dtype=np.float64))
    clipped -= np.float32(float((window * clipped).sum(dtype=np.float64)) / max(total, 1e-9))
    clipped *= window
    if not np.any(clipped):
        return None
    transformed: NDArray[np.complexfloating] = scipy.fft.rfft2(clipped)
    return transformed


def _window(n: int) -> Image:
    ramp = np.minimum(np.minimum(np.arange(n) + 0.5, n - 0.5 - np.arange(n)) / (_TAPER * n), 1.0)
    window: Image = (0.5 - 0.5 * np.cos(np.pi * ramp)).astype(np.float32)
    return window


def _power(spectrum: NDArray[np.complexfloating]) -> AnyFloats:
    return spectrum.real**2 + spectrum.imag**2


def _noise(power: AnyFloats) -> float:
    """Return the mean power of white noise: most frequencies hold nothing else, and theirs is exponential."""
    return float(np.median(power) / np.log(2))


def _peaks(correlation: AnyFloats, reach: float) -> Floats | None:
    """Return the local maxima of a correlation as (y, x, height), for lags up to a fraction of the field.

    Heights are those of the parabola through a maximum, divided by the overlap of the windows.
    """
    limits = [int(reach * n) - 1 for n in correlation.shape]
    if min(limits) < 2:
        return None
    lags = [np.arange(-limit - 1, limit + 2) for limit in limits]
    near = correlation[np.ix_(lags[0], lags[1])].astype(np.float64)
    for axis, n in enumerate(correlation.shape):
        # The overlap that goes around the border counts too: it can make a far peak higher, which must not win.
        common = scipy.fft.irfft(np.abs(scipy.fft.rfft(_window(n).astype(np.float64))) ** 2, n)
        common = common[np.abs(lags[axis])] / common[0]
        near /= common[:, None] if axis == 0 else common
    middle = near[1:-1, 1:-1]
    highest = middle > 0
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            if (dy, dx) != (1, 1):
                highest &= middle >= near[dy : dy + middle.shape[0], dx : dx + middle.shape[1]]
    y, x = np.nonzero(highest)
    if y.size == 0:
        return None
    height = middle[y, x]
    for before, after in ((near[y, x + 1], near[y + 2, x + 1]), (near[y + 1, x], near[y + 1, x + 2])):
        bend = 2 * middle[y, x] - before - after
        height = height + np.where(bend > 0, (after - before) ** 2 / np.where(bend > 0, 8 * bend, 1.0), 0.0)
    return np.column_stack([lags[0][y + 1], lags[1][x + 1], height])


def _branch(correlation: AnyFloats, spread: float, guess: tuple[float, float]) -> Floats | None:
    """Return the peak nearest to the guess among those that noise may have made lower than the best one."""
    peaks = _peaks(correlation, _REACH)
    if peaks is None:
        return None
    away = np.hypot(peaks[:, 0] - guess[0], peaks[:, 1] - guess[1])
    score = peaks[:, 2] * (1 - _SLOPE * away / min(correlation.shape))
    doubt = max(_DOUBT[0] * spread, _DOUBT[1] * score.max())
    equal = score >= score.max() - doubt
    nearest: Floats = peaks[equal][away[equal].argmin(), :2]
    return nearest


def _climb(cross: NDArray[np.complexfloating], k: Floats, start: Floats) -> tuple[Floats, float, Floats]:
    """Return the maximum of Re Σ cross exp(i k·t) next to `start`, its height and its curvature."""
    at = start.astype(np.float64)
    step = np.zeros(2)
    for _ in range(10):
        at = at + step
        wave = cross * np.exp(1j * (k[0] * at[0] + k[1] * at[1]))
        # A floor keeps the step finite where there is structure along one direction only.
        bend = (k * wave.real) @ k.T + 1e-12 * float(np.abs(wave.real).sum()) * np.eye(2)
        step = np.linalg.solve(bend, -(k @ wave.imag))
        step *= min(1.0, 0.5 / max(float(np.hypot(*step)), 1e-12))
        if np.abs(step).max() < 1e-4:
            break
    return at, float(wave.real.sum()), bend
