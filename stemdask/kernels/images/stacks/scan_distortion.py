"""The error of the scan, seen by the columns: rows that are shifted as a whole, and the bend after each flyback.

All columns at one height of the image were scanned at the same time, so what they have in common against their lattice
is the scan's. It is estimated as a Gaussian process along the slow axis (row jitter) and along the fast one (flyback),
whose strength is what columns of the same height share and not what they scatter: without a scan error nothing is
found, and where there are no columns nothing is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, AnyNumbers, Booleans, Floats

#: Strength found by chance alone in so many standard errors is none.
_SIGNIFICANT = 3.0
_FEWEST = 20


@dataclass(frozen=True, slots=True)
class LineShifts:
    """Shift of each line of the image against the lattice, in the unit of the residuals."""

    shift: Floats
    """(n,)"""
    error: Floats
    """(n,), its standard error."""
    strength: float
    """RMS shift as columns feel it; 0 where there is none beyond chance."""


def lattice_residuals(
    positions: Floats,
    i: AnyIntegers,
    j: AnyIntegers,
    order: int = 3,
    trusted: Booleans | None = None,
) -> Floats:
    """Return how far columns lie from a lattice that may bend slowly: a polynomial in (i, j).

    Parameters
    ----------
    positions
        (n, 2), columns of one sublattice and grain.
    i, j
        (n,), their indices.
    order
        Order of the polynomial; 1 is a straight lattice.
    trusted
        (n,), true for the columns to which the lattice is fitted; None for all.

    Returns
    -------
    (n, 2); NaN where there are fewer than 20 columns to fit.
    """
    known = np.isfinite(positions).all(axis=1)
    fitted = known if trusted is None else known & trusted
    residual = np.full(positions.shape, np.nan)
    if fitted.sum() < _FEWEST:
        return residual
    design = bending_lattice(i, j, order)
    lattice = np.linalg.lstsq(design[fitted], positions[fitted], rcond=None)[0]
    residual[known] = (positions - design @ lattice)[known]
    return residual


def bending_lattice(i: AnyNumbers, j: AnyNumbers, order: int) -> Floats:
    """Return the terms (n, m) of a polynomial in indices (n,), each of about the size of 1; the first is constant."""
    u, v = (2.0 * (k - k.mean()) / max(np.ptp(k), 1) for k in (i.astype(np.float64), j.astype(np.float64)))
    return np.column_stack([u**p * v**q for p in range(order + 1) for q in range(order + 1 - p)])


def line_shifts(where: Floats, residual: Floats, error: Floats, n_lines: int, length: float) -> LineShifts:
    """Estimate the shift of each line of the image.

    Parameters
    ----------
    where
        (n,), px, the line on which the lattice has each column (its position without the residual).
    residual, error
        (n,), how far it lies from its lattice along one axis, and its standard error; NaN is left out.
    n_lines
        Number of lines of the image.
    length
        px, over which lines are felt together: the width of the columns (their standard deviation).

    Notes
    -----
    A fit by least squares weighs the rows of a column of width σ by exp(-y²/σ²), so that the shifts felt by two columns
    whose rows are shifted independently are correlated by exp(-d²/2σ²).
    """
    known = np.isfinite(where) & np.isfinite(residual) & np.isfinite(error) & (error > 0)
    nothing = LineShifts(np.zeros(n_lines), np.zeros(n_lines), 0.0)
    if known.sum() < _FEWEST:
        return nothing
    where, residual, error = where[known], residual[known], error[known]
    width = max(length / 2, 1.0)
    bins = np.clip((where / width).astype(np.int64), 0, int(n_lines / width))
    count = np.bincount(bins)
    total, square = np.bincount(bins, residual), np.bincount(bins, residual**2)
    pairs = float((count * (count - 1)).sum())
    if pairs < _FEWEST:
        return nothing
    shared = float((total**2 - square).sum()) / pairs  # mean product of two columns of one line
    alone = float(np.mean(residual**2)) - shared
    if alone <= 0 or shared < _SIGNIFICANT * np.sqrt(2 / pairs) * alone:
        return nothing
    variance = error**2 * max(1.0, alone / float(np.mean(error**2)))  # disorder of the columns is noise here
    weight = np.bincount(bins, 1 / variance)
    used = np.flatnonzero(weight)
    mean = np.bincount(bins, residual / variance)[used] / weight[used]
    place = np.bincount(bins, where / variance)[used] / weight[used]

    def covariance(first: Floats, second: Floats) -> Floats:
        return np.asarray(shared * np.exp(-0.5 * ((first[:, None] - second) / length) ** 2))

    measured = covariance(place, place) + np.diag(1 / weight[used])
    across = covariance(np.arange(n_lines, dtype=np.float64), place)
    gain = np.linalg.solve(measured, across.T).T
    left = np.maximum(shared - (gain * across).sum(axis=1), 0.0)
    return LineShifts(gain @ mean, np.sqrt(left), shared**0.5)
