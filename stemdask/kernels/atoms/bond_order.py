"""Bond-orientational order of each atom: q, w, their averages over the neighbours, and the crystallinity of bonds.

Steinhardt, Nelson and Ronchetti, Phys. Rev. B 28, 784 (1983); Lechner and Dellago, J. Chem. Phys. 129, 114707 (2008);
ten Wolde, Ruiz-Montero and Frenkel, J. Chem. Phys. 104, 9932 (1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stemdask.kernels.atoms.cells import Floats, Integers
from stemdask.kernels.atoms.harmonics import (
    LANES,
    SCRATCH,
    WIDE,
    MomentMap,
    Recurrence,
    block_from_moments,
    block_from_recurrence,
    moment_map,
    recurrence,
)
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.atoms.wigner import cubic_terms
from stemdask.kernels.atoms.workspace import Workspace

Convention: TypeAlias = Literal["lechner-dellago", "pyboo"]
Normalisation: TypeAlias = Literal["none", "steinhardt"]


class BondOrder(NamedTuple):
    """Order parameters; NaN for an atom without neighbours or on top of another one."""

    q: NDArray[np.float64]
    """(degrees, n), q_l."""
    q_avg: NDArray[np.float64]
    """(degrees, n), from the coefficients averaged over the neighbours."""
    w: NDArray[np.float64]
    """(degrees, n), w_l; 0 for odd l, where it vanishes by symmetry."""
    w_avg: NDArray[np.float64]
    """(degrees, n)."""
    s6: NDArray[np.float64]
    """(m,), normalised product of the q_6m of both ends, for each entry of the neighbour list."""
    crystallinity: NDArray[np.float64]
    """(n,), mean s6 of the bonds of an atom."""
    crystalline: NDArray[np.int8]
    """(n,), 1 where enough bonds are above the threshold; 0 without neighbours; -1 where s6 isn't defined."""
    margin: NDArray[np.float64]
    """(n,), how much the threshold may rise (or, where negative, must fall) before `crystalline` changes."""


class _Layout(NamedTuple):
    """Where each l lies in the real vector of an atom, and the terms of its w."""

    degree: NDArray[np.int64]
    offset: NDArray[np.int64]
    first_term: NDArray[np.int64]
    parts: NDArray[np.uint64]
    coefficients: NDArray[np.float64]


@cache
def _layout(degrees: tuple[int, ...]) -> _Layout:
    offset = np.cumsum([0, *(2 * degree + 1 for degree in degrees)])
    parts, coefficients, counts = [np.empty((0, 6), np.uint64)], [np.empty(0)], [0]
    for degree, begin in zip(degrees, offset, strict=False):
        if degree % 2 == 0:
            terms = cubic_terms(degree)
            zero = terms.parts == 2 * degree + 1
            parts.append(np.where(zero, offset[-1], terms.parts + np.uint64(begin)).astype(np.uint64))
            coefficients.append(terms.coefficients)
        counts.append(len(coefficients[-1]) if degree % 2 == 0 else 0)
    return _Layout(np.array(degrees), offset, np.cumsum(counts), np.concatenate(parts), np.concatenate(coefficients))


def bond_order(
    neighbours: Neighbours,
    degrees: Sequence[int] = (4, 6),
    *,
    convention: Convention = "lechner-dellago",
    normalisation: Normalisation = "none",
    threshold: float = 0.8,
    min_fraction: float = 0.5,
    workspace: Workspace | None = None,
) -> BondOrder:
    """Return the order parameters of every atom and every bond.

    Parameters
    ----------
    neighbours
        Neighbours of each atom; weights, where it has them, weigh the harmonics of the bonds.
    degrees
        The l wanted, each at least 1, even or odd.
    convention
        How the coefficients are averaged over the neighbours: `lechner-dellago` over the N neighbours and the atom
        itself (their eq. 5), `pyboo` over the neighbours alone.
    normalisation
        Of w: `none`, or `steinhardt` (divided by (Σ_m |q_lm|²)^1.5, their eq. 1.7).
    threshold
        Smallest s6 of a crystalline bond, itself not included.
    min_fraction
        An atom is crystalline if more than this fraction of its bonds are.
    workspace
        Memory to use again.

    Raises
    ------
    ValueError
        A degree is smaller than 1 or comes twice.
    """
    wanted = tuple(int(degree) for degree in degrees)
    if min(wanted, default=1) < 1 or len(set(wanted)) < len(wanted):
        raise ValueError(f"degrees must differ and be at least 1, got {list(degrees)}")
    every = wanted if 6 in wanted else (*wanted, 6)
    space = workspace or Workspace()
    n, n_wanted = len(neighbours.first) - 1, len(wanted)
    layout = _layout(every)
    width = int(layout.offset[-1])
    rows, scale = space.get("rows", (n, width)), space.get("scale", n)
    q, q_avg, w, w_avg = np.empty((4, len(every), n))
    first, other, point, points = neighbours.first, neighbours.other, neighbours.point, neighbours.points
    weight = np.empty(0) if neighbours.weight is None else neighbours.weight
    moments = set(every) <= {2, 4, 6}
    mapping, coefficients = moment_map(every if moments else (6,)), recurrence(every)
    normalised = normalisation == "steinhardt"
    _own(first, point, points, weight, moments, mapping, coefficients, layout, normalised, rows, q, w)
    _averaged(first, other, rows, convention == "lechner-dellago", layout, normalised, q_avg, w_avg)
    s6 = np.empty(len(other))
    begin = int(layout.offset[every.index(6)])
    _bond_products(first, other, rows, begin, neighbours.symmetric, scale, space.get("next", n, np.int64), s6)
    own = crystallinity(first, s6, threshold, min_fraction)
    return BondOrder(q[:n_wanted], q_avg[:n_wanted], w[:n_wanted], w_avg[:n_wanted], s6, *own)


