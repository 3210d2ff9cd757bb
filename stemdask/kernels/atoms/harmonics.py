"""Spherical harmonics of bonds, summed over the neighbours of each atom.

Those of l = 4 and 6 need neither an angle nor a root: of even l they are polynomials in z²/r², (x + iy)²/r² and
z (x + iy)/r². Any other l comes from the recurrence of the normalised Legendre functions.
"""

from __future__ import annotations

from functools import cache
from math import factorial, pi, sqrt
from typing import NamedTuple, TypeAlias

import numpy as np

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.compiled import kernel

#: Atoms treated side by side; wide enough for the vector units, small enough for the first cache.
LANES = 64
#: The same, unsigned: numba needn't ask whether an index counts from the end, and the loops become vector code.
WIDE = np.uint64(LANES)
#: The l of the polynomials, in the order in which their real vectors follow each other.
POLYNOMIAL = (6, 4)
#: Constant factors of the derivatives of the Legendre polynomials of these l, which the polynomials leave out.
_FACTORS = {6: (1 / 16, 21 / 8, 105 / 8, 315 / 2, 945 / 2, 10395, 10395), 4: (1 / 8, 5 / 2, 15 / 2, 105, 105)}
#: Rows of the scratch: 22 sums, that of the weights, and of each of three neighbours the vector and the weight.
_TOTAL, _A, _B, _C, _ROWS = 22, 23, 27, 31, 35
SCRATCH = _ROWS * LANES
_ONE = np.uint64(1)
#: Of one neighbour what is added to 23 rows.
_Row: TypeAlias = tuple[float, ...]


@cache
def polynomial_norms() -> Floats:
    """Return the norm of each row of the polynomials (22,), that of Y_lm times √2 for m > 0."""
    norms: list[float] = []
    for degree in POLYNOMIAL:
        for m, factor in enumerate(_FACTORS[degree]):
            norm = (2 * degree + 1) / (4 * pi) * factorial(degree - m) / factorial(degree + m)
            norms += [factor * sqrt(norm)] if m == 0 else 2 * [(-1) ** m * factor * sqrt(2 * norm)]
    return np.array(norms)


@kernel(inline="always")
def _polynomials(scratch: Floats, at: int) -> _Row:
    """Return the polynomials of l = 6, then 4, of the neighbour written there, times its weight, and the weight."""
    x, y, z, w = scratch[at], scratch[at + LANES], scratch[at + 2 * LANES], scratch[at + 3 * LANES]
    xx, yy, zz = x * x, y * y, z * z
    inverse = 1.0 / (xx + yy + zz)
    u = zz * inverse
    c, s = (xx - yy) * inverse, 2 * x * y * inverse  # (x + iy)² of the unit vector
    # Real and imaginary parts of w (x + iy)^m, times z for odd m.
    a1, b1 = w * z * inverse * x, w * z * inverse * y
    a2, b2 = w * c, w * s
    a3, b3 = a1 * c - b1 * s, a1 * s + b1 * c
    a4, b4 = a2 * c - b2 * s, a2 * s + b2 * c
    a5, b5 = a3 * c - b3 * s, a3 * s + b3 * c
    a6, b6 = a4 * c - b4 * s, a4 * s + b4 * c
    of0, of1, of2 = ((231 * u - 315) * u + 105) * u - 5, (33 * u - 30) * u + 5, (33 * u - 18) * u + 1
    of3, of4 = 11 * u - 3, 11 * u - 1
    six = w * of0, of1 * a1, of1 * b1, of2 * a2, of2 * b2, of3 * a3, of3 * b3, of4 * a4, of4 * b4, a5, b5, a6, b6
    of0, of1, of2 = (35 * u - 30) * u + 3, 7 * u - 3, 7 * u - 1
    return (*six, w * of0, of1 * a1, of1 * b1, of2 * a2, of2 * b2, a3, b3, a4, b4, w)


@kernel(inline="always")
def _put(
    neighbour: tuple[np.uint64, np.uint64],
    point: Integers32,
    points: Floats,
    weight: Floats,
    origin: tuple[float, float, float],
    scratch: Floats,
    at: np.uint64,
) -> None:
    """Write the vector to a neighbour and its weight, which is zero beyond the end of the list of its atom."""
    (e, end), (x, y, z) = neighbour, origin
    if e < end:
        p = np.uint64(point[e])
        scratch[at] = points[p, 0] - x
        scratch[at + WIDE] = points[p, 1] - y
        scratch[at + 2 * WIDE] = points[p, 2] - z
        scratch[at + 3 * WIDE] = weight[e] if len(weight) else 1.0
    else:
        scratch[at + 3 * WIDE] = 0.0


