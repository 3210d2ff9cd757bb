"""Bond-orientational order of each atom: q, w, their averages over the neighbours, and the crystallinity of bonds.

Steinhardt, Nelson and Ronchetti, Phys. Rev. B 28, 784 (1983); Lechner and Dellago, J. Chem. Phys. 129, 114707 (2008);
ten Wolde, Ruiz-Montero and Frenkel, J. Chem. Phys. 104, 9932 (1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.arrays import Codes, Floats, Integers, Integers32
from stemdask.kernels.atoms.crystallinity import Criterion, Crystallinity, block_of_flags
from stemdask.kernels.atoms.harmonics import (
    LANES,
    POLYNOMIAL,
    SCRATCH,
    WIDE,
    Recurrence,
    block_from_polynomials,
    block_from_recurrence,
    polynomial_norms,
    recurrence,
)
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.atoms.wigner import cubic_terms
from stemdask.kernels.atoms.workspace import Workspace
from stemdask.kernels.compiled import kernel

Convention: TypeAlias = Literal["lechner-dellago", "pyboo"]
Normalisation: TypeAlias = Literal["none", "steinhardt"]
#: That of the published analysis of nanocrystals.
CRITERION = Criterion(threshold=0.8, min_fraction=0.5)
_ONE, _TWO = np.uint64(1), np.uint64(2)


class BondOrder(NamedTuple):
    """Order parameters; NaN for an atom without neighbours or on top of another one."""

    q: Floats
    """(degrees, n), q_l."""
    q_avg: Floats
    """(degrees, n), from the coefficients averaged over the neighbours."""
    w: Floats
    """(degrees, n), w_l; 0 for odd l, where it vanishes by symmetry."""
    w_avg: Floats
    """(degrees, n)."""
    s6: Floats
    """(m,), normalised product of the q_6m of both ends, for each entry of the neighbour list."""
    crystallinity: Floats
    """(n,), mean s6 of the bonds of an atom."""
    crystalline: Codes
    """(n,), 1 where enough bonds are above the threshold; 0 without neighbours; -1 where s6 isn't defined."""
    margin: Floats
    """(n,), how much the threshold may rise (or, where negative, must fall) before `crystalline` changes."""


class _Lists(NamedTuple):
    """The lists of neighbours as arrays alone."""

    first: Integers
    other: Integers32
    point: Integers32
    points: Floats
    weight: Floats
    """(m,), or empty where all count the same."""


class _Harmonics(NamedTuple):
    """How the coefficients are made."""

    from_polynomials: bool
    norms: Floats
    recurrence: Recurrence


class _Choices(NamedTuple):
    """What the arguments of `bond_order` of the same or a like name choose."""

    with_itself: bool
    normalised: bool
    criterion: Criterion


class _Scratch(NamedTuple):
    """Memory of the kernel."""

    rows: Floats
    """(n + 1, stride), the coefficients of each atom, those of degree 6 first; the last row is zero."""
    scale: Floats
    """(n + 1,), the inverse length of those of degree 6."""
    own: Floats
    """(stride,), the coefficients of degree 6 of one atom, then zeros."""
    total: Floats
    """(stride,), the sum of some rows."""


class _Layout(NamedTuple):
    """Where each l lies in the real vector of an atom, and the terms of its w."""

    degree: Integers
    place: Integers
    """Row of each l in the results, where those that were asked for come first."""
    offset: Integers
    first_term: Integers
    parts: NDArray[np.uint64]
    coefficients: Floats


@cache
def _layout(wanted: tuple[int, ...]) -> _Layout:
    """Put degree 6 first, where the products of bonds expect it."""
    degrees = (6, *(degree for degree in wanted if degree != 6))
    place = [(*wanted, 6).index(degree) for degree in degrees]
    offset = np.cumsum([0, *(2 * degree + 1 for degree in degrees)])
    parts, coefficients, counts = [np.empty((0, 6), np.uint64)], [np.empty(0)], [0]
    for degree, begin in zip(degrees, offset, strict=False):
        if degree % 2 == 0:
            terms = cubic_terms(degree)
            zero = terms.parts == 2 * degree + 1
            parts.append(np.where(zero, offset[-1], terms.parts + np.uint64(begin)).astype(np.uint64))
            coefficients.append(terms.coefficients)
        counts.append(len(coefficients[-1]) if degree % 2 == 0 else 0)
    return _Layout(
        np.array(degrees),
        np.array(place),
        offset,
        np.cumsum(counts),
        np.concatenate(parts),
        np.concatenate(coefficients),
    )


