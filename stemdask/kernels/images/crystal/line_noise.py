"""Shifts that columns share where they lie on one line of the scan: of their sums, and of one beside another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from stemdask.kernels.arrays import Floats, Indices
from stemdask.kernels.compiled import kernel


class LineNoise(NamedTuple):
    """Shifts that columns share where they lie on one line of the scan; all in the unit of the positions.

    A fit takes from each row of the scan what that row tells of the place: along the line most in the middle of a
    column, rows that weigh by exp(-d²/length²), across it most on its flanks, by d² times that. Shifts of two columns
    that are d apart correlate as these weights overlap: along the line by exp(-δ²/2), δ = d/length, across it by
    (1 - 2δ²/3 + δ⁴/3)·exp(-δ²/2), which reaches half as far again. Of two columns the mean square of their lengths
    counts, and the less they overlap the less alike they are.
    """

    line: Floats
    """(n,), of each column: its position along the slow axis."""
    length: Floats
    """(n,), the width of a column where noise is the same everywhere, and √2 times it where columns make the noise."""
    variance: Floats
    """(2,), of the shifts along (u, v)."""
    felt: Floats
    """(n,), which part of these shifts each column feels: a narrow one averages over fewer rows."""
    across: int
    """Which of (u, v) runs across the lines."""
    freedom: float = np.inf
    """Of how many independent shifts their variance is known."""


def variance_of_sums(sums: sparse.csr_array, noise: LineNoise) -> Floats:
    """Return the variance (m, 2), along (u, v), of weighted sums of shifts of variance 1."""
    along, across = np.empty(sums.shape[0]), np.empty(sums.shape[0])
    felt = sums.data * noise.felt[sums.indices]
    _sum_lines(sums.indptr, sums.indices, felt, noise.line, noise.length, along, across)
    return np.stack([across, along] if noise.across == 0 else [along, across], axis=1)


def covariance_in_groups(groups: Indices, noise: LineNoise) -> Floats:
    """Return the covariance (m, k, k, 2, 2), of (y, x), of the shifts of columns in groups of k (m, k); -1: none."""
    here = np.where(groups >= 0, groups, len(noise.line))
    line, length, felt = (
        np.append(each, missing)[here]
        for each, missing in ((noise.line, np.nan), (noise.length, 1.0), (noise.felt, 1.0))
    )
    square = 0.5 * (length[:, :, None] ** 2 + length[:, None] ** 2)
    alike = length[:, :, None] * length[:, None] / square
    d2 = (line[:, :, None] - line[:, None]) ** 2 / square
    along = felt[:, :, None] * felt[:, None] * np.exp(-0.5 * d2) * np.sqrt(alike)
    across = along * alike**2 * (1.0 + d2 * (d2 - 2.0) / 3.0)
    u, v = (across, along) if noise.across == 0 else (along, across)
    covariance = np.zeros((*along.shape, 2, 2))
    covariance[..., 0, 0], covariance[..., 1, 1] = noise.variance[1] * v, noise.variance[0] * u
    return covariance


@kernel
def _sum_lines(
    start: Indices, columns: Indices, weights: Floats, line: Floats, length: Floats, along: Floats, across: Floats
) -> None:
    """Sum w·w'·correlation over all pairs of entries of each row of a sparse matrix."""
    for row in range(len(along)):
        along[row] = across[row] = 0.0
        for k in range(start[row], start[row + 1]):
            for m in range(start[row], start[row + 1]):
                one, two = length[columns[k]], length[columns[m]]
                square = 0.5 * (one * one + two * two)
                alike, d2 = one * two / square, (line[columns[k]] - line[columns[m]]) ** 2 / square
                shared = weights[k] * weights[m] * np.exp(-0.5 * d2) * np.sqrt(alike)
                along[row] += shared
                across[row] += shared * alike * alike * (1.0 + d2 * (d2 - 2.0) / 3.0)
