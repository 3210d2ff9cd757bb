"""Spherical harmonics of bonds, summed over the neighbours of each atom.

Those of l = 4 and 6 need neither an angle nor a root: of even l they are polynomials in z²/r², (x + iy)²/r² and
z (x + iy)/r². Any other l comes from the recurrence of the normalised Legendre functions.
"""

from __future__ import annotations

from functools import cache
from math import factorial, pi, sqrt
from typing import NamedTuple

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
#: Rows of the scratch after the 22 sums: the sum of the weights, and of a neighbour per lane the vector and weight.
_TOTAL, _VECTOR = 22 * LANES, 23 * LANES
SCRATCH = 27 * LANES


@cache
def polynomial_norms() -> Floats:
    """Return the norm of each row of the polynomials (22,), that of Y_lm times √2 for m > 0."""
    norms: list[float] = []
    for degree in POLYNOMIAL:
        for m, factor in enumerate(_FACTORS[degree]):
            norm = (2 * degree + 1) / (4 * pi) * factorial(degree - m) / factorial(degree + m)
            norms += [factor * sqrt(norm)] if m == 0 else 2 * [(-1) ** m * factor * sqrt(2 * norm)]
    return np.array(norms)


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
    scratch[:_VECTOR] = 0.0
    # Lanes that have no more neighbours hold any vector and count it nothing.
    scratch[_VECTOR:] = 1.0
    for k in range(longest):
        for lane in range(n):
            e, x_ = np.uint64(first[begin + lane] + k), np.uint64(_VECTOR + lane)
            if e < np.uint64(first[begin + lane + 1]):
                i, p = np.uint64(begin + lane), np.uint64(point[e])
                scratch[x_] = points[p, 0] - points[i, 0]
                scratch[x_ + WIDE] = points[p, 1] - points[i, 1]
                scratch[x_ + 2 * WIDE] = points[p, 2] - points[i, 2]
                scratch[x_ + 3 * WIDE] = weight[e] if len(weight) else 1.0
            else:
                scratch[x_ + 3 * WIDE] = 0.0
        for lane in range(LANES):
            x, y, z = scratch[23 * LANES + lane], scratch[24 * LANES + lane], scratch[25 * LANES + lane]
            w = scratch[26 * LANES + lane]
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
            of1, of2 = (33 * u - 30) * u + 5, (33 * u - 18) * u + 1
            of3, of4 = 11 * u - 3, 11 * u - 1
            scratch[lane] += w * (((231 * u - 315) * u + 105) * u - 5)
            scratch[LANES + lane] += of1 * a1
            scratch[2 * LANES + lane] += of1 * b1
            scratch[3 * LANES + lane] += of2 * a2
            scratch[4 * LANES + lane] += of2 * b2
            scratch[5 * LANES + lane] += of3 * a3
            scratch[6 * LANES + lane] += of3 * b3
            scratch[7 * LANES + lane] += of4 * a4
            scratch[8 * LANES + lane] += of4 * b4
            scratch[9 * LANES + lane] += a5
            scratch[10 * LANES + lane] += b5
            scratch[11 * LANES + lane] += a6
            scratch[12 * LANES + lane] += b6
            scratch[13 * LANES + lane] += w * ((35 * u - 30) * u + 3)
            scratch[14 * LANES + lane] += (7 * u - 3) * a1
            scratch[15 * LANES + lane] += (7 * u - 3) * b1
            scratch[16 * LANES + lane] += (7 * u - 1) * a2
            scratch[17 * LANES + lane] += (7 * u - 1) * b2
            scratch[18 * LANES + lane] += a3
            scratch[19 * LANES + lane] += b3
            scratch[20 * LANES + lane] += a4
            scratch[21 * LANES + lane] += b4
            scratch[_TOTAL + lane] += w
    for row in range(len(block) // LANES):
        for lane in range(LANES):
            block[row * LANES + lane] = norms[row] * scratch[row * LANES + lane] / scratch[_TOTAL + lane]


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
