"""The anchors of a lattice: the bright columns that can be seen at once, indexed, at the corners of the true cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stemdask.kernels.arrays import Booleans, Floats, Image, Integers, Integers32
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.crystal.lattice import fit_lattice, name_vectors
from stemdask.kernels.images.finding.growth import UNINDEXED, best_seed, grow
from stemdask.kernels.images.finding.peaks import contrast, local_maxima, smooth
from stemdask.kernels.images.finding.separation import LatticeVectors, NoLatticeError, TooFewCellsError, reduce_vectors
from stemdask.kernels.images.finding.sites import predict_sites, to_grid
from stemdask.kernels.images.finding.superlattice import find_superlattice

#: Smoothing before the search, in units of the shorter lattice vector.
_SMOOTHING = 0.15
_TOLERANCE = 0.28
_MIN_RATIO = 0.4
_FEWEST = 12
#: Maxima of this part of the usual height of the anchors are about as high; those of noise seldom are.
_AS_HIGH = 0.8
_MAX_SEEDS = 400
#: Vectors of which a side holds fewer, and which don't lead to columns, weren't seen often enough to be right.
_FEW_CELLS = 4.0
#: Cells along a side over which the vectors are averaged to see how the lattice lies there, how many of them must be
#: known, and how far the mean may be from the vectors of most of the grain, in units of the shorter one: 9 degrees.
#: Strain and scan distortion stay far below it; a grain turned by more is another, though along a boundary growth may
#: find a way into it.
_LOCAL = 5
_KNOWN = 0.2
_TURNED = 0.15
#: Empty cells around the anchors, for sites beyond the last of them.
_PADDING = 2


@dataclass(frozen=True, slots=True)
class Anchors:
    """Indexed columns of one kind on their index grid."""

    grid: Floats
    """(ni, nj, 2), px, (y, x); NaN where there is none, and two cells wide around them."""
    heights: Floats
    """(ni, nj), height of each over its surroundings."""
    a: Floats
    """(2,), mean lattice vector, px, (y, x), named by the rule of `name_vectors`."""
    b: Floats
    bright: Floats
    """(k, 2), px: the maxima of the image that are about as high as these, indexed or not."""


def find_anchors(
    pixels: Image, free: Booleans, vectors: LatticeVectors, distance: float | None = None, *, whole: bool = False
) -> Anchors:
    """Find the bright columns that continue a lattice of given vectors.

    Parameters
    ----------
    pixels
        (ny, nx), without missing pixels.
    free
        (ny, nx), where to look.
    vectors
        Lattice vectors as seen in the autocorrelation.
    distance
        Shortest distance of two columns in px, of whatever kind, where it is known: what lies nearer must neither be
        smoothed into one maximum nor be taken for another. None: the length of the shorter vector.
    whole
        The vectors are those of the whole cell: no superlattice is looked for.

    Raises
    ------
    NoLatticeError
        If the maxima of the image don't follow them.
    """
    d = vectors.separation if distance is None else distance
    smoothed = smooth(pixels, max(_SMOOTHING * d, 0.6))
    peaks, _ = local_maxima(smoothed, 1)
    nearest = np.round(peaks).astype(np.int64)
    peaks = peaks[free[nearest[:, 0], nearest[:, 1]]]
    heights = contrast(smoothed, peaks, 0.45 * d)
    i, j = _grow(peaks, heights, vectors.a, vectors.b, d, pixels.shape)
    a, b, i, j = _true_cell(peaks, heights, i, j, complete=whole)
    grid, _, _ = to_grid(peaks, i, j, _PADDING)
    bright = heights >= _AS_HIGH * np.median(heights[i != UNINDEXED])
    return Anchors(grid, _grid_values(heights, i, j, _PADDING), a, b, peaks[bright])


def _grow(
    peaks: Floats, heights: Floats, a: Floats, b: Floats, d: float, shape: tuple[int, ...]
) -> tuple[Integers32, Integers32]:
    high = heights[heights > 0]
    if len(high) == 0:
        raise NoLatticeError("no lattice: the image repeats, but has no maxima")
    bright = np.flatnonzero(heights >= 0.6 * np.percentile(high, 95))
    candidates = bright[:: max(len(bright) // _MAX_SEEDS, 1)]
    seed = best_seed(peaks, heights, candidates, a, b, _TOLERANCE * d)
    if seed < 0:
        if (_FEW_CELLS * np.abs([a, b]).max(axis=0) > shape).any():
            raise TooFewCellsError.of(a, b, shape)
        raise NoLatticeError("no lattice: the image repeats, but no column has six neighbours where they should be")
    i, j = grow(peaks, heights, a, b, seed, _TOLERANCE * d, _MIN_RATIO)
    _leave_other_grains(peaks, i, j)
    for _ in range(2):
        _prune(peaks, i, j, d)
    if np.count_nonzero(i != UNINDEXED) < _FEWEST:
        raise NoLatticeError(f"no lattice: fewer than {_FEWEST} columns continue one another")
    return i, j


def _leave_other_grains(peaks: Floats, i: Integers32, j: Integers32) -> None:
    """Take out, in place, columns around which the lattice lies otherwise than in most of the grain."""
    part = np.flatnonzero(i != UNINDEXED)
    grid, i0, j0 = to_grid(peaks, i, j, 1)
    vectors = np.concatenate([np.diff(grid, axis=axis, append=np.nan) for axis in (0, 1)], axis=-1)
    known = np.isfinite(vectors).all(axis=-1)
    around = (_LOCAL, _LOCAL, 1)
    weight = ndimage.uniform_filter(known.astype(float), _LOCAL, mode="constant")
    total = ndimage.uniform_filter(np.where(known[..., None], vectors, 0.0), around, mode="constant")
    told = weight > _KNOWN
    local = total[told] / weight[told, None]
    if len(local) == 0:
        return
    some = local[:: max(len(local) // _MAX_SEEDS, 1)]
    allowed = _TURNED * float(np.hypot(some[:, 0::2], some[:, 1::2]).mean(axis=0).min())
    # Most of the grain lies as where most lies alike: a mean would lie between two grains.
    alike = _count_near(local, some, 0.5 * allowed)
    usual = local[_apart(local, some[int(np.argmax(alike))]) < 0.5 * allowed].mean(axis=0)
    turned = np.zeros(grid.shape[:2], np.bool_)
    turned[told] = _apart(local, usual) > allowed
    bad = part[turned[i[part] - i0, j[part] - j0]]
    i[bad] = UNINDEXED
    j[bad] = UNINDEXED


@kernel
def _count_near(bases: Floats, others: Floats, distance: float) -> Integers:
    """Return how many pairs of vectors (n, 4) are less than a distance from each of some others (m, 4)."""
    count = np.zeros(len(others), np.int64)
    for k in range(len(others)):
        for n in range(len(bases)):
            far = False
            for of in (0, 2):
                y, x = bases[n, of] - others[k, of], bases[n, of + 1] - others[k, of + 1]
                far |= y * y + x * x >= distance * distance
            count[k] += not far
    return count


def _apart(bases: Floats, other: Floats) -> Floats:
    """Return how far pairs of vectors (n, 4) are from another pair (4,): the larger of the two distances."""
    off = bases - other
    return np.asarray(np.maximum(np.hypot(off[:, 0], off[:, 1]), np.hypot(off[:, 2], off[:, 3])))


def _prune(peaks: Floats, i: Integers32, j: Integers32, d: float) -> None:
    """Take out, in place, columns that their neighbours don't expect there, and those with hardly a neighbour."""
    part = np.flatnonzero(i != UNINDEXED)
    lattice = fit_lattice(peaks[part], i[part], j[part])
    if not np.isfinite(lattice.a).all():
        return
    grid, i0, j0 = to_grid(peaks, i, j)
    expected, support = predict_sites(grid, lattice.a, lattice.b, np.zeros(2), True)
    row, column = i[part] - i0, j[part] - j0
    off = np.hypot(*(peaks[part] - expected[row, column]).T)
    bad = part[~(off < 0.2 * d) | (support[row, column] < 3)]
    i[bad] = UNINDEXED
    j[bad] = UNINDEXED


