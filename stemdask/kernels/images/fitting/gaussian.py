"""Elliptical Gaussians on a pixel grid: draw a sum of them, and take an image's moments under each.

A column is A·exp(-½·(Qyy·dy² + 2·Qyx·dy·dx + Qxx·dx²)), sampled at the pixel centres; Q is its precision (the inverse
of the covariance). Everything that a fit needs of the pixels is a moment Σ image·g·dyᵐ·dxⁿ under some Gaussian g: the
score under the column itself, its Fisher information under its square, the coupling of two columns under their
product; squares and products of Gaussians are Gaussians again. So two loops over pixels serve every fit. Along a row a
Gaussian is a recurrence of two multiplications: a column costs some exponentials, and the loops over x run in vector
registers.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.compiled import kernel

#: A Gaussian ends this many of its standard deviations from its centre, where it has fallen to 4e-5.
REACH = 4.5
#: Rows of a smooth image may lie this many standard deviations of a Gaussian apart: its moments stay right to 1e-4.
_ROW_STEP = 1.18

# The loops over x index flat arrays by unsigned numbers: only then are they compiled to vector code without tests for
# negative indices and without the reference counts of a slice for each row, which doubles their speed. The vectors of
# the work array lie 256 apart: at most so many pixels of a row.
STRIDE = 256
_MOST = STRIDE // 2
SHEAR, _M0, _M1, _M2, _M3, _M4 = (np.uint64(STRIDE * i) for i in range(1, 7))
FAST = {"contract", "reassoc"}


@kernel
def box(y: float, x: float, precision: Floats, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the first and one past the last row, and the same of columns, that a Gaussian reaches in an image.

    There are none where it's no Gaussian. Columns come in fours, for vector registers.
    """
    determinant = precision[0] * precision[2] - precision[1] * precision[1]
    if not (determinant > 0.0 and np.isfinite(y + x)):
        return 0, 0, 0, 0
    tall = min(int(np.ceil(REACH * np.sqrt(precision[2] / determinant))), _MOST)
    wide = min(int(np.ceil(REACH * np.sqrt(precision[0] / determinant) / 4)) * 4, _MOST)
    middle_y, middle_x = int(np.floor(y)) + 1, int(np.floor(x)) + 1
    top, left = max(0, middle_y - tall), max(0, middle_x - wide)
    bottom, right = min(shape[0], middle_y + tall), min(shape[1], middle_x + wide)
    return (top, bottom, left, right) if bottom > top and right > left else (0, 0, 0, 0)


@kernel
def first_row(work: Image, sizes: tuple[int, int], dy: float, dx: float, precision: tuple[float, float]) -> None:
    """Write a Gaussian along its first row, but for the factor of y alone, and what shears it from row to row.

    Parameters
    ----------
    work
        Written: the row, and its shear a stride further.
    sizes
        Pixels of the row, and the stride.
    dy, dx
        The row's first pixel from the centre.
    precision
        Qyx and Qxx.
    """
    (n, stride), (yx, xx) = sizes, precision
    value, ratio, step = np.exp(-dx * (0.5 * xx * dx + yx * dy)), np.exp(-xx * (dx + 0.5) - yx * dy), np.exp(-xx)
    shear, shear_step = np.exp(-yx * dx), np.exp(-yx)
    for i in range(n):
        work[i] = value
        work[i + stride] = shear
        value *= ratio
        ratio *= step
        shear *= shear_step


@kernel(fastmath=FAST)
def render(image: Image, positions: Floats, amplitude: Floats, precision: Floats) -> None:
    """Add Gaussians to an image.

    Parameters
    ----------
    image
        (y, x) float32, changed in place.
    positions
        (n, 2), px, (y, x); may lie outside.
    amplitude
        (n,), height of the peak.
    precision
        (n, 3), px⁻², positive definite.
    """
    pixels, work = image.ravel(), np.empty(2 * STRIDE, np.float32)
    for k in range(len(amplitude)):
        y, x = positions[k, 0], positions[k, 1]
        yy, yx, xx = precision[k, 0], precision[k, 1], precision[k, 2]
        top, bottom, left, right = box(y, x, precision[k], image.shape)
        if bottom == top or not np.isfinite(amplitude[k]):
            continue
        dy, dx, n = top - y, left - x, np.uint64(right - left)
        first_row(work, (right - left, STRIDE), dy, dx, (yx, xx))
        height, ratio, step = amplitude[k] * np.exp(-0.5 * yy * dy * dy), np.exp(-yy * (dy + 0.5)), np.exp(-yy)
        for row in range(top, bottom):
            first, scale = np.uint64(row * image.shape[1] + left), np.float32(height)
            for i in range(n):
                profile = work[i]
                pixels[first + i] += scale * profile
                work[i] = profile * work[i + SHEAR]
            height *= ratio
            ratio *= step


