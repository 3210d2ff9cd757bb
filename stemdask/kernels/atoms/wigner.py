"""The rotational invariant of third order, w_l, as a short sum of real products.

The coefficients q_lm of a set of bonds are kept as real vectors of length 2l + 1,

    v = (q_l0, √2 Re q_l1, √2 Im q_l1, ..., √2 Re q_ll, √2 Im q_ll),

whose scalar product is that of the complex ones, because q_l,-m = (-1)^m conj(q_lm).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import copysign, factorial, prod, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.arrays import Floats


class CubicTerms(NamedTuple):
    """w = Σ coefficient · Re(q_a q_b conj(q_c)), with the elements of v that are the real and imaginary parts."""

    parts: NDArray[np.uint64]
    """(n, 6), elements of v: real and imaginary part of each of the three; 2l + 1 stands for zero."""
    coefficients: Floats
    """(n,)."""


def wigner_3j(degree: int, m1: int, m2: int) -> float:
    """Return the Wigner 3j symbol (l l l; m1 m2 -m1-m2) by Racah's formula in exact fractions."""
    m3 = -m1 - m2
    if max(abs(m1), abs(m2), abs(m3)) > degree:
        return 0.0
    total = Fraction(0)
    for t in range(max(0, -m1, m2), min(degree, degree - m1, degree + m2) + 1):
        below = (t, t + m1, t - m2, degree - t, degree - m1 - t, degree + m2 - t)
        total += Fraction((-1) ** t, prod(map(factorial, below)))
    orders = prod(factorial(degree + m) * factorial(degree - m) for m in (m1, m2, m3))
    squared = total**2 * orders * Fraction(factorial(degree) ** 3, factorial(3 * degree + 1))
    return copysign(sqrt(squared), total * (-1) ** m3)


@cache
def cubic_terms(degree: int) -> CubicTerms:
    """Return the terms of w_l = Σ (l l l; m1 m2 m3) q_lm1 q_lm2 q_lm3 (Steinhardt et al. 1983) for an even l.

    Of the orders that sum to zero two have one sign, a <= b, and the third is -(a + b); all permutations of such a
    triple and its negative give the same real part.
    """
    parts, coefficients = [], []
    for a in range(degree // 2 + 1):
        for b in range(a, degree - a + 1):
            orders = (a, b, a + b)
            alike = 1 if b == 0 else 6 if a in (0, b) else 12
            coefficients.append(
                alike * wigner_3j(degree, a, b) * (-1) ** (a + b) * sqrt(0.5) ** np.count_nonzero(orders)
            )
            parts.append([k for m in orders for k in ((2 * m - 1, 2 * m) if m else (0, 2 * degree + 1))])
    return CubicTerms(np.array(parts, np.uint64), np.array(coefficients))
