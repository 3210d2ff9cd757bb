"""How far the scan shifted its lines: what columns of one line have in common, and those some way on don't.

Products of the residuals of two columns against their lattice tell it, as many as there are pairs near enough to feel
the same rows. A lattice that may bend takes part of the shifts for its own, most where there are few lines; how much is
known, and made up for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, AnyNumbers, Floats, Indices
from stemdask.kernels.images.stacks.scan_distortion import bending_lattice

#: Order of the polynomial in (i, j) that a lattice which bends is.
_BEND = 3
#: Lines are told apart by this part of the width of a column.
_BIN = 0.25
#: Shifts are alike up to so many widths; columns are far apart from so many on, for so many distances between columns.
_NEAR, _FAR, _SO_FAR = 3.0, 4.0, 1.3
#: Distances between lines, in widths of a column, at which :func:`shared_shifts` asks how alike shifts are.
LAGS = _BIN * np.arange(int(_NEAR / _BIN) + 1)
#: Strength found by chance alone in so many standard errors is none.
_BEYOND_CHANCE = 2.0
_FEWEST = 20


class Lines(NamedTuple):
    """The lines of a scan, as the columns of a lattice feel them."""

    slow: int
    """Axis across the lines: 0 where they run along x."""
    width: float
    """Of a column."""
    apart: float
    """Distance between columns."""
    alike: Floats
    """(2, len(:data:`LAGS`)), correlation along (u, v) of the shifts of columns that are so many widths apart."""


class SharedShifts(NamedTuple):
    """Shifts that columns of one line of the scan share."""

    variance: Floats
    """(2,), along (u, v); 0 where there is none beyond chance."""
    freedom: float
    """Of how many independent shifts the variance is known."""


def shared_shifts(
    positions: Floats,
    i: AnyNumbers,
    j: AnyNumbers,
    grain: AnyIntegers,
    lines: Lines,
    kind: AnyIntegers | None = None,
) -> SharedShifts:
    """Estimate the shifts of the lines of a scan from columns of one lattice.

    Parameters
    ----------
    positions
        (n, 2), (y, x); any unit. A column with NaN is left out.
    i, j
        (n,), their indices, or where they are in units of the cell.
    grain
        (n,), which lattice each belongs to; -1 is left out, and so are grains of fewer than 20 columns.
    lines
        Of the scan.
    kind
        (n,), their sublattices, which may lie anywhere in the cell and bend together; None: they are of one.

    Notes
    -----
    The method of moments: sums of products r·M·r and r·r of residuals r = (1 - H) y of a polynomial fit H have the
    expectations σ²·tr(M (1 - H) K (1 - H)) + ε²·tr(M (1 - H)) and so on, with the correlations K of shifts, σ² their
    variance and ε² that of single columns.

    Examples
    --------
    >>> i, j = np.tile(np.arange(40), 40), np.repeat(np.arange(40), 40)
    >>> shifts = np.random.default_rng(0).normal(0.0, 0.2, 40)
    >>> positions = np.column_stack([10.0 * j, 10.0 * i + shifts[j]])
    >>> positions += np.random.default_rng(1).normal(0.0, 0.05, positions.shape)
    >>> lines = Lines(0, 2.0, 10.0, np.tile(np.exp(-0.5 * LAGS**2), (2, 1)))
    >>> found = shared_shifts(positions, i, j, np.zeros(1600, int), lines)
    >>> np.sqrt(found.variance).round(2), round(found.freedom)
    (array([0.14, 0.  ]), 36)
    """
    known = np.isfinite(np.column_stack([positions, i, j])).all(axis=1) & (grain >= 0)
    kind = np.zeros(len(positions), np.intp) if kind is None else kind
    parts = [
        _moments(positions[of], _bend(i[of], j[of], kind[of]), lines)
        for of in (np.flatnonzero(known & (grain == number)) for number in np.unique(grain[known]))
        if len(of) >= _FEWEST
    ]
    if not parts:
        return SharedShifts(np.zeros(2), 0.0)
    moments = np.sum(parts, axis=0)
    product, square = moments[:, 0], moments[:, 1]
    by_shared, by_own, square_by_shared, square_by_own, chance, freedom = moments[:, 2:].T
    determinant = by_shared * square_by_own - by_own * square_by_shared
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (product * square_by_own - by_own * square) / determinant
        own = np.maximum((by_shared * square - square_by_shared * product) / determinant, 0.0)
        sure = (determinant > 0.0) & (by_shared * variance > _BEYOND_CHANCE * np.sqrt(2.0 * chance) * own)
    return SharedShifts(np.where(sure, variance, 0.0), max(float(freedom[0]), 0.0))


def _bend(i: AnyNumbers, j: AnyNumbers, kind: AnyIntegers) -> Floats:
    """Return orthonormal terms (n, m) of a lattice that bends, and of the places of its sublattices."""
    places = (kind[:, None] == np.unique(kind)).astype(np.float64)
    terms, _ = np.linalg.qr(np.column_stack([bending_lattice(i, j, _BEND)[:, 1:], places]))
    return np.asarray(terms)


def _moments(positions: Floats, bend: Floats, lines: Lines) -> Floats:
    """Return, along u and v, the sums of products and squares of one grain and what they are made of, (2, 8)."""
    slow, apart, alike = lines.slow, lines.apart, lines.alike
    n, width = len(positions), _BIN * lines.width
    n_kinds = bend.shape[1] - (_BEND + 1) * (_BEND + 2) // 2 + 1
    bent = bend @ (bend.T @ positions)
    line = ((bent[:, slow] - bent[:, slow].min()) / width).astype(np.intp)
    n_lines = int(line.max()) + 1
    first = int(np.ceil(_FAR / _BIN))
    near = np.arange(min(len(LAGS), n_lines))
    far = np.arange(first, min(first + int(np.ceil(_SO_FAR * apart / width)), n_lines))
    count, by_bend = np.bincount(line).astype(np.float64), _by_line(bend, line, n_lines)
    n_far = float(count @ _spread(count, far, np.ones(len(far))))
    alike = alike[:, : len(near)]
    found = np.empty((2, 8))
    for row, component in enumerate((1, 0)):  # u is along x
        n_near = float(count @ _spread(count, near, alike[row] ** 2)) - n
        part = n_near / n_far if n_far else 0.0
        lags, weights = np.concatenate([near, far]), np.concatenate([alike[row], np.full(len(far), -part)])
        residual = (positions - bent)[:, component]
        sums, square = _by_line(residual[:, None], line, n_lines)[:, 0], float(residual @ residual)
        # K and M of what the bend takes of the shifts; M is without the products of columns with themselves.
        shared = _spread(by_bend, near, alike[row])
        by_k, by_m = by_bend.T @ shared, by_bend.T @ _spread(by_bend, lags, weights) - np.eye(bend.shape[1])
        by_mk = float((by_bend * (_spread(shared * count[:, None], lags, weights) - shared)).sum())
        found[row] = (
            float(sums @ _spread(sums, lags, weights)) - square,
            square,
            n_near - 2.0 * by_mk + float((by_m * by_k.T).sum()),
            -float(np.trace(by_m)),
            n - float(np.trace(by_k)),
            n - bend.shape[1],
            n_near + part * n_near,
            n**2 / float(count @ _spread(count, near, alike[slow])) - _BEND - n_kinds,
        )
    return found


def _by_line(values: Floats, line: Indices, n_lines: int) -> Floats:
    """Return the sums (n_lines, k) of values (n, k) of the columns of each line."""
    return np.stack([np.bincount(line, of, n_lines) for of in values.T], axis=1)


def _spread(sums: Floats, lags: Indices, weights: Floats) -> Floats:
    """Return for each line the weighted sum of those that lie so far before and behind it."""
    found = np.zeros_like(sums)
    for lag, weight in zip(lags.tolist(), weights.tolist(), strict=True):
        found[lag:] += weight * sums[: len(sums) - lag]
        if lag:
            found[:-lag] += weight * sums[lag:]
    return found
