"""Loops over the small dense blocks of the normal equations: sorting them, inverting them, reading covariances."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats, Indices, Integers32
from stemdask.kernels.compiled import kernel


@kernel
def assemble(
    blocks: Floats,
    pairs: Integers32,
    beneath: Floats,
    free: Booleans,
    sublattice: Indices,
    patch: Indices,
    positions: Floats,
    centres: Floats,
    own: Floats,
    coupling: Floats,
    border: Floats,
    sums: Floats,
) -> None:
    """Sort the 6×6 blocks of all parameters into those of the columns and those of the fields.

    Parameters
    ----------
    blocks, pairs, beneath, free, sublattice, positions
        See :meth:`NormalEquations.build`.
    patch, centres
        (n,) of each column, and (t, 2) in px.
    own, coupling
        (n, P, P), (p, P, P); written.
    border
        (n, P, fields · l), zero on entry.
    sums
        (t, fields + s, fields + s, 1 or 6), zero on entry: per patch the fields (background, then the widths of each
        sublattice) and the amplitudes of each sublattice among themselves, times the products of (1, y, x) from the
        patch's centre; of each pair of fields only (later, earlier), and not the background with itself.
    """
    n, size = free.shape
    length, products = beneath.shape[2], sums.shape[3]
    shared = size == 3
    n_fields = border.shape[2] // length
    lever, product = np.ones(3), np.ones(6)
    for k in range(n):
        t, s = patch[k], sublattice[k]
        width, amplitude = 1 + 3 * s, n_fields + s
        lever[1], lever[2] = positions[k, 0] - centres[t, 0], positions[k, 1] - centres[t, 1]
        _multiply_out(lever, product)
        for a in range(size):
            for b in range(size):
                own[k, a, b] = blocks[k, a, b] if free[k, a] and free[k, b] else (1.0 if a == b else 0.0)
            if free[k, a]:
                for f in range(length):
                    slope = lever[f] * beneath[k, a, 0] if f else 0.0
                    border[k, a, f] += beneath[k, a, f] + slope
                if shared:
                    for j in range(3):
                        for f in range(length):
                            border[k, a, (width + j) * length + f] += blocks[k, a, 3 + j] * lever[f]
        for q in range(products):
            if free[k, 0]:
                sums[t, amplitude, 0, q] += beneath[k, 0, 0] * product[q]
                sums[t, amplitude, amplitude, q] += blocks[k, 0, 0] * product[q]
            if shared:
                for j in range(3):
                    sums[t, width + j, 0, q] += beneath[k, 3 + j, 0] * product[q]
                    if free[k, 0]:
                        sums[t, amplitude, width + j, q] += blocks[k, 3 + j, 0] * product[q]
                    for i in range(j + 1):
                        sums[t, width + j, width + i, q] += blocks[k, 3 + j, 3 + i] * product[q]
    for p in range(len(pairs)):
        k, m = pairs[p, 0], pairs[p, 1]
        t, u, block = patch[k], patch[m], blocks[n + p]
        for a in range(size):
            for b in range(size):
                coupling[p, a, b] = block[a, b] if free[k, a] and free[m, b] else 0.0
        if shared:
            width_k, width_m = (1 + 3 * sublattice[k]) * length, (1 + 3 * sublattice[m]) * length
            for f in range(length):
                at_m = positions[m, f - 1] - centres[t, f - 1] if f else 1.0
                at_k = positions[k, f - 1] - centres[u, f - 1] if f else 1.0
                for j in range(3):
                    for a in range(3):
                        if free[k, a]:
                            border[k, a, width_m + j * length + f] += block[a, 3 + j] * at_m
                        if free[m, a]:
                            border[m, a, width_k + j * length + f] += block[3 + j, a] * at_k
        lever[1] = 0.5 * (positions[k, 0] + positions[m, 0]) - centres[t, 0]
        lever[2] = 0.5 * (positions[k, 1] + positions[m, 1]) - centres[t, 1]
        _multiply_out(lever, product)
        _add_pair(sums[t], block, product, sublattice[k], sublattice[m], n_fields, free[k, 0], free[m, 0], shared)


@kernel
def _multiply_out(lever: Floats, product: Floats) -> None:
    product[1], product[2] = lever[1], lever[2]
    product[3], product[4], product[5] = lever[1] * lever[1], lever[1] * lever[2], lever[2] * lever[2]


@kernel
def _add_pair(
    sums: Floats, block: Floats, product: Floats, s: int, u: int, n_fields: int, first: bool, second: bool, shared: bool
) -> None:
    """Add what two columns of sublattices s and u have in common; a field with itself gets both orders of them."""
    twice = 2.0 if s == u else 1.0
    later, earlier = max(s, u), min(s, u)
    for q in range(sums.shape[2]):
        if first and second:
            sums[n_fields + later, n_fields + earlier, q] += twice * block[0, 0] * product[q]
        if not shared:
            continue
        for j in range(3):
            if first:
                sums[n_fields + s, 1 + 3 * u + j, q] += block[0, 3 + j] * product[q]
            if second:
                sums[n_fields + u, 1 + 3 * s + j, q] += block[3 + j, 0] * product[q]
            for i in range(3):
                row, column = 1 + 3 * s + j, 1 + 3 * u + i
                if row == column:
                    sums[row, column, q] += 2.0 * block[3 + j, 3 + i] * product[q]
                else:
                    sums[max(row, column), min(row, column), q] += block[3 + j, 3 + i] * product[q]


@kernel
def invert_blocks(blocks: Floats, out: Floats) -> None:
    """Invert symmetric positive definite blocks (n, P, P); of one that isn't, only the diagonal counts."""
    n, size, _ = blocks.shape
    low = np.empty((size, size))
    for k in range(n):
        definite = True
        for i in range(size):
            for j in range(i + 1):
                total = blocks[k, i, j]
                for m in range(j):
                    total -= low[i, m] * low[j, m]
                if i == j:
                    if not total > 1e-12 * blocks[k, i, i]:
                        definite = False
                        total = 1.0
                    low[i, i] = np.sqrt(total)
                else:
                    low[i, j] = total / low[j, j]
        if not definite:
            for i in range(size):
                for j in range(size):
                    out[k, i, j] = 0.0
                out[k, i, i] = 1.0 / blocks[k, i, i] if blocks[k, i, i] > 0.0 else 0.0
            continue
        for column in range(size):
            for i in range(size):
                total = 1.0 if i == column else 0.0
                for m in range(i):
                    total -= low[i, m] * out[k, m, column]
                out[k, i, column] = total / low[i, i]
            for i in range(size - 1, -1, -1):
                total = out[k, i, column]
                for m in range(i + 1, size):
                    total -= low[m, i] * out[k, m, column]
                out[k, i, column] = total / low[i, i]


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
    fields (t, fields · l, same) is added.
    """
    n, size, _ = reduced.shape
    invert_blocks(reduced, out)
    n_fields = border.shape[2]
    lever = np.empty((size, n_fields))
    for k in range(n):
        for a in range(size):
            for f in range(n_fields):
                total = 0.0
                for b in range(size):
                    total += out[k, a, b] * border[k, b, f]
                lever[a, f] = total
        for a in range(size):
            for f in range(n_fields):
                total = 0.0
                for g in range(n_fields):
                    total += field_covariance[patch[k], f, g] * lever[a, g]
                for b in range(size):
                    out[k, a, b] += total * lever[b, f]
