"""Evidence that a run of values is a straight line with noise, for all runs of a series at once.

The noise is a stationary autoregressive process of first order. Its variance (inverse gamma prior), its correlation (a
few values, equally likely) and the line (flat within the range of the series) are integrated out: what remains is in
closed form but for the sum over correlations (P. Fearnhead, Stat. Comput. 16, 203 (2006)).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from stemdask.kernels.arrays import AnyIntegers, Floats

#: Values that a piece must have.
SHORTEST = 4
#: Of a value with the one before, equally likely.
CORRELATIONS = np.array([0.0, 0.3, 0.6, 0.8, 0.93])
#: Second differences whose median is the noise at some place; the smallest of all is the scale of the prior.
_WINDOW = 9
#: Least noise, in units of the range: whole numbers that hardly change have differences of 0, and yet no error of 0.
_RESOLUTION = 1e-3
_ROUNDS = 200


class _Moments(NamedTuple):
    """Sums over the values of runs, correlations along the first axis, with these taken out."""

    n: Floats
    x: Floats
    xx: Floats
    y: Floats
    xy: Floats
    yy: Floats


class StraightPieces:
    """A series of which any run may be a piece.

    Parameters
    ----------
    values
        (n,), at least `SHORTEST`, finite and not all equal.
    resolution
        Noise that the values have at least.
    """

    def __init__(self, values: Floats, resolution: float = 0.0) -> None:
        n, reach = len(values), float(np.ptp(values))
        correlation = CORRELATIONS[:, None]
        one, x, y = np.ones(n), np.arange(n) - (n - 1) / 2, (values - values.mean()) / reach
        self._scale = noise_scale(values, resolution)
        self._first, self._sums = [], []
        for a, b in ((one, one), (one, x), (x, x), (one, y), (x, y), (y, y)):
            later = (a[1:] - correlation * a[:-1]) * (b[1:] - correlation * b[:-1])
            self._first.append(a * b)
            self._sums.append(np.cumsum(np.pad(later, ((0, 0), (1, 0))), axis=1))

    def log_evidence(self, start: AnyIntegers, stop: AnyIntegers) -> Floats:
        """Return the logarithm of the evidence of runs as one piece, level or sloping with equal chances.

        Parameters
        ----------
        start, stop
            First value of each run and the one after its last, (runs,); at least `SHORTEST` apart.
        """
        either: Floats = np.logaddexp(*self.log_evidences(start, stop)) - np.log(2)
        return either

    def log_evidences(self, start: AnyIntegers, stop: AnyIntegers) -> tuple[Floats, Floats]:
        """Return that of runs as level pieces, and that of runs as sloping ones."""
        n = (stop - start).astype(float)
        m = self._moments(start, stop)
        level = self._noise_evidence(m.yy - m.y**2 / m.n, (n - 1) / 2) - 0.5 * np.log(m.n)
        determinant = m.n * m.xx - m.x**2
        slope = (m.n * m.xy - m.x * m.y) / determinant
        squares = m.yy - m.y**2 / m.n - slope**2 * determinant / m.n
        sloping = self._noise_evidence(squares, (n - 2) / 2) - 0.5 * np.log(determinant) + _slope_prior(n)
        prior = LEVEL_PRIOR - np.log(len(CORRELATIONS))
        return _total(level) + prior, _total(sloping) + prior

    def log_evidence_of_one_line(self, start: int, place: int, stop: int) -> float:
        """Return that of two runs on one line, each with noise of its own (Laplace's approximation).

        Parameters
        ----------
        start, place, stop
            First value of the first run, of the second, and the value after both.
        """
        sides = [(self._moments(np.array(i), np.array(j)), (j - i) / 2) for i, j in ((start, place), (place, stop))]
        prior = LEVEL_PRIOR + float(_slope_prior(np.array(float(stop - start))))
        return max(self._near(sides, mode) for mode in (0, 1)) + prior - float(np.log(2))

    def _near(self, sides: list[tuple[_Moments, float]], mode: int) -> float:
        """Climb from the line of one side to the likeliest common line, by expectation maximisation."""
        matrix = [np.moveaxis(np.array([[m.n, m.x], [m.x, m.xx]]), -1, 0) for m, _ in sides]
        right = [np.column_stack([m.y, m.xy]) for m, _ in sides]
        line = np.linalg.solve(matrix[mode], right[mode][..., None])[..., 0].mean(axis=0)
        found = -np.inf
        for _ in range(_ROUNDS):
            before, found = found, 0.0
            information, pull = np.zeros((2, 2)), np.zeros(2)
            for (m, half), a, b in zip(sides, matrix, right, strict=True):
                squares = np.maximum(m.yy - 2 * b @ line + np.einsum("i,rij,j->r", line, a, line), 0)
                each = self._noise_evidence(squares, half)
                total = float(_total(each))
                weight = np.exp(each - total) * (1 + half) / (self._scale + squares / 2)
                found += total - float(np.log(len(CORRELATIONS)))
                information += np.einsum("r,rij->ij", weight, a)
                pull += weight @ b
            if found - before < 1e-6:
                break
            line = np.linalg.solve(information, pull)
        return found + float(np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(information)[1])

    def _moments(self, start: AnyIntegers, stop: AnyIntegers) -> _Moments:
        # The first value of a piece doesn't hang together with the one before; it has the variance of all.
        free = (1 - CORRELATIONS**2).reshape(-1, *[1] * np.ndim(start))
        pairs = zip(self._sums, self._first, strict=True)
        return _Moments(*(sums[:, stop - 1] - sums[:, start] + free * first[start] for sums, first in pairs))

    def _noise_evidence(self, squares: Floats, half: Floats | float) -> Floats:
        """Return the logarithm of the integral over the variance, by correlation; `half` the degrees of freedom."""
        correlation = CORRELATIONS.reshape(-1, *[1] * (squares.ndim - 1))
        return noise_evidence(self._scale, squares, half, correlation)


#: Logarithm of the density of levels: they lie within the range, of which the series is divided.
LEVEL_PRIOR = float(np.log(0.5))


def noise_evidence(scale: float, squares: Floats, half: Floats | float, correlation: Floats | float) -> Floats:
    """Return the logarithm of the integral over the variance of the noise.

    Parameters
    ----------
    scale
        Of the prior of the variance.
    squares
        Sums of squares about what is fitted, of values from which the ones before are taken out.
    half
        Half of the degrees of freedom.
    correlation
        Of a value with the one before.
    """
    free = 0.5 * np.log1p(-(np.asarray(correlation) ** 2))
    rest = np.log(scale) + gammaln(1 + half) - half * np.log(2 * np.pi)
    found: Floats = free + rest - (1 + half) * np.log(scale + np.maximum(squares, 0) / 2)
    return found


def noise_scale(values: Floats, resolution: float) -> float:
    """Return the variance of the noise where it is least, at least that of the resolution, in units of the range."""
    return (max(_noise(values), resolution) / float(np.ptp(values))) ** 2


def _slope_prior(n: Floats) -> Floats:
    """Return the logarithm of the density of slopes: lines rise or fall by the range at most."""
    prior: Floats = np.log(n / 2)
    return prior


def _total(log: Floats) -> Floats:
    """Return the logarithm of the sum over the first axis."""
    most = log.max(axis=0)
    total: Floats = most + np.log(np.exp(log - most).sum(axis=0))
    return total


def _noise(values: Floats) -> float:
    """Return the noise where it is least."""
    second = np.abs(np.diff(values, 2))
    windows = np.lib.stride_tricks.sliding_window_view(second, min(_WINDOW, len(second)))
    least = float(np.median(windows, axis=1).min()) / (0.6745 * np.sqrt(6))
    return max(float(least), _RESOLUTION * float(np.ptp(values)))
