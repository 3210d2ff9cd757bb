"""Each column fitted by itself: an elliptical Gaussian on a constant background, within a square window.

Right where columns stand alone, or as a quick first look; where tails overlap the joint fit is the honest one. The
likelihood is that of the noise model: for counts each step is one of Fisher scoring (S. Smith et al., Nat. Methods 7
(2010) 373, did so for single molecules), for constant variance one of Gauss-Newton.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from stemdask.kernels.images.fitting.column_fit import AT_BORDER, NO_SIGNAL, NOT_CONVERGED, OK, RAN_AWAY, ColumnFit
from stemdask.kernels.images.fitting.gaussian import axes_of
from stemdask.kernels.images.fitting.noise import Noise, brightness_range, estimate_noise
from stemdask.kernels.images.fitting.overlaps import tile_order

Float = NDArray[np.float64]
Image = NDArray[np.float32]

# Work vectors lie this far apart: the most pixels in a row of a window. The loop over x has unsigned indices: it is
# compiled to vector code without tests for negative ones.
_STRIDE = 128
_PART1 = np.uint64(1 * _STRIDE)
_PART2 = np.uint64(2 * _STRIDE)
_PART3 = np.uint64(3 * _STRIDE)
_PART4 = np.uint64(4 * _STRIDE)
_PART5 = np.uint64(5 * _STRIDE)
_PART6 = np.uint64(6 * _STRIDE)
_PART7 = np.uint64(7 * _STRIDE)
_PART8 = np.uint64(8 * _STRIDE)
_PART9 = np.uint64(9 * _STRIDE)
_PART10 = np.uint64(10 * _STRIDE)
_PART11 = np.uint64(11 * _STRIDE)
_PART12 = np.uint64(12 * _STRIDE)
_PART13 = np.uint64(13 * _STRIDE)
_PART14 = np.uint64(14 * _STRIDE)
_MAX_ITERATIONS = 30
#: A fit ends when its steps are this small against its errors, or px.
_TOLERANCE = (0.01, 1e-6)
_N = 7  # amplitude, y, x, Qyy, Qyx, Qxx, background


def fit_single(
    image: NDArray[np.floating],
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
    half = int(min(max(np.ceil(radius), 2), (_STRIDE - 1) // 2))
    found, errors = np.empty((n, _N)), np.empty((n, _N))
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


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_windows(
    image: Image,
    start: Float,
    sigma: float,
    half: int,
    gain: float,
    readout: float,
    circular: bool,
    found: Float,
    errors: Float,
    chi2: Float,
    flag: NDArray[np.int8],
    steps: NDArray[np.int32],
) -> None:
    side = 2 * half + 1
    pixels, weights = np.zeros((side, _STRIDE), np.float32), np.zeros((side, _STRIDE), np.float32)
    work = np.zeros(15 * _STRIDE, np.float32)
    matrix, vector, inverse = np.empty((_N, _N)), np.empty(_N), np.empty((_N, _N))
    now, trial = np.empty(_N), np.empty(_N)
    for k in range(len(start)):
        for j in range(_N):
            found[k, j] = np.nan
            errors[k, j] = np.nan
        found[k, 1], found[k, 2] = start[k, 0], start[k, 1]
        chi2[k], flag[k], steps[k] = np.nan, NO_SIGNAL, 0
        if not np.isfinite(start[k, 0] + start[k, 1]):
            continue
        top, left = int(np.rint(start[k, 0])) - half, int(np.rint(start[k, 1])) - half
        count = _cut(image, top, left, side, pixels)
        if count < 2 * _N:
            continue
        oy, ox = start[k, 0] - top, start[k, 1] - left
        _guess(pixels, side, oy, ox, sigma, now)
        damping = 0.0
        chi2_now, merit = _normal_equations(pixels, side, now, gain, readout, weights, work, matrix, vector)
        state = NOT_CONVERGED
        for iteration in range(_MAX_ITERATIONS):
            steps[k] = iteration + 1
            if not _solve(matrix, vector, damping, circular, inverse, trial):
                damping = max(10.0 * damping, 1e-3)
                if damping > 1e8:
                    break
                continue
            length2 = trial[1] ** 2 + trial[2] ** 2
            small = max(_TOLERANCE[0] ** 2 * min(inverse[1, 1], inverse[2, 2]), _TOLERANCE[1] ** 2)
            _limit(trial, now, sigma)
            for j in range(_N):
                trial[j] += now[j]
            new, merit = _normal_equations(pixels, side, trial, gain, readout, weights, work, matrix, vector)
            if merit <= chi2_now * (1.0 + 1e-5) + 1e-3:
                for j in range(_N):
                    now[j] = trial[j]
                chi2_now = new
                damping = 0.1 * damping if damping > 1e-3 else 0.0
                if length2 <= small and damping == 0.0:
                    state = OK
                    break
            else:
                damping = max(10.0 * damping, 1e-2)
                chi2_now, merit = _normal_equations(pixels, side, now, gain, readout, weights, work, matrix, vector)
                if damping > 1e8:
                    break
        if (now[1] - oy) ** 2 + (now[2] - ox) ** 2 > 4.0 * sigma * sigma:
            flag[k] = RAN_AWAY
            continue
        for j in range(_N):
            found[k, j] = now[j]
        found[k, 1], found[k, 2] = now[1] + top, now[2] + left
        chi2[k] = chi2_now / max(count - (5 if circular else _N), 1)
        _solve(matrix, vector, 0.0, circular, inverse, trial)
        for j in range(_N):
            errors[k, j] = np.sqrt(inverse[j, j]) if inverse[j, j] > 0.0 else np.nan
        edge = min(
            found[k, 1] + 0.5, found[k, 2] + 0.5, image.shape[0] - 0.5 - found[k, 1], image.shape[1] - 0.5 - found[k, 2]
        )
        flag[k] = state
        if not now[0] > errors[k, 0]:
            flag[k] = NO_SIGNAL
        elif edge < sigma:
            flag[k] = AT_BORDER


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _guess(pixels: Image, side: int, y: float, x: float, sigma: float, out: Float) -> None:
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


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _normal_equations(
    pixels: Image,
    side: int,
    at: Float,
    gain: float,
    readout: float,
    weights: Image,
    work: Image,
    matrix: Float,
    vector: Float,
) -> tuple[float, float]:
    """Write Fisher matrix and score; return chi² with the weights of these parameters and with those before them."""
    amplitude, y, x, yy, yx, xx, level = at[0], at[1], at[2], at[3], at[4], at[5], at[6]
    dy, dx = -y, -x
    value, ratio, ratio_step = np.exp(-dx * (0.5 * xx * dx + yx * dy)), np.exp(-xx * (dx + 0.5) - yx * dy), np.exp(-xx)
    shear, shear_step = np.exp(-yx * dx), np.exp(-yx)
    for i in range(side):
        work[i] = value
        work[i + _STRIDE] = shear
        value *= ratio
        ratio *= ratio_step
        shear *= shear_step
    for m in range(2, 15):
        for i in range(side):
            work[i + m * _STRIDE] = 0.0
    height, ratio, ratio_step = np.exp(-0.5 * yy * dy * dy), np.exp(-yy * (dy + 0.5)), np.exp(-yy)
    floor = np.float32(max(gain * (0.01 * abs(level) + 1e-3 * amplitude), 1e-14) if gain > 0.0 else readout)
    gain32, readout32, level32 = np.float32(gain), np.float32(readout), np.float32(level)
    old = new = 0.0
    flat_pixels, flat_weights, n = pixels.ravel(), weights.ravel(), np.uint64(side)
    for row in range(side):
        begin = np.uint64(row * _STRIDE)
        peak = np.float32(amplitude * height)
        s0, s1, s2 = np.float32(height), np.float32(height * dy), np.float32(height * dy * dy)
        h2 = height * height
        t0, t1, t2 = np.float32(h2), np.float32(h2 * dy), np.float32(h2 * dy * dy)
        t3, t4 = np.float32(h2 * dy**3), np.float32(h2 * dy**4)
        before = after = np.float32(0.0)
        for u in range(n):
            profile = work[u]
            work[u] = profile * work[u + _PART1]
            model = level32 + peak * profile
            counts = flat_pixels[begin + u] == flat_pixels[begin + u]
            residual = flat_pixels[begin + u] - model if counts else np.float32(0.0)
            weight = np.float32(1.0) / max(gain32 * model + readout32, floor) if counts else np.float32(0.0)
            before += flat_weights[begin + u] * residual * residual
            after += weight * residual * residual
            flat_weights[begin + u] = weight
            first = weight * profile
            second = first * profile
            pull = weight * residual
            work[u + _PART2] += t0 * second
            work[u + _PART3] += t1 * second
            work[u + _PART4] += t2 * second
            work[u + _PART5] += t3 * second
            work[u + _PART6] += t4 * second
            work[u + _PART7] += s0 * first
            work[u + _PART8] += s1 * first
            work[u + _PART9] += s2 * first
            work[u + _PART10] += weight
            pull_g = pull * profile
            work[u + _PART11] += s0 * pull_g
            work[u + _PART12] += s1 * pull_g
            work[u + _PART13] += s2 * pull_g
            work[u + _PART14] += pull
        old += float(before)
        new += float(after)
        height *= ratio
        ratio *= ratio_step
        dy += 1.0
    _collect(work, side, -x, amplitude, yy, yx, xx, matrix, vector)
    return new, old


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _collect(
    work: Image, side: int, dx: float, amplitude: float, yy: float, yx: float, xx: float, matrix: Float, vector: Float
) -> None:
    """Turn the sums over y of every pixel column into the Fisher matrix and the score."""
    m00 = m10 = m01 = m20 = m11 = m02 = m30 = m21 = m12 = m03 = m40 = m31 = m22 = m13 = m04 = 0.0
    u00 = u10 = u01 = u20 = u11 = u02 = g00 = g10 = g01 = g20 = g11 = g02 = w = r = 0.0
    for i in range(side):
        d = dx + i
        a0, a1, a2 = (
            np.float64(work[i + 2 * _STRIDE]),
            np.float64(work[i + 3 * _STRIDE]),
            np.float64(work[i + 4 * _STRIDE]),
        )
        a3, a4 = np.float64(work[i + 5 * _STRIDE]), np.float64(work[i + 6 * _STRIDE])
        m00 += a0
        m01 += a0 * d
        m02 += a0 * d * d
        m03 += a0 * d * d * d
        m04 += a0 * d * d * d * d
        m10 += a1
        m11 += a1 * d
        m12 += a1 * d * d
        m13 += a1 * d * d * d
        m20 += a2
        m21 += a2 * d
        m22 += a2 * d * d
        m30 += a3
        m31 += a3 * d
        m40 += a4
        b0, b1, c0, c1 = work[i + 7 * _STRIDE], work[i + 8 * _STRIDE], work[i + 11 * _STRIDE], work[i + 12 * _STRIDE]
        u00 += b0
        u01 += b0 * d
        u02 += b0 * d * d
        u10 += b1
        u11 += b1 * d
        u20 += work[i + 9 * _STRIDE]
        w += work[i + 10 * _STRIDE]
        g00 += c0
        g01 += c0 * d
        g02 += c0 * d * d
        g10 += c1
        g11 += c1 * d
        g20 += work[i + 13 * _STRIDE]
        r += work[i + 14 * _STRIDE]
    a = amplitude
    vector[0], vector[1], vector[2] = g00, a * (yy * g10 + yx * g01), a * (yx * g10 + xx * g01)
    vector[3], vector[4], vector[5], vector[6] = -0.5 * a * g20, -a * g11, -0.5 * a * g02, r
    matrix[0, 0], matrix[0, 1], matrix[0, 2] = m00, a * (yy * m10 + yx * m01), a * (yx * m10 + xx * m01)
    matrix[0, 3], matrix[0, 4], matrix[0, 5], matrix[0, 6] = -0.5 * a * m20, -a * m11, -0.5 * a * m02, u00
    aa = a * a
    matrix[1, 1] = aa * (yy * yy * m20 + 2.0 * yy * yx * m11 + yx * yx * m02)
    matrix[1, 2] = aa * (yy * yx * m20 + (yy * xx + yx * yx) * m11 + yx * xx * m02)
    matrix[2, 2] = aa * (yx * yx * m20 + 2.0 * yx * xx * m11 + xx * xx * m02)
    matrix[1, 3], matrix[2, 3] = -0.5 * aa * (yy * m30 + yx * m21), -0.5 * aa * (yx * m30 + xx * m21)
    matrix[1, 4], matrix[2, 4] = -aa * (yy * m21 + yx * m12), -aa * (yx * m21 + xx * m12)
    matrix[1, 5], matrix[2, 5] = -0.5 * aa * (yy * m12 + yx * m03), -0.5 * aa * (yx * m12 + xx * m03)
    matrix[3, 3], matrix[3, 4], matrix[3, 5] = 0.25 * aa * m40, 0.5 * aa * m31, 0.25 * aa * m22
    matrix[4, 4], matrix[4, 5], matrix[5, 5] = aa * m22, 0.5 * aa * m13, 0.25 * aa * m04
    matrix[1, 6], matrix[2, 6] = a * (yy * u10 + yx * u01), a * (yx * u10 + xx * u01)
    matrix[3, 6], matrix[4, 6], matrix[5, 6], matrix[6, 6] = -0.5 * a * u20, -a * u11, -0.5 * a * u02, w
    for i in range(_N):
        for j in range(i):
            matrix[i, j] = matrix[j, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(matrix: Float, vector: Float, damping: float, circular: bool, inverse: Float, step: Float) -> bool:
    """Write the inverse of the damped matrix and the step; a round column's Qyy and Qxx are one and its Qyx is 0."""
    n = _N
    low, right = np.empty((_N, _N)), np.empty(_N)
    for i in range(n):
        right[i] = vector[i]
        for j in range(n):
            low[i, j] = matrix[i, j]
    if circular:
        right[3] += right[5]
        for j in range(n):
            low[3, j] += low[5, j]
        for j in range(n):
            low[j, 3] += low[j, 5]
        for fixed in (4, 5):
            right[fixed] = 0.0
            for j in range(n):
                low[fixed, j] = 0.0
                low[j, fixed] = 0.0
            low[fixed, fixed] = 1.0
    for i in range(n):
        low[i, i] *= 1.0 + damping
    for i in range(n):
        for j in range(i + 1):
            total = low[i, j]
            for m in range(j):
                total -= low[i, m] * low[j, m]
            if i == j:
                if not total > 1e-13 * low[i, i]:
                    return False
                low[i, i] = np.sqrt(total)
            else:
                low[i, j] = total / low[j, j]
    for column in range(n):
        for i in range(n):
            total = 1.0 if i == column else 0.0
            for m in range(i):
                total -= low[i, m] * inverse[m, column]
            inverse[i, column] = total / low[i, i]
        for i in range(n - 1, -1, -1):
            total = inverse[i, column]
            for m in range(i + 1, n):
                total -= low[m, i] * inverse[m, column]
            inverse[i, column] = total / low[i, i]
    for i in range(n):
        step[i] = 0.0
        for j in range(n):
            step[i] += inverse[i, j] * right[j]
    if circular:
        step[4], step[5] = 0.0, step[3]
        inverse[4, 4], inverse[5, 5] = 0.0, inverse[3, 3]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _limit(step: Float, at: Float, sigma: float) -> None:
    """Hold a step to half a width in position, a factor of five in amplitude and a third in width."""
    length = np.hypot(step[1], step[2])
    if length > 0.5 * sigma:
        step[1] *= 0.5 * sigma / length
        step[2] *= 0.5 * sigma / length
    step[0] = max(step[0], -0.8 * at[0])
    half = np.hypot(0.5 * (at[3] - at[5]), at[4])
    smaller = 0.5 * (at[3] + at[5]) - half
    size = np.abs(0.5 * (step[3] + step[5])) + np.hypot(0.5 * (step[3] - step[5]), step[4])
    if size > 0.33 * smaller:
        for j in range(3, 6):
            step[j] *= 0.33 * smaller / size
