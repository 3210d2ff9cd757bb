"""Gaussians times polynomials: draw one, and take an image's moments up to the sixth power under one.

Rows run in vector registers as in :mod:`gaussian`.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.gaussian import FAST, SHEAR, STRIDE, box, first_row

#: Powers of dy and dx from 0 to 6.
POWERS = 7
#: What the kernels need of room to work in.
ROOM = STRIDE * (2 + POWERS)
_M0, _M1, _M2, _M3, _M4, _M5, _M6 = (np.uint64(STRIDE * i) for i in range(2, 2 + POWERS))


@kernel(fastmath=FAST)
def draw(image: Image, y: float, x: float, precision: Floats, p: Floats, work: Image) -> None:
    """Add Σ p[m, n]·dyᵐ·dxⁿ times a Gaussian of height 1 to an image.

    Parameters
    ----------
    image
        (y, x) float32, changed in place.
    y, x, precision
        Of the Gaussian; px, and (3,).
    p
        (7, 7), of degree 6 at most.
    work
        (ROOM,), overwritten.
    """
    pixels = image.ravel()
    yy, yx, xx = precision[0], precision[1], precision[2]
    top, bottom, left, right = box(y, x, precision, image.shape)
    if bottom == top:
        return
    dy, dx, n = top - y, left - x, np.uint64(right - left)
    first_row(work, (right - left, STRIDE), dy, dx, (yx, xx))
    for i in range(n):
        work[i + _M0] = dx + i
    height, ratio, step = np.exp(-0.5 * yy * dy * dy), np.exp(-yy * (dy + 0.5)), np.exp(-yy)
    q = np.empty(POWERS, np.float32)
    for row in range(top, bottom):
        for power in range(POWERS):
            along_y = 0.0
            for m in range(POWERS - 1 - power, -1, -1):
                along_y = along_y * dy + p[m, power]
            q[power] = height * along_y
        first = np.uint64(row * image.shape[1] + left)
        q0, q1, q2, q3, q4, q5, q6 = q[0], q[1], q[2], q[3], q[4], q[5], q[6]
        for i in range(n):
            profile, d = work[i], work[i + _M0]
            pixels[first + i] += profile * (q0 + d * (q1 + d * (q2 + d * (q3 + d * (q4 + d * (q5 + d * q6))))))
            work[i] = profile * work[i + SHEAR]
        height *= ratio
        ratio *= step
        dy += 1.0


@kernel(fastmath=FAST)
def high_moments(image: Image, y: float, x: float, precision: Floats, out: Floats, work: Image) -> None:
    """Write Σ image·g·dyᵐ·dxⁿ under a Gaussian g of height 1, for m + n up to 6.

    Parameters
    ----------
    image
        (y, x) float32; pixels that don't count are 0.
    y, x, precision
        Of the Gaussian; px, and (3,).
    out
        (7, 7), overwritten.
    work
        (ROOM,), overwritten.
    """
    pixels = image.ravel()
    out[:] = 0.0
    yy, yx, xx = precision[0], precision[1], precision[2]
    top, bottom, left, right = box(y, x, precision, image.shape)
    if bottom == top:
        return
    dy, dx, n = top - y, left - x, np.uint64(right - left)
    first_row(work, (right - left, STRIDE), dy, dx, (yx, xx))
    for i in range(2 * STRIDE, ROOM):
        work[i] = np.float32(0.0)
    height, ratio, step = np.exp(-0.5 * yy * dy * dy), np.exp(-yy * (dy + 0.5)), np.exp(-yy)
    # First the moments in y of every pixel column of the box: nothing is summed across a vector register here.
    for row in range(top, bottom):
        first, d = np.uint64(row * image.shape[1] + left), np.float32(dy)
        s0 = np.float32(height)
        s1 = s0 * d
        s2 = s1 * d
        s3 = s2 * d
        s4 = s3 * d
        s5 = s4 * d
        s6 = s5 * d
        for i in range(n):
            profile = work[i]
            value = profile * pixels[first + i]
            work[i] = profile * work[i + SHEAR]
            work[i + _M0] += s0 * value
            work[i + _M1] += s1 * value
            work[i + _M2] += s2 * value
            work[i + _M3] += s3 * value
            work[i + _M4] += s4 * value
            work[i + _M5] += s5 * value
            work[i + _M6] += s6 * value
        height *= ratio
        ratio *= step
        dy += 1.0
    for m in range(POWERS):
        start = STRIDE * (2 + m)
        for i in range(right - left):
            moment, across = np.float64(work[start + i]), dx + i
            for power in range(POWERS - m):
                out[m, power] += moment
                moment *= across
