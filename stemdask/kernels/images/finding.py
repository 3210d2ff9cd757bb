"""All columns of an image, with their lattice, without a number from the user.

1. The autocorrelation gives two lattice vectors (`separation`).
2. The maxima of the smoothed image that continue the lattice from a seed are its anchors (`peaks`, `growth`).
3. The mean cell shows which columns a cell contains, however weak (`motif`).
4. Each of them is looked for where its cell expects it (`sites`), and taken where it stands out of its surroundings.
   Where no lattice is (vacuum, an amorphous film), nothing is expected and nothing is taken.
5. What the lattice leaves unexplained is searched for further grains in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stemdask.kernels.images.growth import UNINDEXED, best_seed, grow
from stemdask.kernels.images.lattice import fit_lattice, name_vectors
from stemdask.kernels.images.motif import Motif, find_motif, find_superlattice, mean_cell
from stemdask.kernels.images.peaks import climb, contrast, local_maxima, smooth
from stemdask.kernels.images.separation import LatticeVectors, NoLatticeError, estimate_lattice, reduce_vectors
from stemdask.kernels.images.sites import predict_sites, to_grid

#: Smoothing before the search, in units of the distance of the columns.
_SMOOTHING = 0.15
_TOLERANCE = 0.28
_MIN_RATIO = 0.4
_FEWEST = 12
#: Chance that a site inside the crystal is empty, which a measurement has to outweigh.
_VACANT = 0.01
_MAX_GRAINS = 8
_MAX_SEEDS = 400
#: A sublattice is reported where its columns stand out one by one, by this many standard deviations.
_VISIBLE = 1.3


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns found in one image, and the columns beyond its border that reach into it."""

    positions: NDArray[np.float64]
    """(n, 2), px, (y, x); starting values for a fit."""
    sublattice: NDArray[np.int8]
    """(n,), 0 = A, the brightest; 1 = B, ...; within the image."""
    i: NDArray[np.int32]
    """(n,), cell index along a, not negative."""
    j: NDArray[np.int32]
    """(n,), cell index along b, not negative."""
    grain: NDArray[np.int8]
    """(n,), 0 for the first grain."""
    interior: NDArray[np.bool_]
    """(n,), far enough from the border to be measured."""
    ghosts: NDArray[np.float64]
    """(m, 2), px; sites of the lattice just outside the image."""
    ghost_sublattice: NDArray[np.int8]
    """(m,)."""
    vectors: LatticeVectors
    """Named vectors of the first grain, px, and the confidence in them."""
    distance: float
    """Shortest distance of two columns in px."""
    widths: NDArray[np.float64]
    """Standard deviation in px of the columns of each sublattice."""


@dataclass(frozen=True, slots=True)
class _Grain:
    positions: NDArray[np.float64]
    sublattice: NDArray[np.int8]
    i: NDArray[np.int32]
    j: NDArray[np.int32]
    ghosts: NDArray[np.float64]
    ghost_sublattice: NDArray[np.int8]
    vectors: LatticeVectors
    distance: float
    widths: NDArray[np.float64]


def find_columns(image: NDArray[np.generic], separation: tuple[float, float] | None = None) -> Columns:
    """Find the columns of an image and index them.

    Parameters
    ----------
    image
        (ny, nx), any real type, columns bright; NaN where a pixel is missing.
    separation
        Range in px of the shortest lattice vector; None to take it from the image.

    Raises
    ------
    NoLatticeError
        If there is no lattice in the image.
    """
    pixels, valid = _filled(image)
    grain = _find_grain(pixels, valid, separation)
    return _join([grain], valid)


