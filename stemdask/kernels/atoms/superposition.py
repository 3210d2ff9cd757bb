"""The rotation that brings points nearest to others, as a quaternion, inside compiled kernels."""

from __future__ import annotations

import math

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.compiled import kernel

_STEPS = 50
_CLOSE = 1e-13


@kernel
def superpose(products: Floats, most: float, quaternion: Floats) -> float:
    """Write the rotation R that makes the sum of x · R y over pairs of points largest, and return that sum.

    B. K. P. Horn, J. Opt. Soc. Am. A 4, 629 (1987): the quaternion of R belongs to the largest eigenvalue of a
    symmetric matrix, which is the sum. It is found by Newton's method from above, as in D. L. Theobald, Acta Cryst.
    A61, 478 (2005), and its vector as the largest column of an adjugate.

    Parameters
    ----------
    products
        (3, 3), the sum of the outer products of y and x.
    most
        What the sum can't exceed: half the sum of the squares of all x and y.
    quaternion
        (4,), w, x, y, z with w >= 0; what is written.
    """
    xx, xy, xz = products[0, 0], products[0, 1], products[0, 2]
    yx, yy, yz = products[1, 0], products[1, 1], products[1, 2]
    zx, zy, zz = products[2, 0], products[2, 1], products[2, 2]
    m = np.empty((4, 4))
    m[0, 0], m[1, 1], m[2, 2], m[3, 3] = xx + yy + zz, xx - yy - zz, yy - xx - zz, zz - xx - yy
    m[0, 1] = m[1, 0] = yz - zy
    m[0, 2] = m[2, 0] = zx - xz
    m[0, 3] = m[3, 0] = xy - yx
    m[1, 2] = m[2, 1] = xy + yx
    m[1, 3] = m[3, 1] = zx + xz
    m[2, 3] = m[3, 2] = yz + zy
    squares = xx * xx + xy * xy + xz * xz + yx * yx + yy * yy + yz * yz + zx * zx + zy * zy + zz * zz
    linear = xx * (yy * zz - yz * zy) - xy * (yx * zz - yz * zx) + xz * (yx * zy - yy * zx)
    constant = 0.0
    for column in range(4):
        constant += m[0, column] * _cofactor(m, 0, column)
    # The characteristic polynomial is x^4 - 2 squares x^2 - 8 linear x + constant.
    value = most
    for _ in range(_STEPS):
        slope = 4 * value * (value * value - squares) - 8 * linear
        if slope <= 0:
            break
        step = ((value * value - 2 * squares) * value * value - 8 * linear * value + constant) / slope
        value -= step
        if abs(step) < _CLOSE * most:
            break
    for k in range(4):
        m[k, k] -= value
    _null_vector(m, quaternion)
    return value


@kernel
def _cofactor(m: Floats, row: int, column: int) -> float:
    """Return the cofactor of an entry of a 4 × 4 matrix."""
    a, b, c = (row + 1) % 4, (row + 2) % 4, (row + 3) % 4
    p, q, r = (column + 1) % 4, (column + 2) % 4, (column + 3) % 4
    minor = m[a, p] * (m[b, q] * m[c, r] - m[b, r] * m[c, q])
    minor -= m[a, q] * (m[b, p] * m[c, r] - m[b, r] * m[c, p])
    minor += m[a, r] * (m[b, p] * m[c, q] - m[b, q] * m[c, p])
    return float(-minor if (row + column) % 2 else minor)


@kernel
def _null_vector(m: Floats, vector: Floats) -> None:
    """Write the unit vector that a singular symmetric matrix makes zero, the first component not negative."""
    best = 0.0
    vector[0], vector[1], vector[2], vector[3] = 1.0, 0.0, 0.0, 0.0
    for row in range(4):
        w, x, y, z = _cofactor(m, row, 0), _cofactor(m, row, 1), _cofactor(m, row, 2), _cofactor(m, row, 3)
        squared = w * w + x * x + y * y + z * z
        if squared > best:
            best = squared
            scale = math.copysign(1 / math.sqrt(squared), w)
            vector[0], vector[1], vector[2], vector[3] = w * scale, x * scale, y * scale, z * scale
