"""The small dense blocks of the normal matrix: their inverses, and the blocks of the inverse of the whole matrix."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Indices, Integers32
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.cholesky import factorise, invert

_LEAST_PIVOT = 1e-12


@kernel
def invert_blocks(blocks: Floats, out: Floats) -> None:
    """Invert symmetric positive definite blocks (n, P, P); of one that isn't, only the diagonal counts."""
    n, size, _ = blocks.shape
    for k in range(n):
        out[k] = blocks[k]
        if factorise(out[k], _LEAST_PIVOT):
            invert(out[k])
            continue
        out[k] = 0.0
        for i in range(size):
            out[k, i, i] = 1.0 / blocks[k, i, i] if blocks[k, i, i] > 0.0 else 0.0


@kernel
def eliminate_neighbours(
    inverse: Floats, pairs: Integers32, coupling: Floats, reduced: Floats, absorbed: Floats
) -> None:
    """Take from each column's block what the columns that overlap it say of it, as if these didn't overlap one another.

    Parameters
    ----------
    inverse
        (n, P, P), of the blocks.
    pairs, coupling
        (p, 2) and (p, P, P), rows of the pair's first column.
    reduced
        (n, P, P), the blocks; changed in place.
    absorbed
        (p, 2, P, P), zero on entry: what the first column of a pair loses to the second, and the second to the first.
    """
    size = reduced.shape[1]
    half = np.empty((size, size))
    for p in range(len(pairs)):
        for side in range(2):
            k, m = pairs[p, side], pairs[p, 1 - side]
            for a in range(size):
                for b in range(size):
                    total = 0.0
                    for c in range(size):
                        total += (coupling[p, a, c] if side == 0 else coupling[p, c, a]) * inverse[m, c, b]
                    half[a, b] = total
            for a in range(size):
                for b in range(size):
                    for c in range(size):
                        part = half[a, c] * (coupling[p, b, c] if side == 0 else coupling[p, c, b])
                        reduced[k, a, b] -= part
                        absorbed[p, side, a, b] += part


@kernel
def column_covariances(reduced: Floats, border: Floats, patch: Indices, field_covariance: Floats, out: Floats) -> None:
    """Write each column's block of the inverse of the matrix: (n, P, P).

    The neighbours of a column are eliminated from `reduced` (see :func:`eliminate_neighbours`); the uncertainty of the
    fields' values (t, fields, same) is added.
    """
    n, size, _ = reduced.shape
    invert_blocks(reduced, out)
    n_fields = field_covariance.shape[1]
    length = border.shape[2] // n_fields
    lever = np.empty((size, n_fields))
    for k in range(n):
        for a in range(size):
            for f in range(n_fields):
                total = 0.0
                for b in range(size):
                    total += out[k, a, b] * border[k, b, f * length]
                lever[a, f] = total
        for a in range(size):
            for f in range(n_fields):
                total = 0.0
                for g in range(n_fields):
                    total += field_covariance[patch[k], f, g] * lever[a, g]
                for b in range(size):
                    out[k, a, b] += total * lever[b, f]
