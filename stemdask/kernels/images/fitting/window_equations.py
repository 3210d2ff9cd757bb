"""Score and Fisher information of one column on a constant background, from the pixels of its window.

The parameters are, in this order: amplitude, y, x, the precisions Qyy, Qyx, Qxx, and the background.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.gaussian import first_row

#: Number of parameters.
SIZE = 7
#: Pixels in a row of a window, at most; rows of windows and work vectors lie this far apart.
ROW = 128

# The loop over x has unsigned indices: it is compiled to vector code without tests for negative ones.
_PART1, _PART2, _PART3, _PART4, _PART5, _PART6, _PART7 = (np.uint64(ROW * i) for i in range(1, 8))
_PART8, _PART9, _PART10, _PART11, _PART12, _PART13, _PART14 = (np.uint64(ROW * i) for i in range(8, 15))


_FAST = {"contract", "reassoc"}


class Window(NamedTuple):
    """The pixels around a column, and room to work with them.

    Attributes
    ----------
    pixels
        (height, ROW), an even number of rows, NaN where a pixel doesn't count; the first `height` of a row are used.
    weights
        (height, ROW), 1 / variance.
    work
        (15 · ROW,).
    """

    pixels: Image
    weights: Image
    work: Image


@kernel(fastmath=_FAST)
def window_equations(
    window: Window, at: Floats, gain: float, readout: float, matrix: Floats, vector: Floats
) -> tuple[float, float]:
    """Write Fisher matrix and score of a window.

    Parameters
    ----------
    window
        Its weights, those of the parameters before, are overwritten.
    at
        (SIZE,), the parameters; lengths in px, y and x from the first pixel.
    gain, readout
        Variance of a pixel = gain · model + readout.
    matrix, vector
        (SIZE, SIZE) and (SIZE,); written.

    Returns
    -------
    tuple[float, float]
        Chi² with the new weights and with those before.
    """
    pixels, weights, work = window
    side = len(pixels)
    amplitude, y, x, yy, yx, xx, level = at[0], at[1], at[2], at[3], at[4], at[5], at[6]
    dy, dx = -y, -x
    width = (side + 7) // 8 * 8  # whole vector registers; what lies beyond the window is NaN
    first_row(work, (width, ROW), dy, dx, (yx, xx))
    for m in range(2, 15):
        for i in range(width):
            work[i + m * ROW] = 0.0
    height, ratio, ratio_step = np.exp(-0.5 * yy * dy * dy), np.exp(-yy * (dy + 0.5)), np.exp(-yy)
    floor = np.float32(max(gain * (0.01 * abs(level) + 1e-3 * amplitude), 1e-14) if gain > 0.0 else readout)
    gain32, readout32, level32 = np.float32(gain), np.float32(readout), np.float32(level)
    old = new = 0.0
    flat_pixels, flat_weights, n = pixels.ravel(), weights.ravel(), np.uint64(width)
    for row in range(0, side, 2):  # two rows at once: the sums of the pixel columns are read and written half as often
        begin = np.uint64(row * ROW)
        beyond = begin + np.uint64(ROW)
        h, k, e = height, height * ratio, dy + 1.0
        h2, k2 = h * h, k * k
        peak, peak_k = np.float32(amplitude * h), np.float32(amplitude * k)
        s0, s1, s2 = np.float32(h), np.float32(h * dy), np.float32(h * dy * dy)
        r0, r1, r2 = np.float32(k), np.float32(k * e), np.float32(k * e * e)
        t0, t1, t2 = np.float32(h2), np.float32(h2 * dy), np.float32(h2 * dy * dy)
        t3, t4 = np.float32(h2 * dy**3), np.float32(h2 * dy**4)
        q0, q1, q2 = np.float32(k2), np.float32(k2 * e), np.float32(k2 * e * e)
        q3, q4 = np.float32(k2 * e**3), np.float32(k2 * e**4)
        before = after = np.float32(0.0)
        for u in range(n):
            profile, shear = work[u], work[u + _PART1]
            profile_k = profile * shear
            work[u] = profile_k * shear
            model, model_k = level32 + peak * profile, level32 + peak_k * profile_k
            pixel, pixel_k = flat_pixels[begin + u], flat_pixels[beyond + u]
            counts, counts_k = pixel == pixel, pixel_k == pixel_k
            residual = pixel - model if counts else np.float32(0.0)
            residual_k = pixel_k - model_k if counts_k else np.float32(0.0)
            weight = np.float32(1.0) / max(gain32 * model + readout32, floor) if counts else np.float32(0.0)
            weight_k = np.float32(1.0) / max(gain32 * model_k + readout32, floor) if counts_k else np.float32(0.0)
            before += flat_weights[begin + u] * residual * residual + flat_weights[beyond + u] * residual_k * residual_k
            flat_weights[begin + u], flat_weights[beyond + u] = weight, weight_k
            pull, pull_k = weight * residual, weight_k * residual_k
            after += pull * residual + pull_k * residual_k
            first, first_k = weight * profile, weight_k * profile_k
            second, second_k = first * profile, first_k * profile_k
            work[u + _PART2] += t0 * second + q0 * second_k
            work[u + _PART3] += t1 * second + q1 * second_k
            work[u + _PART4] += t2 * second + q2 * second_k
            work[u + _PART5] += t3 * second + q3 * second_k
            work[u + _PART6] += t4 * second + q4 * second_k
            work[u + _PART7] += s0 * first + r0 * first_k
            work[u + _PART8] += s1 * first + r1 * first_k
            work[u + _PART9] += s2 * first + r2 * first_k
            work[u + _PART10] += weight + weight_k
            pull_g, pull_gk = pull * profile, pull_k * profile_k
            work[u + _PART11] += s0 * pull_g + r0 * pull_gk
            work[u + _PART12] += s1 * pull_g + r1 * pull_gk
            work[u + _PART13] += s2 * pull_g + r2 * pull_gk
            work[u + _PART14] += pull + pull_k
        old += float(before)
        new += float(after)
        height *= ratio * ratio * ratio_step
        ratio *= ratio_step * ratio_step
        dy += 2.0
    _collect(work, side, at, matrix, vector)
    return new, old


@kernel(fastmath=_FAST)
def _collect(work: Image, side: int, at: Floats, matrix: Floats, vector: Floats) -> None:
    """Turn the sums over y of every pixel column into the Fisher matrix and the score."""
    dx, yy, yx, xx = -at[2], at[3], at[4], at[5]
    m00 = m10 = m01 = m20 = m11 = m02 = m30 = m21 = m12 = m03 = m40 = m31 = m22 = m13 = m04 = 0.0
    u00 = u10 = u01 = u20 = u11 = u02 = g00 = g10 = g01 = g20 = g11 = g02 = w = r = 0.0
    for i in range(side):
        d = dx + i
        a0, a1, a2 = (
            np.float64(work[i + 2 * ROW]),
            np.float64(work[i + 3 * ROW]),
            np.float64(work[i + 4 * ROW]),
        )
        a3, a4 = np.float64(work[i + 5 * ROW]), np.float64(work[i + 6 * ROW])
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
        b0, b1, c0, c1 = work[i + 7 * ROW], work[i + 8 * ROW], work[i + 11 * ROW], work[i + 12 * ROW]
        u00 += b0
        u01 += b0 * d
        u02 += b0 * d * d
        u10 += b1
        u11 += b1 * d
        u20 += work[i + 9 * ROW]
        w += work[i + 10 * ROW]
        g00 += c0
        g01 += c0 * d
        g02 += c0 * d * d
        g10 += c1
        g11 += c1 * d
        g20 += work[i + 13 * ROW]
        r += work[i + 14 * ROW]
    a = at[0]
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
    for i in range(SIZE):
        for j in range(i):
            matrix[i, j] = matrix[j, i]
