"""The covariance of the positions of many columns: of each by itself, and of those pairs that share information."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from stemdask.kernels.arrays import Floats, Indices


@dataclass(frozen=True)
class PositionCovariance:
    """Covariance of the positions of n columns, (y, x) each; pairs that aren't named are independent.

    Parameters
    ----------
    own
        (n, 2, 2), of each column; NaN where it is not known.
    pairs
        (p, 2), numbers of two columns; no pair twice.
    between
        (p, 2, 2), covariance of a pair: rows are (y, x) of its first column, columns those of its second.
    """

    own: Floats
    pairs: Indices = field(default_factory=lambda: np.empty((0, 2), np.intp))
    between: Floats = field(default_factory=lambda: np.empty((0, 2, 2)))

    @classmethod
    def independent(cls, errors: ArrayLike) -> PositionCovariance:
        """Return that of independent columns with standard errors (n, 2)."""
        variance = np.asarray(errors, dtype=np.float64) ** 2
        return cls(variance[:, :, None] * np.eye(2))

    def __len__(self) -> int:
        return len(self.own)

    def renumbered(self, numbers: ArrayLike, n: int) -> PositionCovariance:
        """Return the covariance of n columns of which these are some.

        Parameters
        ----------
        numbers
            (len(self),), what each column's number becomes; -1 leaves it out.
        n
            Number of columns afterwards; what isn't known of the others is NaN.
        """
        numbers = np.asarray(numbers, dtype=np.intp)
        kept = numbers >= 0
        own = np.full((n, 2, 2), np.nan)
        own[numbers[kept]] = self.own[kept]
        both = kept[self.pairs].all(axis=1)
        return PositionCovariance(own, numbers[self.pairs[both]], self.between[both])

    def subset(self, columns: ArrayLike) -> PositionCovariance:
        """Return the covariance of some columns: their numbers, each once, or a mask (n,)."""
        chosen = np.arange(len(self))[np.asarray(columns)]
        numbers = np.full(len(self), -1, np.intp)
        numbers[chosen] = np.arange(len(chosen))
        return self.renumbered(numbers, len(chosen))

    def transformed(self, matrix: ArrayLike) -> PositionCovariance:
        """Return the covariance of positions · matrixᵀ, (2, 2): in other units, or on another grid."""
        matrix = np.asarray(matrix, dtype=np.float64)
        return PositionCovariance(matrix @ self.own @ matrix.T, self.pairs, matrix @ self.between @ matrix.T)

    def times(self, factors: Floats) -> PositionCovariance:
        """Return the covariance of positions whose errors are (n,) times as large, and correlated as these."""
        first, second = self.pairs.T
        of_pair = factors[first] * factors[second]
        return PositionCovariance(
            self.own * np.square(factors)[:, None, None], self.pairs, self.between * of_pair[:, None, None]
        )

    def of_sums(self, weights: sparse.csr_array) -> Floats:
        """Return the covariance (m, 2, 2) of m weighted sums of positions, `weights` (m, n)."""
        out = np.empty((weights.shape[0], 2, 2))
        for a, b in ((0, 0), (0, 1), (1, 1)):
            each = weights @ self._between_coordinates(a, b)
            out[:, a, b] = out[:, b, a] = each.multiply(weights).sum(axis=1)
        return out

    def of_moves(self, along_y: sparse.csr_array, along_x: sparse.csr_array) -> Floats:
        """Return the variance (m,) of numbers that change by (m, n) for each unit that a column moves along y or x."""
        moves = along_y, along_x
        parts = [
            (moves[a] @ self._between_coordinates(a, b)).multiply(moves[b]).sum(axis=1) for a in (0, 1) for b in (0, 1)
        ]
        return np.asarray(np.sum(parts, axis=0))

    def _between_coordinates(self, a: int, b: int) -> sparse.csr_array:
        """Covariance of coordinate a of each column with coordinate b of each: (n, n)."""
        first, second = self.pairs.T
        alone = np.arange(len(self))
        values = np.concatenate([self.own[:, a, b], self.between[:, a, b], self.between[:, b, a]])
        rows, columns = np.concatenate([alone, first, second]), np.concatenate([alone, second, first])
        return sparse.csr_array((values, (rows, columns)), shape=(len(self), len(self)))
