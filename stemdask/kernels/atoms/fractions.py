"""Fractions of counts with errors that hold for few atoms too."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Floats


class Fraction(NamedTuple):
    """A fraction, NaN of nothing."""

    value: Floats
    error: Floats
    """Its standard error."""


def fraction(part: ArrayLike, whole: ArrayLike) -> Fraction:
    """Return which part of a whole has been counted.

    The error is the standard deviation of the fraction by Jeffreys' rule: unlike √(p (1 - p) / n) it isn't 0 where none
    or all of a few have been found.

    Parameters
    ----------
    part, whole
        (...), counts, which are broadcast against each other.

    Notes
    -----
    L. D. Brown, T. T. Cai & A. DasGupta, Interval estimation for a binomial proportion, Stat. Sci. 16, 101 (2001).

    Examples
    --------
    >>> fraction(0, 10)
    Fraction(value=array(0.), error=array(0.0601...))
    """
    k, n = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    known = n > 0
    value = np.divide(k, n, out=np.full(n.shape, np.nan), where=known)
    a, b = k + 0.5, n - k + 0.5
    error = np.where(known, np.sqrt(a * b / (n + 2)) / (n + 1), np.nan)
    return Fraction(value, error)
