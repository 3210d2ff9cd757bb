"""The columns of every cell: each site of the motif, looked for where the anchors around it expect it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Booleans, Codes, Floats, Image, Integers, Integers32
from stemdask.kernels.images.finding.anchors import Anchors
from stemdask.kernels.images.finding.motif import Motif, shortest_distance
from stemdask.kernels.images.finding.peaks import climb, contrast, smooth
from stemdask.kernels.images.finding.sites import predict_sites

#: A sublattice is reported where its columns stand out one by one, by this many standard deviations.
_VISIBLE = 1.3
#: Chance that a site inside the crystal is empty, which a measurement has to outweigh.
_VACANT = 0.01
#: Part of the anchors around that a site at the edge of the crystal needs, and how far its column may be from where it
#: is expected: a few of the usual shifts inside the crystal, and never more than some of the shortest distance of two
#: columns. What an amorphous film has near a site is mostly further away.
_EDGE_SUPPORT = 0.4
_EDGE_SHIFT = 0.27
_LEAST_SHIFT = 0.06
_USUAL_SHIFTS = 4.0
#: Sites beyond the border are of interest up to so many of the shortest distances of two columns: their tails reach in.
_GHOST_REACH = 1.5
_SHIFT = 0.33


@dataclass(frozen=True, slots=True)
class Sites:
    """Occupied sites of one grain, and its sites just outside the image."""

    positions: Floats
    """(n, 2), px, (y, x)."""
    sublattice: Codes
    """(n,), place in the motif."""
    i: Integers32
    """(n,), from 0."""
    j: Integers32
    ghosts: Floats
    """(m, 2), px."""
    ghost_sublattice: Codes
    distance: float
    """Shortest distance of two sites, px."""


def populate(pixels: Image, free: Booleans, anchors: Anchors, motif: Motif) -> Sites:
    """Look for every column of the motif in every cell.

    Parameters
    ----------
    pixels
        (ny, nx), without missing pixels.
    free
        (ny, nx), where to look.
    anchors, motif
        The lattice, and what its cell contains.
    """
    fractions = _relative_to_first(motif.fractions)
    distance = shortest_distance(motif.fractions, anchors.a, anchors.b)
    blur = float(np.clip(0.6 * motif.width, 0.5, 0.16 * distance))
    smoothed = smooth(pixels, blur)
    level = _local_mean(anchors.heights)
    radius = 0.35 * distance
    cell = 1.2 * max(np.hypot(*anchors.a), np.hypot(*anchors.b))
    top = np.array(pixels.shape) - 1
    found, ghosts = [], []
    for k, fraction in enumerate(fractions):
        sites, support = predict_sites(anchors.grid, anchors.a, anchors.b, motif.fractions[0] + fraction, False)
        known = np.isfinite(sites[..., 0])
        i, j = np.nonzero(known)
        expected, around = sites[known], support[known]
        inside = ((expected >= 0) & (expected <= top)).all(axis=1)
        outer = np.maximum(-expected, expected - top).max(axis=1) / distance
        # At the border of the image half of the neighbours are missing without being absent.
        at_border = outer * distance > -cell
        needed = np.where(at_border, 0.5 * _EDGE_SUPPORT, _EDGE_SUPPORT)
        supported = around >= needed * support.max(initial=1)
        # At the border a site has its neighbours on one side only: it may not be measured, but its tail is there.
        beyond = (~inside | (~supported & (outer > -0.5))) & (outer < _GHOST_REACH)
        ghosts.append((expected[beyond], np.full(np.count_nonzero(beyond), k, np.int8)))
        inside &= supported
        inside[inside] = free[tuple(np.round(expected[inside]).astype(np.int64).T)]
        i, j, expected, around = i[inside], j[inside], expected[inside], around[inside]
        at, _ = climb(smoothed, expected, _SHIFT * distance)
        width = np.hypot(motif.width, blur)
        own = motif.amplitudes[k] * (motif.width / width) ** 2 * (1.0 - np.exp(-0.5 * (radius / width) ** 2))
        deep = around == around.max(initial=0)
        taken = _occupied(contrast(smoothed, at, radius) / level[i, j], own, deep)
        shift = np.hypot(*(at - expected).T)
        usual = float(np.median(shift[deep])) if deep.any() else np.inf
        # Where the crystal is thin, noise shifts its columns further.
        likely = _USUAL_SHIFTS * usual / np.clip(level[i, j], 0.1, 1.0) + _LEAST_SHIFT * distance
        taken &= deep | at_border[inside] | (shift < np.minimum(likely, _EDGE_SHIFT * distance))
        found.append((at[taken], np.full(np.count_nonzero(taken), k, np.int8), i[taken], j[taken]))
    positions, sublattice, i, j = (np.concatenate(parts) for parts in zip(*found, strict=True))
    once = _first_of_twins(positions, 0.4 * distance)
    positions, sublattice, i, j = positions[once], sublattice[once], i[once], j[once]
    return Sites(
        positions,
        sublattice,
        _from_zero(i),
        _from_zero(j),
        np.concatenate([entry[0] for entry in ghosts]),
        np.concatenate([entry[1] for entry in ghosts]),
        distance,
    )


def _from_zero(indices: Integers) -> Integers32:
    return (indices - (indices.min() if len(indices) else 0)).astype(np.int32)


def _first_of_twins(positions: Floats, radius: float) -> Booleans:
    """Tell which columns to keep where two sites, at a dislocation, found the same one."""
    twins = cKDTree(positions).query_pairs(radius, output_type="ndarray")
    keep = np.ones(len(positions), np.bool_)
    keep[twins.max(axis=1, initial=0) if len(twins) else []] = False
    return keep


def _relative_to_first(fractions: Floats) -> Floats:
    """Positions in the cell relative to its brightest column, in -0.1 .. 0.9."""
    relative = fractions - fractions[0]
    return np.asarray(relative - np.floor(relative + 0.1))


def _local_mean(values: Floats) -> Floats:
    """Mean over 5 × 5 cells of what is known, in units of the overall median."""
    known = np.isfinite(values)
    total = ndimage.uniform_filter(np.where(known, values, 0.0), 5, mode="constant")
    weight = ndimage.uniform_filter(known.astype(float), 5, mode="constant")
    mean = np.where(weight > 1e-9, total / np.maximum(weight, 1e-9), np.nan)
    return np.asarray(mean / np.nanmedian(values))


def _occupied(heights: Floats, own: float, deep: Booleans) -> Booleans:
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
    deep
        (n,), whether all columns around are there.
    """
    inside = deep & np.isfinite(heights)
    if not inside.any():
        return np.zeros(len(heights), np.bool_)
    typical = float(np.median(heights[inside]))
    spread = 1.4826 * float(np.median(np.abs(heights[inside] - typical))) / own
    if spread > 1.0 / _VISIBLE:
        return np.zeros(len(heights), np.bool_)
    boundary = np.where(deep, 0.5 + spread**2 * np.log(1.0 / _VACANT), 0.5)
    return np.greater(heights, typical - boundary * own)
