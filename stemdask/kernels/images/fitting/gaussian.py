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


def precision_of(sigma_major: Floats, sigma_minor: Floats, rotation: Floats) -> Floats:
    """Return the precision of ellipses.

    Parameters
    ----------
    sigma_major, sigma_minor
        (n,), px, standard deviations along the two axes.
    rotation
        (n,), rad, angle of the major axis, counter-clockwise from +x as displayed.

    Returns
    -------
    Floats
        (n, 3), px⁻²: Qyy, Qyx, Qxx.
    """
    along, across = 1.0 / np.square(sigma_major), 1.0 / np.square(sigma_minor)
    cos, sin = np.cos(rotation), np.sin(rotation)
    return np.stack(
        [along * sin**2 + across * cos**2, (across - along) * sin * cos, along * cos**2 + across * sin**2], axis=-1
    )


def axes_of(precision: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (sigma_major, sigma_minor, rotation) of precisions (n, 3); the inverse of :func:`precision_of`."""
    yy, yx, xx = precision[..., 0], precision[..., 1], precision[..., 2]
    mean, half = 0.5 * (yy + xx), np.hypot(0.5 * (yy - xx), yx)
    with np.errstate(divide="ignore", invalid="ignore"):
        major, minor = 1.0 / np.sqrt(mean - half), 1.0 / np.sqrt(mean + half)
    rotation = 0.5 * np.arctan2(2.0 * yx, yy - xx)
    return major, minor, rotation


def determinant(precision: Floats) -> Floats:
    """Return the determinant (n,) of precisions (n, 3)."""
    out: Floats = precision[:, 0] * precision[:, 2] - precision[:, 1] ** 2
    return out


def relative_determinant(precision: Floats, change: Floats) -> Floats:
    """Return by which part (n,) the determinant of precisions (n, 3) grows to first order with a change of them."""
    grown = precision[:, 2] * change[:, 0] - 2.0 * precision[:, 1] * change[:, 1] + precision[:, 0] * change[:, 2]
    out: Floats = grown / determinant(precision)
    return out


def changed_precision(precision: Floats, change: Floats) -> Floats:
    """Return precisions (n, 3) after a change (n, 3), smaller than they are, to which their inverses are linear."""
    whole, less = (q[:, [0, 1, 1, 2]].reshape(-1, 2, 2) for q in (precision, precision - change))
    out: Floats = (whole @ np.linalg.solve(less, whole)).reshape(-1, 4)[:, [0, 1, 3]]
    return out


@kernel
def span(centre: float, variance: float, reach: float, multiple: int, size: int) -> tuple[int, int]:
    """Return the first and one past the last pixel of a Gaussian's box along one axis, cut to the image."""
    half = min(int(np.ceil(reach * np.sqrt(variance) / multiple)) * multiple, _MOST)
    middle = int(np.floor(centre)) + 1
    return max(0, middle - half), min(size, middle + half)


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
        determinant = yy * xx - yx * yx
        if not (determinant > 0.0 and np.isfinite(y + x + amplitude[k])):
            continue
        top, bottom = span(y, xx / determinant, REACH, 1, image.shape[0])
        left, right = span(x, yy / determinant, REACH, 4, image.shape[1])
        if right <= left or bottom <= top:
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
        determinant = yy * xx - yx * yx
        if not (determinant > 0.0 and np.isfinite(y + x)):
            continue
        top, bottom = span(y, xx / determinant, REACH, 1, image.shape[0])
        left, right = span(x, yy / determinant, REACH, 4, image.shape[1])
        if right <= left or bottom <= top:
            continue
        dy, dx, n = top - y, left - x, np.uint64(right - left)
        first_row(work, (right - left, STRIDE), dy, dx, (yx, xx))
        for i in range(n):
            work[i + _M0] = work[i + _M1] = work[i + _M2] = work[i + _M3] = work[i + _M4] = np.float32(0.0)
        whole = top > 0 and bottom < image.shape[0]  # at its border an image isn't smooth
        every = max(1, int(_ROW_STEP * np.sqrt(xx / determinant))) if smooth and whole else 1
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
