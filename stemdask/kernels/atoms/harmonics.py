"""Spherical harmonics of bonds, summed over the neighbours of each atom.

For l <= 6 and even no harmonic is evaluated at all: the 28 moments of degree 6 of the unit vectors, which need
nothing but products, hold all of them, and one sparse linear map takes them out. Any other l comes from the
recurrence of the normalised Legendre functions.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import comb, factorial, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.arrays import Floats, Integers, Integers32
from stemdask.kernels.compiled import kernel

#: Atoms treated side by side; wide enough for the vector units, small enough for the first cache.
LANES = 64
#: The same, unsigned: numba needn't ask whether an index counts from the end, and the loops become vector code.
WIDE = np.uint64(LANES)
#: Exponents (a, b, c) of x^a y^b z^c in the order of the moments.
MONOMIALS = [(a, b, 6 - a - b) for a in range(6, -1, -1) for b in range(6 - a, -1, -1)]


class MomentMap(NamedTuple):
    """Real harmonic coefficients = Σ values · moments[columns], in the rows of the output."""

    rows: NDArray[np.uint64]
    columns: NDArray[np.uint64]
    values: Floats


def _polynomial(degree: int, m: int) -> tuple[dict[tuple[int, int, int], float], dict[tuple[int, int, int], float]]:
    """Return the real and imaginary parts of Y_lm as polynomials of degree 6 in the unit vector."""
    norm = (-1) ** m * sqrt((2 * degree + 1) / (4 * pi) * factorial(degree - m) / factorial(degree + m))
    parts: tuple[dict[tuple[int, int, int], float], ...] = ({}, {})
    for k in range((degree - m) // 2 + 1):
        z = degree - 2 * k - m
        legendre = (-1) ** k * comb(degree, k) * comb(2 * degree - 2 * k, degree) * factorial(z + m) / factorial(z)
        legendre /= 2**degree
        # (x + iy)^m z^.. r^2k, and r^(6 - l) = 1 to lift it to degree 6.
        power = k + (6 - degree) // 2
        for i, (a, b) in product(range(m + 1), product(range(power + 1), repeat=2)):
            if a + b <= power:
                number = comb(m, i) * comb(power, a) * comb(power - a, b)
                exponents = (m - i + 2 * a, i + 2 * b, z + 2 * (power - a - b))
                part = parts[i % 2]
                part[exponents] = part.get(exponents, 0.0) + (-1) ** (i // 2) * number * norm * legendre
    return parts[0], parts[1]


@cache
def moment_map(degrees: tuple[int, ...]) -> MomentMap:
    """Return the map from the moments of degree 6 to the real vectors of even degrees up to 6, one after the other."""
    rows, columns, values = [], [], []
    row = 0
    for degree in degrees:
        for m in range(degree + 1):
            parts = _polynomial(degree, m)[: 1 if m == 0 else 2]
            for part in parts:
                for exponents, value in part.items():
                    if abs(value) > 1e-14:
                        rows.append(row)
                        columns.append(MONOMIALS.index(exponents))
                        values.append(value * (sqrt(2) if m else 1.0))
                row += 1
    return MomentMap(np.array(rows, np.uint64), np.array(columns, np.uint64), np.array(values))


#: Rows of the scratch after the 28 moments: the vectors and weights of two neighbours, and the sum of the weights.
_VECTORS, _TOTAL = 28 * LANES, 36 * LANES
SCRATCH = 37 * LANES


@kernel
def block_from_moments(
    first: Integers,
    point: Integers32,
    points: Floats,
    weight: Floats,
    begin: int,
    mapping: MomentMap,
    moments: Floats,
    block: Floats,
) -> None:
    """Average real harmonics over the neighbours of the atoms from `begin` on, one atom a lane.

    `moments` is scratch of length SCRATCH. Row r of the result is ``block[r * LANES:][:LANES]``; NaN in the lane of
    an atom without neighbours.
    """
    n = min(LANES, len(first) - 1 - begin)
    longest = 0
    for lane in range(n):
        longest = max(longest, first[begin + lane + 1] - first[begin + lane])
    moments[:] = 0.0
    # Lanes that have no more neighbours hold any vector and count it nothing.
    moments[_VECTORS : _VECTORS + LANES] = 1.0
    moments[_VECTORS + 4 * LANES : _VECTORS + 5 * LANES] = 1.0
    for k in range(0, longest, 2):
        for lane in range(n):
            i, end = np.uint64(begin + lane), np.uint64(first[begin + lane + 1])
            for second in range(2):
                e = np.uint64(first[begin + lane] + k + second)
                row = np.uint64(_VECTORS + 4 * second * LANES + lane)
                if e < end:
                    p = np.uint64(point[e])
                    moments[row] = points[p, 0] - points[i, 0]
                    moments[row + WIDE] = points[p, 1] - points[i, 1]
                    moments[row + WIDE + WIDE] = points[p, 2] - points[i, 2]
                    moments[row + WIDE + WIDE + WIDE] = weight[e] if len(weight) else 1.0
                else:
                    moments[row], moments[row + WIDE + WIDE + WIDE] = 1.0, 0.0
        for lane in range(LANES):
            x, y, z = moments[28 * LANES + lane], moments[29 * LANES + lane], moments[30 * LANES + lane]
            X, Y, Z = moments[32 * LANES + lane], moments[33 * LANES + lane], moments[34 * LANES + lane]
            w, W = moments[31 * LANES + lane], moments[35 * LANES + lane]
            moments[_TOTAL + lane] += w + W
            xx, yy, zz, yz = x * x, y * y, z * z, y * z
            rr = xx + yy + zz
            w = w / (rr * rr * rr)
            xxx, xxy, xxz = x * xx, y * xx, z * xx
            xyy, xyz, xzz = x * yy, x * yz, x * zz
            yyy, yyz, yzz, zzz = y * yy, z * yy, y * zz, z * zz
            wxxx, wxxy, wxxz, wxyy, wxyz = w * xxx, w * xxy, w * xxz, w * xyy, w * xyz
            wxzz, wyyy, wyyz, wyzz, wzzz = w * xzz, w * yyy, w * yyz, w * yzz, w * zzz
            XX, YY, ZZ, YZ = X * X, Y * Y, Z * Z, Y * Z
            RR = XX + YY + ZZ
            W = W / (RR * RR * RR)
            XXX, XXY, XXZ = X * XX, Y * XX, Z * XX
            XYY, XYZ, XZZ = X * YY, X * YZ, X * ZZ
            YYY, YYZ, YZZ, ZZZ = Y * YY, Z * YY, Y * ZZ, Z * ZZ
            WXXX, WXXY, WXXZ, WXYY, WXYZ = W * XXX, W * XXY, W * XXZ, W * XYY, W * XYZ
            WXZZ, WYYY, WYYZ, WYZZ, WZZZ = W * XZZ, W * YYY, W * YYZ, W * YZZ, W * ZZZ
            moments[lane] += wxxx * xxx + WXXX * XXX
            moments[1 * LANES + lane] += wxxx * xxy + WXXX * XXY
            moments[2 * LANES + lane] += wxxx * xxz + WXXX * XXZ
            moments[3 * LANES + lane] += wxxx * xyy + WXXX * XYY
            moments[4 * LANES + lane] += wxxx * xyz + WXXX * XYZ
            moments[5 * LANES + lane] += wxxx * xzz + WXXX * XZZ
            moments[6 * LANES + lane] += wxxx * yyy + WXXX * YYY
            moments[7 * LANES + lane] += wxxx * yyz + WXXX * YYZ
            moments[8 * LANES + lane] += wxxx * yzz + WXXX * YZZ
            moments[9 * LANES + lane] += wxxx * zzz + WXXX * ZZZ
            moments[10 * LANES + lane] += wxxy * yyy + WXXY * YYY
            moments[11 * LANES + lane] += wxxy * yyz + WXXY * YYZ
            moments[12 * LANES + lane] += wxxy * yzz + WXXY * YZZ
            moments[13 * LANES + lane] += wxxy * zzz + WXXY * ZZZ
            moments[14 * LANES + lane] += wxxz * zzz + WXXZ * ZZZ
            moments[15 * LANES + lane] += wxyy * yyy + WXYY * YYY
            moments[16 * LANES + lane] += wxyy * yyz + WXYY * YYZ
            moments[17 * LANES + lane] += wxyy * yzz + WXYY * YZZ
            moments[18 * LANES + lane] += wxyy * zzz + WXYY * ZZZ
            moments[19 * LANES + lane] += wxyz * zzz + WXYZ * ZZZ
            moments[20 * LANES + lane] += wxzz * zzz + WXZZ * ZZZ
            moments[21 * LANES + lane] += wyyy * yyy + WYYY * YYY
            moments[22 * LANES + lane] += wyyy * yyz + WYYY * YYZ
            moments[23 * LANES + lane] += wyyy * yzz + WYYY * YZZ
            moments[24 * LANES + lane] += wyyy * zzz + WYYY * ZZZ
            moments[25 * LANES + lane] += wyyz * zzz + WYYZ * ZZZ
            moments[26 * LANES + lane] += wyzz * zzz + WYZZ * ZZZ
            moments[27 * LANES + lane] += wzzz * zzz + WZZZ * ZZZ
    block[:] = 0.0
    for t in range(len(mapping.rows)):
        row, column, value = mapping.rows[t] * WIDE, mapping.columns[t] * WIDE, mapping.values[t]
        for lane in range(WIDE):
            block[row + lane] += value * moments[column + lane]
    for begin in range(0, len(block), LANES):
        for lane in range(LANES):
            block[begin + lane] /= moments[_TOTAL + lane]


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
    """Do the same as `block_from_moments` for any l."""
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