def crystallinity(
    first: NDArray[np.int64], s6: NDArray[np.float64], threshold: float, min_fraction: float
) -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.float64]]:
    """Return the mean s6 of each atom, whether it is crystalline, and the margin to the threshold.

    An atom with N bonds is crystalline if the bond that counts, the one of rank floor(min_fraction N) + 1 from the
    best, is above the threshold.

    Parameters
    ----------
    first
        (n + 1,), where the entries of each atom begin.
    s6
        (m,), of each entry.
    threshold, min_fraction
        As in `bond_order`.
    """
    n = len(first) - 1
    mean, crystalline, margin = np.empty(n), np.empty(n, np.int8), np.empty(n)
    _crystallinity(first, s6, threshold, min_fraction, mean, crystalline, margin)
    return mean, crystalline, margin


@njit(cache=True, nogil=True, error_model="numpy")
def _invariants(block: Floats, begin: int, layout: _Layout, normalised: bool, q: Floats, w: Floats) -> None:
    """Write q and w of the atoms of a block, whose last row is zero."""
    count = min(LANES, q.shape[1] - begin)
    norm, cubic = np.empty(LANES), np.empty(LANES)
    for d in range(len(layout.degree)):
        norm[:], cubic[:] = 0.0, 0.0
        for row in range(layout.offset[d], layout.offset[d + 1]):
            r = np.uint64(row) * WIDE
            for lane in range(WIDE):
                norm[lane] += block[r + lane] * block[r + lane]
        for t in range(layout.first_term[d], layout.first_term[d + 1]):
            ar, ai, br = layout.parts[t, 0] * WIDE, layout.parts[t, 1] * WIDE, layout.parts[t, 2] * WIDE
            bi, cr, ci = layout.parts[t, 3] * WIDE, layout.parts[t, 4] * WIDE, layout.parts[t, 5] * WIDE
            coefficient = layout.coefficients[t]
            for lane in range(WIDE):
                real = block[ar + lane] * block[br + lane] - block[ai + lane] * block[bi + lane]
                imaginary = block[ar + lane] * block[bi + lane] + block[ai + lane] * block[br + lane]
                cubic[lane] += coefficient * (real * block[cr + lane] + imaginary * block[ci + lane])
        area = 4 * np.pi / (2 * layout.degree[d] + 1)
        for lane in range(count):
            q[d, begin + lane] = np.sqrt(area * norm[lane])
            power = norm[lane] * np.sqrt(norm[lane]) if normalised else 1.0
            # NaN where the coefficients are, also for odd l, which has no terms.
            w[d, begin + lane] = (cubic[lane] + 0.0 * norm[lane]) / power


@njit(cache=True, nogil=True, error_model="numpy")
def _own(
    first: NDArray[np.int64],
    point: Integers,
    points: Floats,
    weight: Floats,
    moments: bool,
    mapping: MomentMap,
    coefficients: Recurrence,
    layout: _Layout,
    normalised: bool,
    rows: Floats,
    q: Floats,
    w: Floats,
) -> None:
    """Write the coefficients of every atom as a row, and its q and w."""
    n, width = rows.shape
    block, scratch = np.zeros((width + 1) * LANES), np.empty(SCRATCH)
    for begin in range(0, n, LANES):
        if moments:
            block_from_moments(first, point, points, weight, begin, mapping, scratch, block[: width * LANES])
        else:
            block_from_recurrence(first, point, points, weight, begin, coefficients, block[: width * LANES])
        _invariants(block, begin, layout, normalised, q, w)
        for lane in range(min(LANES, n - begin)):
            for row in range(width):
                rows[begin + lane, row] = block[row * LANES + lane]


