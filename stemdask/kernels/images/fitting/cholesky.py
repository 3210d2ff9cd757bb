"""Cholesky factors of small dense matrices, and inverses from them."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.compiled import kernel


@kernel
def factorise(matrix: Floats, least: float) -> bool:
    """Replace the lower triangle of a symmetric matrix by its Cholesky factor.

    Returns
    -------
    bool
        Whether the matrix is positive definite: no pivot below `least` of its element of the diagonal. If not, the
        factor is not complete.
    """
    for i in range(len(matrix)):
        for j in range(i + 1):
            total = matrix[i, j]
            for m in range(j):
                total -= matrix[i, m] * matrix[j, m]
            if i != j:
                matrix[i, j] = total / matrix[j, j]
            elif total > least * matrix[i, i]:
                matrix[i, i] = np.sqrt(total)
            else:
                return False
    return True


@kernel
def invert(factor: Floats, out: Floats) -> None:
    """Write the inverse of the matrix that has this Cholesky factor in its lower triangle."""
    n = len(factor)
    for column in range(n):
        for i in range(n):
            total = 1.0 if i == column else 0.0
            for m in range(i):
                total -= factor[i, m] * out[m, column]
            out[i, column] = total / factor[i, i]
        for i in range(n - 1, -1, -1):
            total = out[i, column]
            for m in range(i + 1, n):
                total -= factor[m, i] * out[m, column]
            out[i, column] = total / factor[i, i]