@kernel(fastmath={"contract"})
def block_from_polynomials(
    first: Integers,
    point: Integers32,
    points: Floats,
    weight: Floats,
    begin: int,
    norms: Floats,
    scratch: Floats,
    block: Floats,
) -> None:
    """Average real harmonics of l = 6, then 4, over the neighbours of the atoms from `begin` on, one atom a lane.

    `scratch` is of length SCRATCH. Row r of the result is ``block[r * LANES:][:LANES]``, as many rows as it has room
    for; NaN in the lane of an atom without neighbours.
    """
    n = min(LANES, len(first) - 1 - begin)
    longest = 0
    for lane in range(n):
        longest = max(longest, first[begin + lane + 1] - first[begin + lane])
    scratch[: _A * LANES] = 0.0
    # Lanes that have no more neighbours hold any vector and count it nothing.
    scratch[_A * LANES :] = 1.0
    for k in range(0, longest, 3):
        for lane in range(np.uint64(n)):
            i = np.uint64(begin) + lane
            e, end = np.uint64(first[i] + k), np.uint64(first[i + _ONE])
            origin = points[i, 0], points[i, 1], points[i, 2]
            _put((e, end), point, points, weight, origin, scratch, lane + _A * WIDE)
            _put((e + _ONE, end), point, points, weight, origin, scratch, lane + _B * WIDE)
            _put((e + _ONE + _ONE, end), point, points, weight, origin, scratch, lane + _C * WIDE)
        for lane in range(LANES):
            a = _polynomials(scratch, _A * LANES + lane)
            b = _polynomials(scratch, _B * LANES + lane)
            c = _polynomials(scratch, _C * LANES + lane)
            scratch[lane] += a[0] + b[0] + c[0]
            scratch[LANES + lane] += a[1] + b[1] + c[1]
            scratch[2 * LANES + lane] += a[2] + b[2] + c[2]
            scratch[3 * LANES + lane] += a[3] + b[3] + c[3]
            scratch[4 * LANES + lane] += a[4] + b[4] + c[4]
            scratch[5 * LANES + lane] += a[5] + b[5] + c[5]
            scratch[6 * LANES + lane] += a[6] + b[6] + c[6]
            scratch[7 * LANES + lane] += a[7] + b[7] + c[7]
            scratch[8 * LANES + lane] += a[8] + b[8] + c[8]
            scratch[9 * LANES + lane] += a[9] + b[9] + c[9]
            scratch[10 * LANES + lane] += a[10] + b[10] + c[10]
            scratch[11 * LANES + lane] += a[11] + b[11] + c[11]
            scratch[12 * LANES + lane] += a[12] + b[12] + c[12]
            scratch[13 * LANES + lane] += a[13] + b[13] + c[13]
            scratch[14 * LANES + lane] += a[14] + b[14] + c[14]
            scratch[15 * LANES + lane] += a[15] + b[15] + c[15]
            scratch[16 * LANES + lane] += a[16] + b[16] + c[16]
            scratch[17 * LANES + lane] += a[17] + b[17] + c[17]
            scratch[18 * LANES + lane] += a[18] + b[18] + c[18]
            scratch[19 * LANES + lane] += a[19] + b[19] + c[19]
            scratch[20 * LANES + lane] += a[20] + b[20] + c[20]
            scratch[21 * LANES + lane] += a[21] + b[21] + c[21]
            scratch[_TOTAL * LANES + lane] += a[22] + b[22] + c[22]
    for lane in range(LANES):
        scratch[_TOTAL * LANES + lane] = 1.0 / scratch[_TOTAL * LANES + lane]
    for row in range(len(block) // LANES):
        for lane in range(LANES):
            block[row * LANES + lane] = norms[row] * scratch[row * LANES + lane] * scratch[_TOTAL * LANES + lane]


class Recurrence(NamedTuple):
    """Legendre functions by recurrence, normalised as in Y_lm and divided by sin^m of the polar angle.

    P_lm = up[l, m] z P_l-1,m - down[l, m] P_l-2,m, from P_mm = start[m].
    """

    start: Floats
    up: Floats
    down: Floats
    offset: Integers
    """(l_max + 1,), where the real vector of each l begins in a row; -1 where it isn't wanted."""


@cache
def recurrence(degrees: tuple[int, ...]) -> Recurrence:
    """Return the coefficients of the recurrence up to the largest of some degrees."""
    size = max(degrees) + 1
    start, up, down = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
    offset = np.full(size, -1)
    for m in range(size):
        start[m] = (-1) ** m * sqrt((2 * m + 1) / (4 * pi) * np.prod([(2 * k - 1) / (2 * k) for k in range(1, m + 1)]))
        for n in range(m + 1, size):
            up[n, m] = sqrt((4 * n * n - 1) / (n * n - m * m))
            down[n, m] = up[n, m] * sqrt(((n - 1) ** 2 - m * m) / (4 * (n - 1) ** 2 - 1)) if n > m + 1 else 0.0
    offset[list(degrees)] = np.cumsum([0, *(2 * degree + 1 for degree in degrees[:-1])])
    return Recurrence(start, up, down, offset)


@kernel
def block_from_recurrence(
    first: Integers,
    point: Integers32,
    points: Floats,
    weight: Floats,
    begin: int,
    coefficients: Recurrence,
    block: Floats,
) -> None:
    """Do the same as `block_from_polynomials` for any l."""
    start, up, down, offset = coefficients
    block[:] = 0.0
    for lane in range(min(LANES, len(first) - 1 - begin)):
        total = 0.0
        for e in range(first[begin + lane], first[begin + lane + 1]):
            i, p = begin + lane, point[e]
            x, y, z = points[p, 0] - points[i, 0], points[p, 1] - points[i, 1], points[p, 2] - points[i, 2]
            inverse = 1.0 / np.sqrt(x * x + y * y + z * z)
            x, y, z = x * inverse, y * inverse, z * inverse
            w = weight[e] if len(weight) else 1.0
            total += w
            real, imaginary = w, 0.0  # w (x + iy)^m, with √2 for m > 0
            for m in range(len(start)):
                before, legendre = 0.0, start[m]
                for degree in range(m, len(start)):
                    if degree > m:
                        before, legendre = legendre, up[degree, m] * z * legendre - down[degree, m] * before
                    row = offset[degree]
                    if row >= 0:
                        if m == 0:
                            block[row * LANES + lane] += real * legendre
                        else:
                            block[(row + 2 * m - 1) * LANES + lane] += real * legendre
                            block[(row + 2 * m) * LANES + lane] += imaginary * legendre
                real, imaginary = real * x - imaginary * y, real * y + imaginary * x
                if m == 0:
                    real, imaginary = real * np.sqrt(2.0), imaginary * np.sqrt(2.0)
        for row in range(len(block) // LANES):
            block[row * LANES + lane] /= total