@njit(cache=True, nogil=True, error_model="numpy")
def _averaged(
    first: NDArray[np.int64],
    other: Integers,
    rows: Floats,
    with_itself: bool,
    layout: _Layout,
    normalised: bool,
    q: Floats,
    w: Floats,
) -> None:
    """Write q and w of the coefficients averaged over the neighbours."""
    n, width = rows.shape
    flat, wide = rows.ravel(), np.uint64(width)
    block, total = np.zeros((width + 1) * LANES), np.empty(width)
    one = np.uint64(1)
    for begin in range(0, n, LANES):
        for lane in range(min(LANES, n - begin)):
            i = begin + lane
            for k in range(width):
                total[k] = rows[i, k] if with_itself else 0.0
            e, end = np.uint64(first[i]), np.uint64(first[i + 1])
            while e < end:  # four at a time, so that the total is loaded and stored less often
                if e + one + one + one < end:
                    a, b = np.uint64(other[e]) * wide, np.uint64(other[e + one]) * wide
                    c, d = np.uint64(other[e + one + one]) * wide, np.uint64(other[e + one + one + one]) * wide
                    for k in range(wide):
                        total[k] += (flat[a + k] + flat[b + k]) + (flat[c + k] + flat[d + k])
                    e += one + one + one + one
                else:
                    a = np.uint64(other[e]) * wide
                    for k in range(wide):
                        total[k] += flat[a + k]
                    e += one
            share = 1.0 / (first[i + 1] - first[i] + with_itself)
            for k in range(width):
                block[k * LANES + lane] = total[k] * share
        _invariants(block, begin, layout, normalised, q, w)


@njit(cache=True, nogil=True, error_model="numpy")
def _bond_products(
    first: NDArray[np.int64],
    other: Integers,
    rows: Floats,
    begin: int,
    symmetric: bool,
    scale: Floats,
    seen: NDArray[np.int64],
    s6: Floats,
) -> None:
    """Write the normalised product of the coefficients of both ends of each entry; each bond once if symmetric."""
    n, width = rows.shape
    flat, wide, column = rows.ravel(), np.uint64(width), np.uint64(begin)
    for i in range(n):
        norm = 0.0
        for k in range(begin, begin + 13):
            norm += rows[i, k] * rows[i, k]
        scale[i] = 1.0 / np.sqrt(norm)
        seen[i] = first[i]
    one = np.uint64(1)
    for i in range(n):
        own = np.uint64(i) * wide + column
        # Lists are sorted: where they are symmetric, what precedes seen[i] has been entered from the other atom.
        begin_own, end = np.uint64(seen[i]), np.uint64(first[i + 1])
        e = begin_own
        while e < end:  # four at a time, the last one again where fewer are left
            e1, e2, e3 = min(e + one, end - one), min(e + one + one, end - one), min(e + one + one + one, end - one)
            j0, j1, j2, j3 = np.uint64(other[e]), np.uint64(other[e1]), np.uint64(other[e2]), np.uint64(other[e3])
            a, b, c, d = j0 * wide + column, j1 * wide + column, j2 * wide + column, j3 * wide + column
            s0 = s1 = s2 = s3 = 0.0
            for k in range(np.uint64(13)):
                v = flat[own + k]
                s0 += v * flat[a + k]
                s1 += v * flat[b + k]
                s2 += v * flat[c + k]
                s3 += v * flat[d + k]
            s6[e], s6[e1] = s0 * scale[i] * scale[j0], s1 * scale[i] * scale[j1]
            s6[e2], s6[e3] = s2 * scale[i] * scale[j2], s3 * scale[i] * scale[j3]
            e += one + one + one + one
        if symmetric:
            for e in range(begin_own, end):
                j = np.uint64(other[e])
                if j > np.uint64(i):
                    s6[np.uint64(seen[j])] = s6[e]
                    seen[j] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _crystallinity(
    first: NDArray[np.int64],
    s6: Floats,
    threshold: float,
    min_fraction: float,
    mean: Floats,
    crystalline: NDArray[np.int8],
    margin: Floats,
) -> None:
    n = len(mean)
    longest = 1
    for i in range(n):
        longest = max(longest, first[i + 1] - first[i])
    bonds = np.empty(longest * LANES)
    for begin in range(0, n, LANES):
        count = min(LANES, n - begin)
        rows, ranks = 1, 0
        for lane in range(count):
            bonded = first[begin + lane + 1] - first[begin + lane]
            rows, ranks = max(rows, bonded), max(ranks, min(int(min_fraction * bonded), bonded - 1))
        bonds[: rows * LANES] = -2.0
        for lane in range(count):
            i = begin + lane
            total = 0.0
            for e in range(first[i], first[i + 1]):
                bonds[(e - first[i]) * LANES + lane] = s6[e]
                total += s6[e]
            mean[i] = total / (first[i + 1] - first[i])
        # The best bonds of all lanes bubble up side by side, as far as one of them needs.
        for rank in range(ranks + 1):
            for row in range(rows - 1, rank, -1):
                upper, lower = np.uint64(row - 1) * WIDE, np.uint64(row) * WIDE
                for lane in range(WIDE):
                    a, b = bonds[upper + lane], bonds[lower + lane]
                    bonds[upper + lane] = a if a > b else b
                    bonds[lower + lane] = b if a > b else a
        for lane in range(count):
            i = begin + lane
            bonded = first[i + 1] - first[i]
            margin[i], crystalline[i] = np.nan, 0
            if np.isnan(mean[i]):
                crystalline[i] = -1 if bonded else 0
            elif int(min_fraction * bonded) < bonded:
                margin[i] = bonds[int(min_fraction * bonded) * LANES + lane] - threshold
                crystalline[i] = margin[i] > 0