def _filled(image: NDArray[np.generic]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the image as float32 of mean 0 and deviation 1, missing pixels filled from around, and what is valid."""
    valid = np.isfinite(image)
    if not valid.any():
        raise NoLatticeError("no lattice: the image holds no finite pixel")
    finite = image[valid].astype(np.float64)
    mean, deviation = float(finite.mean()), float(finite.std())
    if deviation <= 1e-9 * abs(mean) or deviation == 0.0:
        raise NoLatticeError("no lattice: all pixels are equal")
    pixels = ((image.astype(np.float64) - mean) / deviation).astype(np.float32)
    if not valid.all():
        nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
        pixels = pixels[tuple(nearest)]
    return pixels, valid


def _find_grain(
    pixels: NDArray[np.float32], valid: NDArray[np.bool_], separation: tuple[float, float] | None
) -> _Grain:
    vectors = estimate_lattice(np.where(valid, pixels, np.float32(np.nan)), separation)
    a, b = vectors.a, vectors.b
    d = vectors.separation
    smoothed = smooth(pixels, max(_SMOOTHING * d, 0.6))
    peaks, _ = local_maxima(smoothed, 1)
    heights = contrast(smoothed, peaks, 0.45 * d)
    i, j = _grow_anchors(peaks, heights, a, b, d)
    a, b, i, j = _true_cell(peaks, heights, i, j)
    d = float(min(np.hypot(*a), np.hypot(*b)))
    grid, _, _ = to_grid(peaks, i, j, padding=2)
    samples = tuple(int(np.clip(round(float(np.hypot(*v))), 16, 64)) for v in (a, b))
    cell, error = mean_cell(pixels, grid, (samples[0], samples[1]))
    motif = find_motif(cell, error, a, b)
    if len(motif.fractions) == 0:
        raise NoLatticeError("no lattice: the mean cell shows no column")
    return _populate(pixels, grid, _grid_values(heights, i, j, padding=2), a, b, motif, vectors.confidence)


def _grow_anchors(
    peaks: NDArray[np.float64], heights: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64], d: float
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    high = heights[heights > 0]
    if len(high) == 0:
        raise NoLatticeError("no lattice: the image repeats, but has no maxima")
    bright = np.flatnonzero(heights >= 0.6 * np.percentile(high, 95))
    candidates = bright[:: max(len(bright) // _MAX_SEEDS, 1)]
    seed = best_seed(peaks, heights, candidates, a, b, _TOLERANCE * d)
    if seed < 0:
        raise NoLatticeError("no lattice: the image repeats, but no column has six neighbours where they should be")
    i, j = grow(peaks, heights, a, b, seed, _TOLERANCE * d, _MIN_RATIO)
    for _ in range(2):
        _prune(peaks, i, j, d)
    if np.count_nonzero(i != UNINDEXED) < _FEWEST:
        raise NoLatticeError(f"no lattice: fewer than {_FEWEST} columns continue one another")
    return i, j


def _prune(peaks: NDArray[np.float64], i: NDArray[np.int32], j: NDArray[np.int32], d: float) -> None:
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


def _grid_values(
    values: NDArray[np.float64], i: NDArray[np.int32], j: NDArray[np.int32], padding: int
) -> NDArray[np.float64]:
    grid, _, _ = to_grid(np.stack([values, values], axis=1), i, j, padding)
    return grid[..., 0]


def _true_cell(
    peaks: NDArray[np.float64], heights: NDArray[np.float64], i: NDArray[np.int32], j: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    """Replace the cell of the autocorrelation by the true one, named, with the brightest columns at its corners."""
    part = np.flatnonzero(i != UNINDEXED)
    combination = np.array(find_superlattice(_grid_values(heights, i, j, 0)), float)
    lattice = fit_lattice(peaks[part], i[part], j[part])
    a, b = reduce_vectors(*(combination @ np.stack([lattice.a, lattice.b])))
    cell = np.stack([a, b])
    cell = name_vectors(a, b) @ cell
    inverse = np.linalg.inv(cell)
    fractional = (lattice.at(i[part], j[part]) - lattice.origin) @ inverse
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


def _populate(
    pixels: NDArray[np.float32],
    grid: NDArray[np.float64],
    anchor_heights: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    motif: Motif,
    confidence: float,
) -> _Grain:
    """Look for every column of the motif in every cell."""
    fractions = _relative_to_corner(motif.fractions)
    corner = motif.fractions[0]
    distance = _shortest_distance(motif.fractions, a, b)
    blur = float(np.clip(0.6 * float(np.median(motif.widths)), 0.5, 0.25 * distance))
    smoothed = smooth(pixels, blur)
    level = _local_mean(anchor_heights)
    found: list[tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]] = []
    ghosts: list[tuple[NDArray[np.float64], NDArray[np.int8]]] = []
    for k, fraction in enumerate(fractions):
        sites, support = predict_sites(grid, a, b, corner + fraction, False)
        known = np.isfinite(sites[..., 0])
        i, j = np.nonzero(known)
        expected = sites[known]
        inside = (
            (expected >= 0).all(axis=1)
            & (expected[:, 0] <= pixels.shape[0] - 1)
            & (expected[:, 1] <= pixels.shape[1] - 1)
        )
        outside = ~inside & (support[known] >= 2)
        ghosts.append((expected[outside], np.full(outside.sum(), k, np.int8)))
        i, j, expected, around = i[inside], j[inside], expected[inside], support[known][inside]
        at, _ = climb(smoothed, expected, 0.33 * distance)
        radius = 0.35 * distance
        width = np.hypot(motif.widths[k], blur)
        own = motif.amplitudes[k] * (motif.widths[k] / width) ** 2 * (1.0 - np.exp(-0.5 * (radius / width) ** 2))
        taken = _occupied(contrast(smoothed, at, radius) / level[i, j], own, around)
        found.append((at[taken], np.full(taken.sum(), k, np.int8), i[taken], j[taken]))
    positions = np.concatenate([entry[0] for entry in found])
    i = np.concatenate([entry[2] for entry in found])
    j = np.concatenate([entry[3] for entry in found])
    return _Grain(
        positions,
        np.concatenate([entry[1] for entry in found]),
        (i - i.min(initial=0)).astype(np.int32),
        (j - j.min(initial=0)).astype(np.int32),
        np.concatenate([entry[0] for entry in ghosts]),
        np.concatenate([entry[1] for entry in ghosts]),
        LatticeVectors(a, b, confidence),
        distance,
        motif.widths,
    )


def _relative_to_corner(fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions in the cell relative to its brightest column, in -0.1 .. 0.9."""
    relative = fractions - fractions[0]
    return relative - np.floor(relative + 0.1)


def _shortest_distance(fractions: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    shifts = np.array([(n, m) for n in (-1, 0, 1) for m in (-1, 0, 1)], float)
    difference = (fractions[:, None, None] - fractions[None, :, None] + shifts).reshape(-1, 2) @ np.stack([a, b])
    lengths = np.hypot(difference[:, 0], difference[:, 1])
    return float(lengths[lengths > 1e-6].min())


def _local_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over 5 × 5 cells of what is known, in units of the overall median."""
    known = np.isfinite(values)
    total = ndimage.uniform_filter(np.where(known, values, 0.0), 5, mode="constant")
    weight = ndimage.uniform_filter(known.astype(float), 5, mode="constant")
    mean = np.where(weight > 1e-9, total / np.maximum(weight, 1e-9), np.nan)
    return mean / float(np.nanmedian(values))


def _occupied(heights: NDArray[np.float64], own: float, support: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell at which sites there is a column.

    Inside the crystal nearly every site is occupied: the median of the heights is that of an occupied site, and an
    empty one is lower by what the column itself adds (`own`); the tails of the neighbours are in both. The boundary is
    below the middle by as much as the noise demands (two equal normal distributions, chance of a vacancy 1 %); at the
    edge of the crystal, in the middle.

    Parameters
    ----------
    heights
        (n,), heights over the surroundings, relative to the local brightness of the lattice.
    own
        Height that a typical column has without its neighbours.
    support
        (n,), number of columns around.
    """
    deep = support == support.max(initial=0)
    inside = deep & np.isfinite(heights)
    if not inside.any():
        return np.zeros(len(heights), np.bool_)
    typical = float(np.median(heights[inside]))
    spread = 1.4826 * float(np.median(np.abs(heights[inside] - typical))) / own
    if spread > 1.0 / _VISIBLE:
        return np.zeros(len(heights), np.bool_)
    boundary = np.where(deep, 0.5 + spread**2 * np.log(1.0 / _VACANT), 0.5)
    taken: NDArray[np.bool_] = heights > typical - boundary * own
    return taken


def _join(grains: list[_Grain], valid: NDArray[np.bool_]) -> Columns:
    positions = np.concatenate([grain.positions for grain in grains])
    first = grains[0]
    margin = 0.5 * first.distance
    top = np.array(valid.shape) - 1 - margin
    return Columns(
        positions=positions,
        sublattice=np.concatenate([grain.sublattice for grain in grains]),
        i=np.concatenate([grain.i for grain in grains]),
        j=np.concatenate([grain.j for grain in grains]),
        grain=np.concatenate([np.full(len(grain.i), n, np.int8) for n, grain in enumerate(grains)]),
        interior=(positions >= margin).all(axis=1) & (positions <= top).all(axis=1),
        ghosts=np.concatenate([grain.ghosts for grain in grains]),
        ghost_sublattice=np.concatenate([grain.ghost_sublattice for grain in grains]),
        vectors=first.vectors,
        distance=first.distance,
        widths=first.widths,
    )
