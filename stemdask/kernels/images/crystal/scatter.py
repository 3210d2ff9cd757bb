"""What errors of displacements the fit can't know: rows of the scan that were shifted, and scatter beyond the noise.

A fit knows the noise of the pixels. Columns at one height of the image share what the scan did to their rows, which the
framework tells: its columns at one height differ from their lattice alike, unlike those some rows further on. What is
still left shows in how displacements scatter about the straight line through their neighbours on both sides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from stemdask.kernels.arrays import Floats, Indices, Integers32
from stemdask.kernels.images.crystal.displacement import Displacements
from stemdask.kernels.images.crystal.line_noise import LineNoise, covariance_of_sums
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance

#: Standard deviation over the median of absolute deviations.
_DEVIATION = 1.4826
#: Variance of the second difference of independent values, over theirs.
_OF_SECOND = 6.0
#: Fewest triples of cells in a row that tell a scatter, and its relative variance times their number: second
#: differences that overlap, of which the median of squares is taken.
_FEWEST, _VARIANCE = 16, 10.0
#: Standard errors by which a scatter must exceed what the noise makes, and stay below what lines make.
_BEYOND, _BELOW = 2.0, 3.0
#: Cells whose displaced columns are within so many widths across the lines are on one line.
_LINE = 2.5
#: Least part of the variance of a line in a second difference across lines.
_ACROSS = 0.3
#: Triples that tell what is shared on a line, of which the median is taken: its variance over that of their mean.
_ON_LINE, _OF_MEDIAN = 16, 0.5 * np.pi
#: Relative variance of the mean of squared second differences that follow one another, times their number.
_OF_SQUARES = 3.9


class Scatter(NamedTuple):
    """Displacements with the errors that their scatter shows."""

    displacements: Displacements
    jitter: Floats
    """(2,), RMS shift that columns of one line share, along (u, v)."""
    freedom: Floats
    """(m, 2), of how many independent shifts the errors along (u, v) are known."""
    excess: Floats
    """(2,), by what the errors of the fit along (u, v) were multiplied; 1 where they explain the scatter."""


def with_scatter(
    found: Displacements, known: PositionCovariance, noise: LineNoise, i: Integers32, j: Integers32, most: float
) -> Scatter:
    """Add to the errors of displacements what the scan and the model's misfit do to them.

    Parameters
    ----------
    found
        m displacements of one grain, with the errors of the fit.
    known
        Covariance of the positions of its n columns.
    noise
        Of the same columns. What the framework says of it is held against the scatter of the displacements across
        lines: strain that varies from row to row moves all columns of a cell and isn't noise.
    i, j
        (m,), cell of each displacement.
    most
        What is left over around the columns, in units of the noise's variance: as much larger may the variance of
        displacements become at the most. Where the noise explains the image, what varies from cell to cell is real.
    """
    rows = covariance_of_sums(found.weights, noise)
    seconds = [second for second in _seconds(i, j) if len(second) >= _FEWEST]
    scattered, expected = np.empty((len(seconds), 2)), np.empty((len(seconds), 2))
    felt = np.empty((len(seconds), 2, 2))  # of shifts along (u, v), along (u, v)
    for k, triples in enumerate(seconds):
        difference = _difference(triples, len(found.column))
        sums = _sums(difference, found)
        covariance = known.of_sums(sums)[:, [1, 0], [1, 0]] / _OF_SECOND
        scattered[k] = (_DEVIATION * np.nanmedian(np.abs(difference @ found.vector), axis=0)) ** 2 / _OF_SECOND
        expected[k] = np.nanmedian(covariance, axis=0) if np.isfinite(covariance).any() else np.nan
        felt[k] = np.median(covariance_of_sums(sums, noise)[..., [0, 1], [0, 1]], axis=0) / _OF_SECOND
    n = np.array([len(triples) for triples in seconds])
    variance = noise.variance.copy()
    for component in range(2 if seconds else 0):
        across = int(np.argmax(felt[:, component, component]))  # the direction in which it shows most
        if variance[component] > 0.0 and felt[across, component, component] >= _ACROSS:
            variance[component] = _agreed(found, known, noise, seconds[across], component)
    excess = np.ones(2)
    if len(seconds):
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = (scattered - np.einsum("s,ksc->kc", variance, felt)) / expected
        sure = ratio > 1.0 + _BEYOND * np.sqrt(_VARIANCE / n)[:, None]
        # Cells that alternate along one axis, as in an antiferroelectric, do not scatter along the other.
        excess = np.where(sure, np.clip(ratio, 1.0, max(most, 1.0)), 1.0).min(axis=0)
    scale = np.sqrt(excess)
    shared = np.einsum("s,mscd->mcd", variance, rows)
    covariance, by_lines = found.covariance * (scale[:, None] * scale) + shared, shared[:, [0, 1], [0, 1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = noise.freedom * (covariance[:, [0, 1], [0, 1]] / by_lines) ** 2
    freedom = np.where(by_lines > 0.0, freedom, np.inf)
    return Scatter(replace(found, covariance=covariance), np.sqrt(variance), freedom, scale)


def _agreed(
    found: Displacements, known: PositionCovariance, noise: LineNoise, triples: Indices, component: int
) -> float:
    """Return the variance of the shift of lines, if second differences across them show it; else as much as they show.

    Cells on one line share its shift, and their noise averages out. Their median, so that a wall that crosses a line
    doesn't count.
    """
    variance = float(noise.variance[component])
    difference = _difference(triples, len(found.column))
    middle = noise.line[found.column[triples[:, 1]]]
    order = np.argsort(middle, kind="stable")
    line = np.floor(middle[order] / (_LINE * noise.width))
    lines = np.split(order, np.flatnonzero(np.diff(line)) + 1)
    lines = [of[(np.arange(_ON_LINE) * len(of)) // _ON_LINE] if len(of) > _ON_LINE else of for of in lines]
    start = np.cumsum([0, *map(len, lines)])
    weights = np.concatenate([np.full(len(of), 1.0 / len(of)) for of in lines])
    means = sparse.csr_array((weights, np.concatenate(lines), start), shape=(len(lines), difference.shape[0]))
    sums = _sums(sparse.csr_array(means @ difference), found)
    single = np.array([1.0 if len(of) < 3 else _OF_MEDIAN for of in lines])
    by_shifts = covariance_of_sums(sums, noise)[:, :, component, component]
    felt, other = by_shifts[:, component], 1 - component
    of_noise = single * known.of_sums(sums)[:, other, other] + noise.variance[other] * by_shifts[:, other]
    values = difference @ found.vector[:, component]
    shared = np.array([np.median(values[of]) for of in lines]) ** 2
    told = np.isfinite(shared) & np.isfinite(of_noise)
    if not told.any() or felt[told].mean() <= 0.0:
        return variance
    shown, by_noise, by_lines = (float(of[told].mean()) for of in (shared, of_noise, felt))
    # The least that chance makes of a mean of squares (Wilson & Hilferty 1931).
    relative = (2.0 / 9.0) * _OF_SQUARES / (2.0 * told.sum())
    least = max(1.0 - relative - _BELOW * np.sqrt(relative), 0.0) ** 3
    if shown >= least * (by_noise + variance * by_lines):
        return variance
    return max(shown - by_noise, 0.0) / by_lines


def _sums(difference: sparse.csr_array, found: Displacements) -> sparse.csr_array:
    """Matrix (t, n) of second differences of displacements, as sums of positions."""
    sums = sparse.csr_array(difference @ found.weights)
    sums.sum_duplicates()
    return sums


def _seconds(i: Integers32, j: Integers32) -> tuple[Indices, Indices]:
    """Return the triples (t, 3) of cells that follow one another, along i and along j."""
    if not len(i):
        return np.empty((0, 3), np.intp), np.empty((0, 3), np.intp)
    grid = np.full((int(np.ptp(i)) + 1, int(np.ptp(j)) + 1), -1, np.intp)
    grid[i - i.min(), j - j.min()] = np.arange(len(i))

    def along(cells: Indices) -> Indices:
        triples = np.stack([cells[:-2], cells[1:-1], cells[2:]], axis=-1).reshape(-1, 3)
        return triples[(triples >= 0).all(axis=1)]

    return along(grid), along(grid.T)


def _difference(triples: Indices, n: int) -> sparse.csr_array:
    """Matrix (t, n) of second differences."""
    values, start = np.tile([1.0, -2.0, 1.0], len(triples)), 3 * np.arange(len(triples) + 1)
    return sparse.csr_array((values, triples.ravel(), start), shape=(len(triples), n))