def bond_order(
    neighbours: Neighbours,
    degrees: Sequence[int] = (4, 6),
    *,
    convention: Convention = "lechner-dellago",
    normalisation: Normalisation = "none",
    criterion: Criterion = CRITERION,
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
        itself (their eq. 6), `pyboo` over the neighbours alone.
    normalisation
        Of w: `none`, or `steinhardt` (divided by ``(Σ_m |q_lm|²)^1.5``).
    criterion
        What makes an atom crystalline.
    workspace
        Memory to use again; `s6` lies in it and lasts until the next call with it.

    Raises
    ------
    ValueError
        A degree is smaller than 1 or comes twice.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms import find_neighbours
    >>> copper = bulk("Cu")
    >>> found = bond_order(find_neighbours(copper.positions, 3.0, copper.cell[:]), (4, 6))
    >>> found.q.round(4).tolist()  # q4 and q6 of fcc
    [[0.1909], [0.5745]]
    """
    wanted = tuple(int(degree) for degree in degrees)
    if min(wanted, default=1) < 1 or len(set(wanted)) < len(wanted):
        raise ValueError(f"degrees must differ and be at least 1, got {list(degrees)}")
    space = workspace or Workspace()
    n, n_entries = len(neighbours.first) - 1, len(neighbours.point)
    layout = _layout(wanted)
    every = tuple(layout.degree.tolist())
    width = int(layout.offset[-1])
    stride = -(-width // 8) * 8  # whole cache lines, which no row shares with the next
    rows, scale = space.get("rows", (n + 1) * stride), space.get("scale", n + 1)
    rows[n * stride :], scale[n] = 0.0, 0.0
    s6 = space.get("s6", n_entries)
    values, flags = np.empty((4 * len(every) + 2, n)), np.empty(n, np.int8)
    q, q_avg, w, w_avg = values[:-2].reshape(4, len(every), n)
    order = BondOrder(q, q_avg, w, w_avg, s6, values[-2], flags, values[-1])
    weight = np.empty(0) if neighbours.weight is None else neighbours.weight
    _order(
        _Lists(neighbours.first, neighbours.other, neighbours.point, neighbours.points, weight),
        _Harmonics(every == POLYNOMIAL[: len(every)], polynomial_norms(), recurrence(every)),
        layout,
        _Choices(convention == "lechner-dellago", normalisation == "steinhardt", criterion),
        _Scratch(rows.reshape(n + 1, stride), scale, np.zeros(stride), np.empty(stride)),
        order,
    )
    k = len(wanted)
    return order._replace(q=q[:k], q_avg=q_avg[:k], w=w[:k], w_avg=w_avg[:k])


@kernel
def _order(
    lists: _Lists, harmonics: _Harmonics, layout: _Layout, choices: _Choices, scratch: _Scratch, order: BondOrder
) -> None:
    """Do all atoms in blocks of lanes: their own coefficients, and what needs those of their neighbours.

    The second follows the first as soon as the last neighbour of a block has its coefficients, while these are still
    in the cache where atoms are numbered by place. Degree 6 comes first in the layout, where the products of bonds
    expect it.
    """
    first, other, point, points, weight = lists
    rows, scale = scratch.rows, scratch.scale
    s6 = order.s6
    flags = Crystallinity(order.crystallinity, order.crystalline, order.margin)
    n, stride = len(first) - 1, rows.shape[1]
    width = layout.offset[-1]
    block, sums = np.zeros((stride + 1) * LANES), np.empty(SCRATCH)
    longest = 1
    for i in range(n):
        longest = max(longest, first[i + 1] - first[i])
    sorting = np.empty(longest * LANES)
    behind = 0
    for begin in range(0, n, LANES):
        own = block[: width * LANES]
        if harmonics.from_polynomials:
            block_from_polynomials(first, point, points, weight, begin, harmonics.norms, sums, own)
        else:
            block_from_recurrence(first, point, points, weight, begin, harmonics.recurrence, own)
        _invariants(block, begin, layout, choices.normalised, order.q, order.w)
        known = min(begin + LANES, n)
        for i in range(begin, known):
            lane = np.uint64(i - begin)
            for k in range(np.uint64(0), np.uint64(stride), _TWO):  # one by one it is compiled to slow gathers
                rows[i, k] = block[k * WIDE + lane]
                rows[i, k + _ONE] = block[(k + _ONE) * WIDE + lane]
            scale[i] = np.sqrt(4 * np.pi / 13) / order.q[layout.place[0], i]
        while behind < known and _last_neighbour(first, other, behind) < known:
            _neighbourhood(first, other, choices.with_itself, behind, scratch, s6, block)
            _invariants(block, behind, layout, choices.normalised, order.q_avg, order.w_avg)
            block[width * LANES :] = 0.0  # where the mean over no neighbour has left NaN
            block_of_flags(first, s6, choices.criterion, behind, sorting, flags)
            behind += LANES


@kernel
def _last_neighbour(first: Integers, other: Integers32, begin: int) -> int:
    """Return the largest number of a neighbour of the atoms of a block, whose lists are sorted, and of these atoms."""
    end = min(begin + LANES, len(first) - 1)
    last = end - 1
    for i in range(begin, end):
        if first[i + 1] > first[i]:
            last = max(last, other[first[i + 1] - 1])
    return last


@kernel(fastmath={"contract"})
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
        area, place = 4 * np.pi / (2 * layout.degree[d] + 1), layout.place[d]
        if normalised:
            for lane in range(LANES):
                cubic[lane] /= norm[lane] * np.sqrt(norm[lane])
        for lane in range(LANES):
            # NaN where the coefficients are, also for odd l, which has no terms.
            cubic[lane] += 0.0 * norm[lane]
            norm[lane] = np.sqrt(area * norm[lane])
        for lane in range(count):
            q[place, begin + lane] = norm[lane]
            w[place, begin + lane] = cubic[lane]


@kernel(fastmath={"contract", "reassoc"})
def _neighbourhood(
    first: Integers,
    other: Integers32,
    with_itself: bool,
    begin: int,
    scratch: _Scratch,
    s6: Floats,
    block: Floats,
) -> None:
    """Average the rows of the neighbours of each atom of a block, and write the normalised product of each bond."""
    rows, scale, own, total = scratch
    n, stride = len(first) - 1, rows.shape[1]
    flat, wide = rows.ravel(), np.uint64(stride)
    for i in range(begin, min(begin + LANES, n)):
        row = np.uint64(i) * wide
        for k in range(wide):
            total[k] = flat[row + k] if with_itself else 0.0
        for k in range(np.uint64(13)):
            own[k] = flat[row + k]
        e, end = np.uint64(first[i]), np.uint64(first[i + 1])
        if stride == 24:  # l = 4 and 6: with a width that it knows, the compiler unrolls the sums
            _sums(other, (e, end), flat, np.uint64(24), (scale, scale[i]), own, total, s6)
        else:
            _sums(other, (e, end), flat, wide, (scale, scale[i]), own, total, s6)
        share = 1.0 / (first[i + 1] - first[i] + with_itself)
        lane = np.uint64(i - begin)
        for k in range(np.uint64(0), wide, _TWO):  # one by one it is compiled to slow scatters
            block[k * WIDE + lane] = total[k] * share
            block[(k + _ONE) * WIDE + lane] = total[k + _ONE] * share


@kernel(inline="always")
def _sums(
    other: Integers32,
    entries: tuple[np.uint64, np.uint64],
    flat: Floats,
    wide: np.uint64,
    scales: tuple[Floats, float],
    own: Floats,
    total: Floats,
    s6: Floats,
) -> None:
    """Add the rows of the neighbours of one atom to `total`, and write their products with its `own` row.

    `entries` are the first neighbour and the one after the last; `scales` those of all rows, and of its own.

    Four at a time, so that the total is loaded and stored less often; the row of zeros after the last atom, whose
    product is overwritten, stands for those that are missing.
    """
    (begin, end), (scale, own_scale) = entries, scales
    zeros, one = np.uint64(len(scale) - 1), np.uint64(1)
    e, last = begin, end - one
    while e < end:
        e1, e2, e3 = e + one, e + one + one, e + one + one + one
        j0 = np.uint64(other[e])
        j1 = np.uint64(other[e1]) if e1 < end else zeros
        j2 = np.uint64(other[e2]) if e2 < end else zeros
        j3 = np.uint64(other[e3]) if e3 < end else zeros
        a, b, c, d = j0 * wide, j1 * wide, j2 * wide, j3 * wide
        s0 = s1 = s2 = s3 = 0.0
        for k in range(wide):
            v, va, vb, vc, vd = own[k], flat[a + k], flat[b + k], flat[c + k], flat[d + k]
            total[k] += (va + vb) + (vc + vd)
            s0 += v * va
            s1 += v * vb
            s2 += v * vc
            s3 += v * vd
        s6[min(e3, last)] = s3 * (own_scale * scale[j3])
        s6[min(e2, last)] = s2 * (own_scale * scale[j2])
        s6[min(e1, last)] = s1 * (own_scale * scale[j1])
        s6[e] = s0 * (own_scale * scale[j0])
        e = e3 + one
