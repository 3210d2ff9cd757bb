"""Shifts that columns share where they lie on one line of the scan: of their sums, and of one beside another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from stemdask.kernels.arrays import Floats, Indices
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.crystal.row_response import RowResponse


class LineNoise(NamedTuple):
    """Shifts that columns share where they lie on one line of the scan; all in the unit of the positions."""

    line: Floats
    """(n,), of each column: its position across the lines."""
    kind: Indices
    """(n,), its number among the kinds of the response."""
    response: RowResponse
    """How columns move together, in units of the variance of those of the framework."""
    variance: Floats
    """(2,), of the columns of the framework by shifts of lines along (u, v)."""
    width: float
    """Of these columns."""
    freedom: float = np.inf
    """Of how many independent shifts their variance is known."""

    @classmethod
    def none(cls, line: Floats) -> LineNoise:
        """Return that of lines (n,) that are at rest."""
        alike = RowResponse(1.0, np.zeros((2, 1, 2, 1, 2, 1)))
        return cls(line, np.zeros(len(line), np.intp), alike, np.zeros(2), 1.0)

    def by_column(self) -> Floats:
        """Return the standard deviation (n, 2) of each column along (u, v)."""
        of_kind = np.stack([self.response.strength(k) for k in range(self.response.covariance.shape[1])])
        return np.asarray(np.sqrt(np.einsum("s,ksc->kc", self.variance, of_kind)[self.kind]))

    def of(self, part: Indices) -> LineNoise:
        """Return that of some columns: their numbers, or a mask."""
        return self._replace(line=self.line[part], kind=self.kind[part])

    def scaled(self, factor: float) -> LineNoise:
        """Return it in another unit."""
        return self._replace(
            line=factor * self.line,
            response=self.response._replace(step=factor * self.response.step),
            variance=factor**2 * self.variance,
            width=factor * self.width,
        )


def covariance_of_sums(sums: sparse.csr_array, noise: LineNoise) -> Floats:
    """Return the covariance (m, 2, 2, 2) of weighted sums (m, n) of columns, for shifts of variance 1.

    By shifts along u or v first; then as that of (u, v).
    """
    weights = np.repeat(sums.data[:, None], 2, axis=1)
    return _summed(sums, weights, noise)


def variance_of_moves(along_u: sparse.csr_array, along_v: sparse.csr_array, noise: LineNoise) -> Floats:
    """Return the variance (m,) of numbers that change by (m, n) for each unit that a column moves along u or v.

    Both matrices have their entries in the same places.
    """
    found = _summed(along_u, np.stack([along_u.data, along_v.data], axis=1), noise)
    return np.asarray(np.einsum("s,mscd->m", noise.variance, found))


def covariance_in_groups(groups: Indices, noise: LineNoise) -> Floats:
    """Return the covariance (m, k, k, 2, 2), of (u, v), of the shifts of columns in groups of k (m, k); -1: none."""
    m, k = groups.shape
    first, second = (np.broadcast_to(each, (m, k, k)).ravel() for each in (groups[:, :, None], groups[:, None]))
    known = (first >= 0) & (second >= 0)
    covariance = np.full((m * k * k, 2, 2), np.nan)
    first, second = first[known], second[known]
    by_shift = np.empty((len(first), 2, 2, 2))
    _pairs(first, second, noise.line, noise.kind, noise.response.step, noise.response.covariance, by_shift)
    covariance[known] = np.einsum("s,mscd->mcd", noise.variance, by_shift)
    return covariance.reshape(m, k, k, 2, 2)


def _summed(sums: sparse.csr_array, weights: Floats, noise: LineNoise) -> Floats:
    found = np.zeros((sums.shape[0], 2, 2, 2))
    response = noise.response
    _sum_lines(sums.indptr, sums.indices, weights, noise.line, noise.kind, response.step, response.covariance, found)
    return found


@kernel(inline="always")
def _lag(apart: float, step: float, most: int) -> tuple[int, float]:
    """Return the lag below, and the part of the step beyond it; -1 where shifts are independent."""
    at = apart / step + most
    below = int(np.floor(at))
    return (below, at - below) if 0 <= below < 2 * most else (-1, 0.0)


@kernel
def _pairs(
    first: Indices, second: Indices, line: Floats, kind: Indices, step: float, covariance: Floats, out: Floats
) -> None:
    """Look up the covariance (p, 2, 2, 2) of pairs of columns."""
    most = covariance.shape[-1] // 2
    for p in range(len(first)):
        k, m = first[p], second[p]
        below, part = _lag(line[k] - line[m], step, most)
        for s in range(2):
            for c in range(2):
                for d in range(2):
                    known = covariance[s, kind[k], c, kind[m], d]
                    out[p, s, c, d] = (1.0 - part) * known[below] + part * known[below + 1] if below >= 0 else 0.0


@kernel
def _sum_lines(
    start: Indices,
    columns: Indices,
    weights: Floats,
    line: Floats,
    kind: Indices,
    step: float,
    covariance: Floats,
    out: Floats,
) -> None:
    """Sum w·w'·covariance over all pairs of entries of each row of a sparse matrix."""
    most = covariance.shape[-1] // 2
    for row in range(len(out)):
        for k in range(start[row], start[row + 1]):
            for m in range(k, start[row + 1]):
                below, part = _lag(line[columns[k]] - line[columns[m]], step, most)
                if below < 0:
                    continue
                for s in range(2):
                    for c in range(2):
                        for d in range(2):
                            known = covariance[s, kind[columns[k]], c, kind[columns[m]], d]
                            of_both = (1.0 - part) * known[below] + part * known[below + 1]
                            shared = weights[k, c] * weights[m, d] * of_both
                            out[row, s, c, d] += shared
                            if m > k:
                                out[row, s, d, c] += shared
