"""Fisher information of single columns and pairs sorted into the parts of the normal matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats, Indices, Integers32
from stemdask.kernels.compiled import kernel


class Information(NamedTuple):
    """Fisher information of all six parameters of n columns.

    Attributes
    ----------
    blocks
        (n + p, 6, 6), of each column, then of each pair.
    pairs
        (p, 2).
    beneath
        (n, 6, l), coupling of each column's parameters to the background's value and slopes at its centre.
    """

    blocks: Floats
    pairs: Integers32
    beneath: Floats


class Placement(NamedTuple):
    """Where n columns lie.

    Attributes
    ----------
    positions
        (n, 2), px.
    patch
        (n,), the patch that holds each column.
    centres
        (t, 2), px, of the patches.
    """

    positions: Floats
    patch: Indices
    centres: Floats


class Parts(NamedTuple):
    """Parts of the normal matrix.

    Attributes
    ----------
    own, coupling
        (n, P, P) and (p, P, P), each column with itself, and each pair.
    border
        (n, P, fields · l), columns with fields.
    sums
        (t, fields + s, fields + s, 1 or 6): per patch the fields (background, then the widths of each sublattice) and
        the amplitudes of each sublattice among themselves, times the products of (1, y, x) from the patch's centre; of
        each pair of fields only (later, earlier), and not the background with itself.
    """

    own: Floats
    coupling: Floats
    border: Floats
    sums: Floats


@kernel
def assemble(information: Information, free: Booleans, sublattice: Indices, placement: Placement, parts: Parts) -> None:
    """Sort the blocks of all parameters into those of the columns and those of the fields.

    Parameters
    ----------
    information, placement
        Of the columns.
    free, sublattice
        (n, P), parameters that are fitted, and (n,).
    parts
        Written; its border and sums are zero on entry.
    """
    product = np.ones(6)
    for k in range(len(free)):
        _sort_column(k, information, free, sublattice, placement, parts, product)
    for p in range(len(information.pairs)):
        _sort_pair(p, information, free, sublattice, placement, parts, product)


@kernel
def _sort_column(
    k: int,
    information: Information,
    free: Booleans,
    sublattice: Indices,
    placement: Placement,
    parts: Parts,
    product: Floats,
) -> None:
    block, beneath, border = information.blocks[k], information.beneath[k], parts.border[k]
    size, length = free.shape[1], beneath.shape[1]
    n_fields = border.shape[1] // length
    width, amplitude = 1 + 3 * sublattice[k], n_fields + sublattice[k]
    t = placement.patch[k]
    _multiply_out(placement.positions[k, 0], placement.positions[k, 1], placement.centres[t], product)
    for a in range(size):
        for b in range(size):
            parts.own[k, a, b] = block[a, b] if free[k, a] and free[k, b] else (1.0 if a == b else 0.0)
        if not free[k, a]:
            continue
        for f in range(length):
            slope = product[f] * beneath[a, 0] if f else 0.0
            border[a, f] += beneath[a, f] + slope
        for j in range(3 if n_fields > 1 else 0):
            for f in range(length):
                border[a, (width + j) * length + f] += block[a, 3 + j] * product[f]
    sums = parts.sums[t]
    for q in range(sums.shape[2]):
        if free[k, 0]:
            sums[amplitude, 0, q] += beneath[0, 0] * product[q]
            sums[amplitude, amplitude, q] += block[0, 0] * product[q]
        for j in range(3 if n_fields > 1 else 0):
            sums[width + j, 0, q] += beneath[3 + j, 0] * product[q]
            if free[k, 0]:
                sums[amplitude, width + j, q] += block[3 + j, 0] * product[q]
            for i in range(j + 1):
                sums[width + j, width + i, q] += block[3 + j, 3 + i] * product[q]


@kernel
def _sort_pair(
    p: int,
    information: Information,
    free: Booleans,
    sublattice: Indices,
    placement: Placement,
    parts: Parts,
    product: Floats,
) -> None:
    size, block = free.shape[1], information.blocks[len(free) + p]
    k, m = information.pairs[p, 0], information.pairs[p, 1]
    for a in range(size):
        for b in range(size):
            parts.coupling[p, a, b] = block[a, b] if free[k, a] and free[m, b] else 0.0
    positions, t, u = placement.positions, placement.patch[k], placement.patch[m]
    length = information.beneath.shape[2]
    if parts.border.shape[2] > length:
        _multiply_out(positions[m, 0], positions[m, 1], placement.centres[t], product)
        _add_widths(parts.border[k], block, free[k], (1 + 3 * sublattice[m]) * length, length, product)
        _multiply_out(positions[k, 0], positions[k, 1], placement.centres[u], product)
        _add_widths(parts.border[m], block.T, free[m], (1 + 3 * sublattice[k]) * length, length, product)
    y, x = 0.5 * (positions[k, 0] + positions[m, 0]), 0.5 * (positions[k, 1] + positions[m, 1])
    _multiply_out(y, x, placement.centres[t], product)
    kinds, both = (sublattice[k], sublattice[m]), (free[k, 0], free[m, 0])
    _add_among_fields(parts.sums[t], block, product, kinds, both, parts.border.shape[2] // length)


@kernel
def _multiply_out(y: float, x: float, centre: Floats, product: Floats) -> None:
    """Write the products (1, y, x, yy, yx, xx) of the distances from a centre; the first is 1 already."""
    product[1], product[2] = y - centre[0], x - centre[1]
    product[3], product[4], product[5] = product[1] * product[1], product[1] * product[2], product[2] * product[2]


@kernel
def _add_widths(border: Floats, block: Floats, free: Booleans, first: int, length: int, product: Floats) -> None:
    """Add what a column has in common with the widths of another one, which begin at `first` of the border."""
    for f in range(length):
        for j in range(3):
            for a in range(3):
                if free[a]:
                    border[a, first + j * length + f] += block[a, 3 + j] * product[f]


@kernel
def _add_among_fields(
    sums: Floats, block: Floats, product: Floats, kinds: tuple[int, int], free: tuple[bool, bool], n_fields: int
) -> None:
    """Add what two columns of two sublattices have in common; a field with itself gets both orders of them."""
    s, u = kinds
    twice = 2.0 if s == u else 1.0
    later, earlier = max(s, u), min(s, u)
    for q in range(sums.shape[2]):
        if free[0] and free[1]:
            sums[n_fields + later, n_fields + earlier, q] += twice * block[0, 0] * product[q]
        for j in range(3 if n_fields > 1 else 0):
            if free[0]:
                sums[n_fields + s, 1 + 3 * u + j, q] += block[0, 3 + j] * product[q]
            if free[1]:
                sums[n_fields + u, 1 + 3 * s + j, q] += block[3 + j, 0] * product[q]
            for i in range(3):
                row, column = 1 + 3 * s + j, 1 + 3 * u + i
                if row == column:
                    sums[row, column, q] += 2.0 * block[3 + j, 3 + i] * product[q]
                else:
                    sums[max(row, column), min(row, column), q] += block[3 + j, 3 + i] * product[q]