@kernel(fastmath=FAST)
def moments(image: Image, positions: Floats, precision: Floats, order: int, smooth: bool, out: Floats) -> None:
    """Take the moments of an image under Gaussians of height 1.

    Parameters
    ----------
    image
        (y, x) float32; pixels that don't count are 0.
    positions
        (n, 2), px, (y, x), centres of the Gaussians.
    precision
        (n, 3), px⁻².
    order
        2 or 4: the highest power.
    smooth
        Whether the image varies as slowly as the Gaussians do; then not every row of it is needed.
    out
        (n, 6) or (n, 15): Σ image·g·dyᵐ·dxⁿ with (m, n) in the order (0,0) (1,0) (0,1) (2,0) (1,1) (0,2), then
        (3,0) (2,1) (1,2) (0,3) (4,0) (3,1) (2,2) (1,3) (0,4); overwritten.
    """
    pixels, work = image.ravel(), np.empty(7 * STRIDE, np.float32)
    for k in range(len(positions)):
        out[k, :] = 0.0
        y, x = positions[k, 0], positions[k, 1]
        yy, yx, xx = precision[k, 0], precision[k, 1], precision[k, 2]
        top, bottom, left, right = box(y, x, precision[k], image.shape)
        if bottom == top:
            continue
        dy, dx, n = top - y, left - x, np.uint64(right - left)
        first_row(work, (right - left, STRIDE), dy, dx, (yx, xx))
        for i in range(n):
            work[i + _M0] = work[i + _M1] = work[i + _M2] = work[i + _M3] = work[i + _M4] = np.float32(0.0)
        whole = top > 0 and bottom < image.shape[0]  # at its border an image isn't smooth
        every = max(1, int(_ROW_STEP * np.sqrt(xx / (yy * xx - yx * yx)))) if smooth and whole else 1
        height = every * np.exp(-0.5 * yy * dy * dy)
        ratio, step = np.exp(-yy * every * (dy + 0.5 * every)), np.exp(-yy * every * every)
        if every > 1:  # from row to row the Gaussian is sheared that much further
            for i in range(n):
                work[i + SHEAR] = work[i + SHEAR] ** every
        # First the moments in y of every pixel column of the box: nothing is summed across a vector register here.
        for row in range(top, bottom, every):
            first, d = np.uint64(row * image.shape[1] + left), np.float32(dy)
            s0 = np.float32(height)
            s1 = s0 * d
            s2 = s1 * d
            if order == 2:
                for i in range(n):
                    profile = work[i]
                    value = profile * pixels[first + i]
                    work[i] = profile * work[i + SHEAR]
                    work[i + _M0] += s0 * value
                    work[i + _M1] += s1 * value
                    work[i + _M2] += s2 * value
            else:
                s3 = s2 * d
                s4 = s3 * d
                for i in range(n):
                    profile = work[i]
                    value = profile * pixels[first + i]
                    work[i] = profile * work[i + SHEAR]
                    work[i + _M0] += s0 * value
                    work[i + _M1] += s1 * value
                    work[i + _M2] += s2 * value
                    work[i + _M3] += s3 * value
                    work[i + _M4] += s4 * value
            height *= ratio
            ratio *= step
            dy += every
        _sum_along_x(work, right - left, dx, order, out[k])


@kernel(fastmath=FAST)
def _sum_along_x(work: Image, n: int, dx: float, order: int, out: Floats) -> None:
    m00 = m10 = m01 = m20 = m11 = m02 = 0.0
    for i in range(n):
        d = dx + i
        y0, y1 = np.float64(work[i + 2 * STRIDE]), np.float64(work[i + 3 * STRIDE])
        m00 += y0
        m01 += y0 * d
        m02 += y0 * d * d
        m10 += y1
        m11 += y1 * d
        m20 += np.float64(work[i + 4 * STRIDE])
    out[0], out[1], out[2], out[3], out[4], out[5] = m00, m10, m01, m20, m11, m02
    if order == 2:
        return
    m30 = m21 = m12 = m03 = m40 = m31 = m22 = m13 = m04 = 0.0
    for i in range(n):
        d = dx + i
        y0, y1 = np.float64(work[i + 2 * STRIDE]) * d * d * d, np.float64(work[i + 3 * STRIDE]) * d * d
        y2, y3 = np.float64(work[i + 4 * STRIDE]) * d, np.float64(work[i + 5 * STRIDE])
        m03 += y0
        m04 += y0 * d
        m12 += y1
        m13 += y1 * d
        m21 += y2
        m22 += y2 * d
        m30 += y3
        m31 += y3 * d
        m40 += np.float64(work[i + 6 * STRIDE])
    out[6], out[7], out[8], out[9] = m30, m21, m12, m03
    out[10], out[11], out[12], out[13], out[14] = m40, m31, m22, m13, m04
