"""Bond-orientational order of each atom: q, w, their averages over the neighbours, and the crystallinity of bonds.

Steinhardt, Nelson and Ronchetti, Phys. Rev. B 28, 784 (1983); Lechner and Dellago, J. Chem. Phys. 129, 114707 (2008);
ten Wolde, Ruiz-Montero and Frenkel, J. Chem. Phys. 104, 9932 (1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stemdask.kernels.atoms.cells import Floats, Integers
from stemdask.kernels.atoms.harmonics import (
    LANES,
    SCRATCH,
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
    factors: NDArray[np.int64]
    coefficients: NDArray[np.float64]


def _layout(degrees: tuple[int, ...]) -> _Layout:
    offset = np.cumsum([0, *(2 * degree + 1 for degree in degrees)])
    factors, coefficients, counts = [np.empty((0, 3), np.int64)], [np.empty(0)], [0]
    for degree, begin in zip(degrees, offset, strict=False):
        terms = cubic_terms(degree) if degree % 2 == 0 else None
        if terms:
            factors.append(terms.factors + begin)
            coefficients.append(terms.coefficients)
        counts.append(len(terms.factors) if terms else 0)
    return _Layout(np.array(degrees), offset, np.cumsum(counts), np.concatenate(factors), np.concatenate(coefficients))


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
    first, other, vector, weight, symmetric = neighbours
    weight = np.empty(0) if weight is None else weight
    moments = set(every) <= {2, 4, 6}
    mapping, coefficients = moment_map(every if moments else (6,)), recurrence(every)
    normalised = normalisation == "steinhardt"
    _own(first, vector, weight, moments, mapping, coefficients, layout, normalised, rows, q, w)
    _averaged(first, other, rows, convention == "lechner-dellago", layout, normalised, q_avg, w_avg)
    s6 = np.empty(len(other))
    begin = int(layout.offset[every.index(6)])
    _bond_products(first, other, rows, begin, symmetric, scale, space.get("next", n, np.int64), s6)
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
    """Write q and w of the atoms of a block."""
    count = min(LANES, q.shape[1] - begin)
    norm, cubic = np.empty(LANES), np.empty(LANES)
    for d in range(len(layout.degree)):
        norm[:], cubic[:] = 0.0, 0.0
        for row in range(layout.offset[d], layout.offset[d + 1]):
            for lane in range(LANES):
                norm[lane] += block[row * LANES + lane] ** 2
        for t in range(layout.first_term[d], layout.first_term[d + 1]):
            i, j, k = layout.factors[t, 0] * LANES, layout.factors[t, 1] * LANES, layout.factors[t, 2] * LANES
            coefficient = layout.coefficients[t]
            for lane in range(LANES):
                cubic[lane] += coefficient * block[i + lane] * block[j + lane] * block[k + lane]
        area = 4 * np.pi / (2 * layout.degree[d] + 1)
        for lane in range(count):
            q[d, begin + lane] = np.sqrt(area * norm[lane])
            power = norm[lane] * np.sqrt(norm[lane]) if normalised else 1.0
            # NaN where the coefficients are, also for odd l, which has no terms.
            w[d, begin + lane] = (cubic[lane] + 0.0 * norm[lane]) / power


@njit(cache=True, nogil=True, error_model="numpy")
def _own(
    first: NDArray[np.int64],
    vector: Floats,
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
    block, scratch = np.empty(width * LANES), np.empty(SCRATCH)
    for begin in range(0, n, LANES):
        if moments:
            block_from_moments(first, vector, weight, begin, mapping, scratch, block)
        else:
            block_from_recurrence(first, vector, weight, begin, coefficients, block)
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
    block, total = np.zeros(width * LANES), np.empty(width)
    for begin in range(0, n, LANES):
        for lane in range(min(LANES, n - begin)):
            i = begin + lane
            for k in range(width):
                total[k] = rows[i, k] if with_itself else 0.0
            for e in range(first[i], first[i + 1]):
                row = rows[other[e]]
                for k in range(width):
                    total[k] += row[k]
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
    n = len(rows)
    for i in range(n):
        norm = 0.0
        for k in range(begin, begin + 13):
            norm += rows[i, k] * rows[i, k]
        scale[i] = 1.0 / np.sqrt(norm)
        seen[i] = first[i]
    for i in range(n):
        for e in range(first[i], first[i + 1]):
            j = other[e]
            if symmetric and j < i:
                continue
            s = rows[i, begin + 12] * rows[j, begin + 12]
            s0 = s1 = s2 = s3 = 0.0
            for k in range(begin, begin + 12, 4):
                s0 += rows[i, k] * rows[j, k]
                s1 += rows[i, k + 1] * rows[j, k + 1]
                s2 += rows[i, k + 2] * rows[j, k + 2]
                s3 += rows[i, k + 3] * rows[j, k + 3]
            s6[e] = (s + ((s0 + s1) + (s2 + s3))) * scale[i] * scale[j]
            if symmetric and j > i:
                # Lists are sorted: the entry of i in the list of j is the next one there.
                s6[seen[j]] = s6[e]
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
    for i in range(len(mean)):
        bonds = np.sort(s6[first[i] : first[i + 1]])
        n = len(bonds)
        mean[i], margin[i], crystalline[i] = np.nan, np.nan, 0
        if n:
            mean[i] = bonds.mean()
            if np.isnan(mean[i]):
                crystalline[i] = -1
            elif int(min_fraction * n) < n:
                margin[i] = bonds[n - 1 - int(min_fraction * n)] - threshold
                crystalline[i] = margin[i] > 0
