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
    n = len(matrix)
    for j in range(n):
        pivot = matrix[j, j]
        for m in range(j):
            pivot -= matrix[j, m] * matrix[j, m]
        if not pivot > least * matrix[j, j]:
            return False
        matrix[j, j] = np.sqrt(pivot)
        scale = 1.0 / matrix[j, j]  # one division for a column: a division takes as long as a row
        for i in range(j + 1, n):
            total = matrix[i, j]
            for m in range(j):
                total -= matrix[i, m] * matrix[j, m]
            matrix[i, j] = total * scale
    return True


@kernel
def invert(matrix: Floats) -> None:
    """Replace the Cholesky factor in a lower triangle by the whole inverse of the matrix whose factor it is."""
    n = len(matrix)
    # First the inverse of the factor, then its transpose times itself; each row in its place.
    for i in range(n):
        scale = 1.0 / matrix[i, i]
        for j in range(i):
            total = 0.0
            for m in range(j, i):
                total += matrix[i, m] * matrix[m, j]
            matrix[i, j] = -total * scale
        matrix[i, i] = scale
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for m in range(i, n):
                total += matrix[m, i] * matrix[m, j]
            matrix[i, j] = total
            matrix[j, i] = total