def _grid_values(values: Floats, i: Integers32, j: Integers32, padding: int) -> Floats:
    grid, _, _ = to_grid(np.stack([values, values], axis=1), i, j, padding)
    return grid[..., 0]


def _true_cell(
    peaks: Floats, heights: Floats, i: Integers32, j: Integers32, *, complete: bool
) -> tuple[Floats, Floats, Integers32, Integers32]:
    """Replace the cell of the autocorrelation by the true one, named, with the brightest columns at its corners."""
    part = np.flatnonzero(i != UNINDEXED)
    combination = np.eye(2) if complete else np.array(find_superlattice(_grid_values(heights, i, j, 0)), float)
    lattice = fit_lattice(peaks[part], i[part], j[part])
    a, b = reduce_vectors(*(combination @ np.stack([lattice.a, lattice.b])))
    cell = np.stack([a, b])
    cell = name_vectors(a, b) @ cell
    inverse = np.linalg.inv(cell)
    fractional = np.stack([i[part], j[part]], axis=1) @ np.stack([lattice.a, lattice.b]) @ inverse
    # Columns of one coset share the fractional part; the brightest coset keeps its indices.
    coset = np.round((fractional - np.floor(fractional + 1e-6)) * 12).astype(np.int64) @ np.array([13, 1])
    labels, which = np.unique(coset, return_inverse=True)
    brightest = int(np.argmax([np.nanmedian(heights[part][which == n]) for n in range(len(labels))]))
    chosen = which == brightest
    new_i = np.full(len(i), UNINDEXED, np.int32)
    new_j = np.full(len(j), UNINDEXED, np.int32)
    whole = np.floor(fractional[chosen] + 1e-6).astype(np.int32)
    new_i[part[chosen]], new_j[part[chosen]] = whole[:, 0], whole[:, 1]
    return cell[0], cell[1], new_i, new_j
