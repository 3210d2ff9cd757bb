"""Each column fitted by itself: an elliptical Gaussian on a constant background, within a square window.

Right where columns stand alone, or as a quick first look; where tails overlap the joint fit is the honest one. The
likelihood is that of the noise model: for counts each step is one of Fisher scoring (S. Smith et al., Nat. Methods 7
(2010) 373, did so for single molecules), for constant variance one of Gauss-Newton.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import AnyFloats, Codes, Floats, Image, Integers32
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.column_fit import AT_BORDER, NO_SIGNAL, NOT_CONVERGED, OK, RAN_AWAY, ColumnFit
from stemdask.kernels.images.fitting.ellipses import axes_of
from stemdask.kernels.images.fitting.gaussian import FAST
from stemdask.kernels.images.fitting.noise import Noise, brightness_range, estimate_noise
from stemdask.kernels.images.fitting.overlaps import tile_order
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance
from stemdask.kernels.images.fitting.window_equations import ROW, SIZE, Window, window_equations
from stemdask.kernels.images.fitting.window_step import limit, solve

_MAX_ITERATIONS = 30
#: A fit ends when its steps are this small against its errors, or px.
_TOLERANCE = (0.01, 1e-6)


def fit_single(
    image: AnyFloats,
    positions: ArrayLike,
    sigma: float,
    radius: float,
    *,
    noise: str | Noise = "auto",
    shape: Literal["elliptical", "round"] = "elliptical",
) -> ColumnFit:
    """Fit each column by itself.

    Parameters
    ----------
    image
        (y, x); NaN pixels are left out. Any unit: the result follows a factor and an offset.
    positions
        (n, 2), px, (y, x), right to about half a width.
    sigma
        Width to start from, px.
    radius
        Half the side of the window, px; three to four widths, and less than the way to the next column.
    noise
        "auto", "poisson", "gaussian" or a :class:`Noise`, as `estimate_noise` returns it.
    shape
        "elliptical", or "round" columns with one width.

    Returns
    -------
    ColumnFit
        Columns that can't be fitted are flagged and never raise.

    Examples
    --------
    >>> y, x = np.mgrid[:31, :31]
    >>> column = 100 + 50 * np.exp(-((y - 15.3) ** 2 + (x - 14.8) ** 2) / 8)
    >>> image = column + np.random.default_rng(0).normal(0, 0.5, column.shape)
    >>> fit_single(image, [[15, 15]], 2.0, 8.0, noise="gaussian").positions.round(1)
    array([[15.3, 14.8]])
    """
    given = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
    n = len(given)
    offset, scale = brightness_range(image)
    scale = scale or 1.0
    pixels: AnyFloats = np.ascontiguousarray(image)
    if pixels.dtype != np.float32:
        pixels = pixels.astype(np.float64)
    if not isinstance(noise, Noise):
        noise = estimate_noise(np.asarray(image, dtype=np.float32), kind=noise)
    gain, readout = noise.gain / scale, (noise.gain * offset + noise.readout) / scale**2

    order = tile_order(np.where(np.isfinite(given), given, 0.0))
    half = int(min(max(np.ceil(radius), 2), (ROW - 1) // 2))
    fits = _Fits(
        at=np.full((n, SIZE), np.nan),
        errors=np.full((n, SIZE), np.nan),
        covariance=np.full((n, 2, 2), np.nan),
        chi2=np.full(n, np.nan),
        flag=np.full(n, NO_SIGNAL, np.int8),
        steps=np.zeros(n, np.int32),
    )
    _fit_windows(pixels, given[order], _Task(float(sigma), half, offset, scale, gain, readout, shape == "round"), fits)

    back = np.empty(n, np.intp)
    back[order] = np.arange(n)
    at, errors = fits.at[back], fits.errors[back] * np.sqrt(noise.correlation)
    major, minor, rotation = axes_of(at[:, 3:6])
    return ColumnFit(
        positions=at[:, 1:3],
        errors=errors[:, 1:3],
        amplitude=at[:, 0] * scale,
        amplitude_err=errors[:, 0] * scale,
        sigma_major=major,
        sigma_minor=minor,
        rotation=rotation,
        background=at[:, 6] * scale + offset,
        reduced_chi2=fits.chi2[back],
        flag=fits.flag[back],
        noise=noise,
        iterations=int(fits.steps.max(initial=0)),
        sublattice=np.zeros(n, np.int8),
        fitted_covariance=PositionCovariance(fits.covariance[back] * noise.correlation),
    )


class _Task(NamedTuple):
    """How to fit: start and half the side of the window, px; units; the noise in them; whether columns are round."""

    sigma: float
    half: int
    offset: float
    scale: float
    gain: float
    readout: float
    circular: bool


class _Fits(NamedTuple):
    """What comes out for n columns; NaN, no signal and no steps on entry."""

    at: Floats
    errors: Floats
    covariance: Floats
    chi2: Floats
    flag: Codes
    steps: Integers32


class _Normal(NamedTuple):
    """Normal equations of a column, the inverse of their matrix, and their solution."""

    matrix: Floats
    vector: Floats
    inverse: Floats
    step: Floats


@kernel
def _fit_windows(image: AnyFloats, start: Floats, task: _Task, fits: _Fits) -> None:
    rows = 2 * task.half + 2  # one more than the window's: an even number
    window = Window(
        np.full((rows, ROW), np.float32(np.nan)), np.zeros((rows, ROW), np.float32), np.zeros(15 * ROW, np.float32)
    )
    normal = _Normal(np.empty((SIZE, SIZE)), np.empty(SIZE), np.empty((SIZE, SIZE)), np.empty(SIZE))
    now = np.empty(SIZE)
    for k in range(len(start)):
        fits.at[k, 1], fits.at[k, 2] = start[k, 0], start[k, 1]
        if not np.isfinite(start[k, 0] + start[k, 1]):
            continue
        top, left = int(np.rint(start[k, 0])) - task.half, int(np.rint(start[k, 1])) - task.half
        count = _cut(image, top, left, task, window.pixels)
        if count < 2 * SIZE:
            continue
        y, x = start[k, 0] - top, start[k, 1] - left
        _guess(window.pixels, y, x, task.sigma, now)
        flag, chi2, fits.steps[k] = _iterate(window, task, now, normal)
        if (now[1] - y) ** 2 + (now[2] - x) ** 2 > 4.0 * task.sigma * task.sigma:
            fits.flag[k] = RAN_AWAY
            continue
        fits.at[k] = now
        fits.at[k, 1], fits.at[k, 2] = now[1] + top, now[2] + left
        fits.chi2[k] = chi2 / max(count - (5 if task.circular else SIZE), 1)
        solve(normal.matrix, normal.vector, 0.0, task.circular, normal.inverse, normal.step)
        _tell_errors(normal.inverse, fits.errors[k], fits.covariance[k])
        fits.flag[k] = flag
        if not now[0] > fits.errors[k, 0]:
            fits.flag[k] = NO_SIGNAL
        elif _to_edge(fits.at[k, 1], fits.at[k, 2], image.shape) < task.sigma:
            fits.flag[k] = AT_BORDER


@kernel
def _iterate(window: Window, task: _Task, now: Floats, normal: _Normal) -> tuple[int, float, int]:
    """Bring the parameters of a column to their fixed point; return flag, chi² and the number of steps."""
    matrix, vector, inverse, step = normal
    damping, steps = 0.0, 0
    chi2, merit = window_equations(window, now, task.gain, task.readout, matrix, vector)
    while steps < _MAX_ITERATIONS and damping <= 1e8:
        steps += 1
        if not solve(matrix, vector, damping, task.circular, inverse, step):
            damping = max(10.0 * damping, 1e-3)
            continue
        length2 = step[1] ** 2 + step[2] ** 2
        small = max(_TOLERANCE[0] ** 2 * min(inverse[1, 1], inverse[2, 2]), _TOLERANCE[1] ** 2)
        limit(step, now, task.sigma)
        for j in range(SIZE):
            step[j] += now[j]
        renewed, merit = window_equations(window, step, task.gain, task.readout, matrix, vector)
        if merit <= chi2 * (1.0 + 1e-5) + 1e-3:
            now[:] = step
            chi2 = renewed
            damping = 0.1 * damping if damping > 1e-3 else 0.0
            if length2 <= small and damping == 0.0:
                return OK, chi2, steps
        else:
            damping = max(10.0 * damping, 1e-2)
            chi2, merit = window_equations(window, now, task.gain, task.readout, matrix, vector)
    return NOT_CONVERGED, chi2, steps


@kernel
def _tell_errors(inverse: Floats, errors: Floats, covariance: Floats) -> None:
    """Write the standard errors of all parameters and the covariance of the position; NaN where there are none."""
    for j in range(SIZE):
        errors[j] = np.sqrt(inverse[j, j]) if inverse[j, j] > 0.0 else np.nan
    if inverse[1, 1] > 0.0 and inverse[2, 2] > 0.0:
        covariance[:] = inverse[1:3, 1:3]


@kernel
def _to_edge(y: float, x: float, shape: tuple[int, int]) -> float:
    """Return the distance of a place from the nearest edge of the image."""
    return min(y + 0.5, x + 0.5, shape[0] - 0.5 - y, shape[1] - 0.5 - x)


@kernel
def _cut(image: AnyFloats, top: int, left: int, task: _Task, pixels: Image) -> int:
    """Copy a window in units of the task; pixels that don't count become NaN. Return how many count."""
    count, side, factor = 0, 2 * task.half + 1, 1.0 / task.scale
    first, last = max(0, -left), min(side, image.shape[1] - left)
    for row in range(side):
        for column in range(side):
            pixels[row, column] = np.float32(np.nan)
        if 0 <= row + top < image.shape[0]:
            for column in range(first, last):
                value = np.float32((np.float64(image[row + top, column + left]) - task.offset) * factor)
                pixels[row, column] = value
                count += value == value
    return count


@kernel(fastmath=FAST)
def _guess(pixels: Image, y: float, x: float, sigma: float, out: Floats) -> None:
    """Write a start: background and amplitude by linear regression on the Gaussian of the start's width."""
    n = g = gg = v = gv = 0.0
    step, side = 0.5 / (sigma * sigma), len(pixels)
    across = np.exp(-step * (np.arange(side) - x) ** 2)
    for row in range(side):
        along = np.exp(-step * (row - y) ** 2)
        for column in range(side):
            counts = pixels[row, column] == pixels[row, column]
            value = np.float64(pixels[row, column]) if counts else 0.0
            weight = along * across[column] if counts else 0.0
            n += 1.0 if counts else 0.0
            g += weight
            gg += weight * weight
            v += value
            gv += weight * value
    determinant = n * gg - g * g
    amplitude = (n * gv - g * v) / determinant if determinant > 0.0 else 0.0
    out[0] = max(amplitude, 1e-3)
    out[1], out[2] = y, x
    out[3], out[4], out[5] = 2.0 * step, 0.0, 2.0 * step
    out[6] = (v - out[0] * g) / n
