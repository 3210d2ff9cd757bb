"""Each column fitted by itself: an elliptical Gaussian on a constant background, within a square window.

Right where columns stand alone, or as a quick first look; where tails overlap the joint fit is the honest one. The
likelihood is that of the noise model: for counts each step is one of Fisher scoring (S. Smith et al., Nat. Methods 7
(2010) 373, did so for single molecules), for constant variance one of Gauss-Newton.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import AnyFloats, Codes, Floats, Image, Integers32
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.column_fit import AT_BORDER, NO_SIGNAL, NOT_CONVERGED, OK, RAN_AWAY, ColumnFit
from stemdask.kernels.images.fitting.gaussian import axes_of
from stemdask.kernels.images.fitting.noise import Noise, brightness_range, estimate_noise
from stemdask.kernels.images.fitting.overlaps import tile_order
from stemdask.kernels.images.fitting.window_equations import ROW, SIZE, window_equations
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
    """
    given = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
    n = len(given)
    offset, scale = brightness_range(image)
    scale = scale or 1.0
    scaled = ((np.asarray(image, dtype=np.float64) - offset) / scale).astype(np.float32)
    if not isinstance(noise, Noise):
        noise = estimate_noise(np.asarray(image, dtype=np.float32), kind=noise)
    gain, readout = noise.gain / scale, (noise.gain * offset + noise.readout) / scale**2

    order = tile_order(np.where(np.isfinite(given), given, 0.0))
    half = int(min(max(np.ceil(radius), 2), (ROW - 1) // 2))
    found, errors = np.empty((n, SIZE)), np.empty((n, SIZE))
    chi2, flag, steps = np.empty(n), np.empty(n, np.int8), np.empty(n, np.int32)
    _fit_windows(
        scaled, given[order], float(sigma), half, gain, readout, shape == "round", found, errors, chi2, flag, steps
    )

    back = np.empty(n, np.intp)
    back[order] = np.arange(n)
    found, errors, chi2, flag = found[back], errors[back] * np.sqrt(noise.correlation), chi2[back], flag[back]
    major, minor, rotation = axes_of(found[:, 3:6])
    return ColumnFit(
        positions=found[:, 1:3],
        errors=errors[:, 1:3],
        amplitude=found[:, 0] * scale,
        amplitude_err=errors[:, 0] * scale,
        sigma_major=major,
        sigma_minor=minor,
        rotation=rotation,
        background=found[:, 6] * scale + offset,
        reduced_chi2=chi2,
        flag=flag,
        noise=noise,
        iterations=int(steps.max(initial=0)),
        sublattice=np.zeros(n, np.int8),
    )


@kernel
def _fit_windows(
    image: Image,
    start: Floats,
    sigma: float,
    half: int,
    gain: float,
    readout: float,
    circular: bool,
    found: Floats,
    errors: Floats,
    chi2: Floats,
    flag: Codes,
    steps: Integers32,
) -> None:
    side = 2 * half + 1
    pixels, weights = np.zeros((side, ROW), np.float32), np.zeros((side, ROW), np.float32)
    work = np.zeros(15 * ROW, np.float32)
    matrix, vector, inverse = np.empty((SIZE, SIZE)), np.empty(SIZE), np.empty((SIZE, SIZE))
    now, trial = np.empty(SIZE), np.empty(SIZE)
    for k in range(len(start)):
        for j in range(SIZE):
            found[k, j] = np.nan
            errors[k, j] = np.nan
        found[k, 1], found[k, 2] = start[k, 0], start[k, 1]
        chi2[k], flag[k], steps[k] = np.nan, NO_SIGNAL, 0
        if not np.isfinite(start[k, 0] + start[k, 1]):
            continue
        top, left = int(np.rint(start[k, 0])) - half, int(np.rint(start[k, 1])) - half
        count = _cut(image, top, left, side, pixels)
        if count < 2 * SIZE:
            continue
        oy, ox = start[k, 0] - top, start[k, 1] - left
        _guess(pixels, side, oy, ox, sigma, now)
        damping = 0.0
        chi2_now, merit = window_equations(pixels, side, now, gain, readout, weights, work, matrix, vector)
        state = NOT_CONVERGED
        for iteration in range(_MAX_ITERATIONS):
            steps[k] = iteration + 1
            if not solve(matrix, vector, damping, circular, inverse, trial):
                damping = max(10.0 * damping, 1e-3)
                if damping > 1e8:
                    break
                continue
            length2 = trial[1] ** 2 + trial[2] ** 2
            small = max(_TOLERANCE[0] ** 2 * min(inverse[1, 1], inverse[2, 2]), _TOLERANCE[1] ** 2)
            limit(trial, now, sigma)
            for j in range(SIZE):
                trial[j] += now[j]
            new, merit = window_equations(pixels, side, trial, gain, readout, weights, work, matrix, vector)
            if merit <= chi2_now * (1.0 + 1e-5) + 1e-3:
                for j in range(SIZE):
                    now[j] = trial[j]
                chi2_now = new
                damping = 0.1 * damping if damping > 1e-3 else 0.0
                if length2 <= small and damping == 0.0:
                    state = OK
                    break
            else:
                damping = max(10.0 * damping, 1e-2)
                chi2_now, merit = window_equations(pixels, side, now, gain, readout, weights, work, matrix, vector)
                if damping > 1e8:
                    break
        if (now[1] - oy) ** 2 + (now[2] - ox) ** 2 > 4.0 * sigma * sigma:
            flag[k] = RAN_AWAY
            continue
        for j in range(SIZE):
            found[k, j] = now[j]
        found[k, 1], found[k, 2] = now[1] + top, now[2] + left
        chi2[k] = chi2_now / max(count - (5 if circular else SIZE), 1)
        solve(matrix, vector, 0.0, circular, inverse, trial)
        for j in range(SIZE):
            errors[k, j] = np.sqrt(inverse[j, j]) if inverse[j, j] > 0.0 else np.nan
        edge = min(
            found[k, 1] + 0.5, found[k, 2] + 0.5, image.shape[0] - 0.5 - found[k, 1], image.shape[1] - 0.5 - found[k, 2]
        )
        flag[k] = state
        if not now[0] > errors[k, 0]:
            flag[k] = NO_SIGNAL
        elif edge < sigma:
            flag[k] = AT_BORDER


@kernel
def _cut(image: Image, top: int, left: int, side: int, pixels: Image) -> int:
    """Copy a window; pixels that don't count become NaN. Return how many count."""
    count = 0
    for row in range(side):
        for column in range(side):
            y, x = row + top, column + left
            value = np.float32(np.nan)
            if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                value = image[y, x]
            pixels[row, column] = value
            count += value == value
    return count


@kernel
def _guess(pixels: Image, side: int, y: float, x: float, sigma: float, out: Floats) -> None:
    """Write a start: background and amplitude by linear regression on the Gaussian of the start's width."""
    n = g = gg = v = gv = 0.0
    step = 0.5 / (sigma * sigma)
    for row in range(side):
        along = np.exp(-step * (row - y) ** 2)
        for column in range(side):
            value = np.float64(pixels[row, column])
            if value == value:
                weight = along * np.exp(-step * (column - x) ** 2)
                n += 1.0
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
