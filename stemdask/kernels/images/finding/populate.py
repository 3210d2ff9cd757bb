"""The columns of every cell: each site of the motif, looked for where the anchors around it expect it.

Whether a site is occupied is a test, not a threshold. The height of the column by itself, without its neighbours'
tails, is held against three stories: a column as high as its like is there, a dimmer one, or none and noise made the
height. What the columns leave unexplained around the site is the noise, so that dose, scan noise and an amorphous film
count for what they are. A dim column in a clear image is a column; a site of which a poor image says nothing is taken
for what most of its like are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage, special
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Booleans, Codes, Floats, Image, Integers, Integers32
from stemdask.kernels.images.finding.anchors import Anchors
from stemdask.kernels.images.finding.heights import heights_alone, tails, unexplained
from stemdask.kernels.images.finding.motif import Motif, shortest_distance
from stemdask.kernels.images.finding.peaks import climb, contrast, smooth
from stemdask.kernels.images.finding.sites import SUPPORT_REACH, predict_sites

#: A sublattice is reported where its columns stand out one by one, by this many standard deviations.
_VISIBLE = 1.3
#: Chance that a site is empty, and that its column is dimmer than its like (by any amount): inside the crystal, and
#: where hardly enough anchors are around for a site.
_EMPTY, _DIMMER = (0.01, 0.6), (0.01, 0.2)
#: Part of the anchors around from which on a site is inside, and up to which it's outside.
_INSIDE, _OUTSIDE = 0.8, 0.5
#: Standard deviation of the heights of like columns, relative to them, and the least that an image leaves unexplained.
_UNLIKE = 0.3
_UNEXPLAINED = 0.02
#: So many sites of a kind tell what is usual for it, however few anchors are around them.
_DEEPEST = 4
#: How far the tails of columns at the border and beyond may be from what is assumed, relative to it.
_DOUBT = 0.3
#: Looking for the maximum near a site lifts the height of nothing by so many standard deviations.
_LUCK = 1.5
#: Part of the anchors around that a site at the edge of the crystal needs, and less where the crystal may grow.
_SUPPORT, _RIM_SUPPORT = 0.4, 0.3
#: So many columns beside a site support it as anchors do.
_LEAST_BESIDE = 2
#: How far the column of a site at the edge may be from where it's expected: a few of the usual shifts inside the
#: crystal and of those that noise makes, and never more than some of the shortest distance of two columns. What an
#: amorphous film has near a site is mostly further away.
_EDGE_SHIFT = 0.27
_LEAST_SHIFT = 0.06
_USUAL_SHIFTS = 4.0
_NOISE_SHIFTS = 2.0
#: Sites beyond the border are of interest up to so many of the shortest distances of two columns: their tails reach in.
_GHOST_REACH = 1.5
_SHIFT = 0.33
#: So many columns of its sublattice tell a ghost by how much they lie aside of where the lattice has them.
_LIKE = 8
#: Columns nearer to each other than this, in units of the shortest distance of columns, are one.
_TWIN = 0.4
#: Rounds in which a crystal may grow over its rim: what is found there tells where the next columns would be.
_ROUNDS = 6
#: A column of the motif this near to the corner of the cell, in units of the cell, is of the kind of the anchors.
_CORNER = 0.12

#: Cells around one, by their indices.
_CELLS = np.stack(np.meshgrid(np.arange(-2, 4), np.arange(-2, 4), indexing="ij"), axis=-1).reshape(-1, 2)


class _Shape(NamedTuple):
    """Of columns in the smoothed image, px."""

    width: float
    radius: float
    """Of the ring over which a height is measured."""
    distance: float
    """Shortest distance of two columns."""


@dataclass(frozen=True, slots=True)
class Sites:
    """Occupied sites of one grain, and those of its sites at which no column is taken."""

    positions: Floats
    """(n, 2), px, (y, x)."""
    sublattice: Codes
    """(n,), place in the motif."""
    i: Integers32
    """(n,), from 0."""
    j: Integers32
    ghosts: Floats
    """(m, 2), px: beyond the border, under missing pixels, or empty."""
    ghost_sublattice: Codes
    distance: float
    """Shortest distance of two sites, px."""
    shift: Floats
    """(n,), px, how far each column is from where its lattice has it."""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Sites of the lattice that the image or its border may tell of; n of them."""

    expected: Floats
    """(n, 2), px."""
    kind: Codes
    """(n,), place in the motif."""
    i: Integers
    """(n,), on the grid of the anchors."""
    j: Integers
    level: Floats
    """(n,), brightness of the lattice around, in units of the whole."""
    looked: Booleans
    """(n,), in the image, on pixels that are this grain's."""
    supported: Booleans
    """(n,), whether enough anchors are around for a site of the crystal."""
    around: Floats
    """(n,), part of the anchors around that are there, of those that could be seen."""


def populate(
    pixels: Image, valid: Booleans, free: Booleans, anchors: Anchors, motif: Motif, *, grow: bool = True
) -> Sites:
    """Look for every column of the motif in every cell.

    Parameters
    ----------
    pixels
        (ny, nx), missing pixels filled.
    valid
        (ny, nx), those around which enough weren't missing.
    free
        (ny, nx), valid and of no other grain.
    anchors, motif
        The lattice, and what its cell contains.
    grow
        Whether to follow the crystal over the last of its anchors, as far as there are columns.
    """
    distance = shortest_distance(motif.fractions, anchors.a, anchors.b)
    blur = float(np.clip(0.6 * motif.width, 0.5, 0.16 * distance))
    smoothed = smooth(pixels, blur)
    seen = smoothed if valid.all() else np.where(valid, smoothed, np.float32(np.nan))
    shape = _Shape(float(np.hypot(motif.width, blur)), 0.35 * distance, distance)
    own = motif.amplitudes * (motif.width / shape.width) ** 2
    for _ in range(_ROUNDS if grow else 1):
        sites = _candidates(valid, free, anchors, motif, _RIM_SUPPORT if grow else _SUPPORT)
        at, _ = climb(smoothed, sites.expected, _SHIFT * distance)
        at = np.where(sites.looked[:, None], np.clip(at, 0.0, np.array(pixels.shape) - 1.0), at)
        shown = _shown(seen, sites, at, own, shape)
        taken = _with_those_beside(shown, sites, anchors, motif, valid)
        grown = _grown(anchors, motif, sites, at, taken)
        if grown is None:
            break
        anchors = grown
    shift, ghost = np.hypot(*(at - sites.expected).T), sites.supported & ~taken
    # At a dislocation two sites may have found the same column.
    taken[taken] = once(at[taken], shift[taken], _TWIN * distance)
    return Sites(
        at[taken],
        sites.kind[taken],
        _from_zero(sites.i[taken]),
        _from_zero(sites.j[taken]),
        _beyond(sites, at, taken, ghost),
        sites.kind[ghost],
        distance,
        shift[taken],
    )


def _candidates(valid: Booleans, free: Booleans, anchors: Anchors, motif: Motif, needed: float) -> _Candidates:
    distance = shortest_distance(motif.fractions, anchors.a, anchors.b)
    top = np.array(valid.shape) - 1
    level = _local_mean(anchors.heights)
    parts = []
    for k, offset in enumerate(_offsets(motif)):
        places, support = predict_sites(anchors.grid, anchors.a, anchors.b, offset, False)
        known = np.isfinite(places[..., 0]) & np.isfinite(level)
        i, j = np.nonzero(known)
        expected, around = places[known], support[known]
        inside = ((expected >= -0.5) & (expected <= top + 0.5)).all(axis=1)
        outer = np.maximum(-expected, expected - top).max(axis=1)
        pixel = tuple(np.clip(np.round(expected), 0, top).astype(np.int64).T)
        possible = _possible(expected, offset, anchors, valid, 0.3 * distance)
        supported = around >= np.maximum(needed * possible, 1.0)
        looked = inside & free[pixel]
        # A column beyond the border, or under missing pixels, can't be measured, but its tail is there.
        unseen = np.where(inside, ~valid[pixel] & supported, outer < _GHOST_REACH * distance)
        keep = looked | unseen
        kinds = np.full(len(i), k, np.int8)
        part = (expected, kinds, i, j, level[i, j], looked, supported | ~inside, around / possible)
        parts.append(tuple(values[keep] for values in part))
    return _Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _with_those_beside(
    shown: Booleans, sites: _Candidates, anchors: Anchors, motif: Motif, valid: Booleans
) -> Booleans:
    """Tell which sites (n,) that show a column are taken: those supported by anchors, and those beside enough of them.

    In a wide cell of many columns few anchors are around a column at the rim of a particle, but columns are.
    """
    taken = shown & sites.supported
    open_, offsets, both = np.flatnonzero(shown & ~taken), _offsets(motif), np.stack([anchors.a, anchors.b])
    if len(offsets) == 1 or not len(open_):
        return taken
    reach = SUPPORT_REACH * np.sqrt(abs(np.linalg.det(both)) / len(offsets))
    around = cKDTree(sites.expected).query_ball_point(sites.expected[open_], reach)
    needed = np.empty(len(open_))
    for k, offset in enumerate(offsets):
        of = sites.kind[open_] == k
        steps = ((_CELLS[:, None] + offsets - offset) @ both).reshape(-1, 2)
        length = np.hypot(*steps.T)
        possible = _count(sites.expected[open_[of]], steps[(length > 0.0) & (length < reach)], valid, 0.0)
        needed[of] = np.maximum(_RIM_SUPPORT * possible, _LEAST_BESIDE)
    while len(open_):
        new = np.array([np.count_nonzero(taken[beside]) for beside in around]) >= needed
        if not new.any():
            break
        taken[open_[new]] = True
        open_, around, needed = open_[~new], around[~new], needed[~new]
    return taken


def _possible(expected: Floats, offset: Floats, anchors: Anchors, valid: Booleans, margin: float) -> Integers:
    """Count how many anchors around each site (n, 2) could be seen: in the image, and not under missing pixels."""
    steps = _CELLS - offset
    steps = steps[(steps**2).sum(axis=1) < SUPPORT_REACH**2]
    return np.maximum(_count(expected, steps @ np.stack([anchors.a, anchors.b]), valid, margin), 1)


def _count(expected: Floats, steps: Floats, valid: Booleans, margin: float) -> Integers:
    """Count which of the places that are these steps (m, 2), px, from each site (n, 2) are in the image and valid."""
    count = np.zeros(len(expected), np.int64)
    low, high = margin, np.array(valid.shape) - 1 - margin
    for step in steps:
        places = expected + step
        inside = ((places >= low) & (places <= high)).all(axis=1)
        inside[inside] = valid[tuple(np.round(places[inside]).astype(np.int64).T)]
        count += inside
    return count


def _shown(seen: Image, sites: _Candidates, at: Floats, own: Floats, shape: _Shape) -> Booleans:
    """Tell at which sites (n,) the image shows a column, from the surroundings of the places `at` to which they led."""
    contrasts = np.where(sites.looked, contrast(seen, at, shape.radius), np.nan)
    assumed = own[sites.kind] * sites.level
    heights = heights_alone(contrasts, at, assumed, shape.width, shape.radius)
    # Of columns that aren't seen, or whose ring the border cuts, the heights are only roughly known.
    low, high = shape.radius, np.array(seen.shape) - 1 - shape.radius
    rough = np.isnan(contrasts) | ((at < low) | (at > high)).any(axis=1)
    doubt = _DOUBT * tails(at, heights, rough, shape.width, shape.radius)
    noise = unexplained(seen, at, heights, sites.looked, shape)
    shift = np.hypot(*(at - sites.expected).T)
    shown = np.zeros(len(at), np.bool_)
    for k in range(len(own)):
        of = np.flatnonzero((sites.kind == k) & np.isfinite(contrasts))
        if not len(of):
            continue
        deep = _deepest(sites.around[of])
        relative, level = heights[of] / sites.level[of], np.clip(sites.level[of], 0.1, 1.0)
        typical = float(np.median(relative[deep]))
        if not typical > 0.0:
            continue
        scatter = np.maximum(noise[of] / typical, _UNEXPLAINED) / sites.level[of]
        # Inside the crystal the heights of like columns differ by their noise at the most.
        spread = 1.4826 * float(np.median(np.abs(relative[deep] / typical - 1.0)))
        inside = sites.around[of] >= _INSIDE
        scatter[inside] = np.minimum(scatter[inside], spread)
        scatter = np.hypot(np.maximum(scatter, _UNEXPLAINED), doubt[of] / (typical * sites.level[of]))
        if np.median(scatter[deep]) > 1.0 / _VISIBLE:
            continue
        there = _occupied(relative / typical, scatter, sites.around[of])
        usual = float(np.median(shift[of][deep]))
        # Where the crystal is thin or the image poor, noise shifts its columns further.
        likely = _USUAL_SHIFTS * usual / level + _LEAST_SHIFT * shape.distance
        likely += _NOISE_SHIFTS * shape.width * noise[of] / np.maximum(heights[of], noise[of] + 1e-9)
        near = shift[of] < np.minimum(likely, _EDGE_SHIFT * shape.distance)
        shown[of] = there & (near | inside)
    return shown


def _deepest(around: Floats) -> Booleans:
    """Tell which sites of a kind (n,) are inside the crystal: those with all anchors around, or with most of them."""
    place = max(len(around) - _DEEPEST, 0)
    return np.asarray(around >= min(1.0, float(np.partition(around, place)[place])))


def _occupied(heights: Floats, noise: Floats, around: Floats) -> Booleans:
    """Tell at which sites there is a column, rather than not.

    Parameters
    ----------
    heights, noise
        (n,), of the columns by themselves, and its standard deviation, in units of a typical column.
    around
        (n,), part of the anchors around that are there.
    """
    outside = np.clip((_INSIDE - around) / (_INSIDE - _OUTSIDE), 0.0, 1.0)
    empty, dimmer = (inner + (outer - inner) * outside for inner, outer in (_EMPTY, _DIMMER))
    alike = np.hypot(noise, _UNLIKE)
    story_alike = np.exp(-0.5 * (np.minimum(heights - 1.0, 0.0) / alike) ** 2) / alike
    story_dimmer = np.sqrt(2.0 * np.pi) * (special.ndtr(heights / noise) - special.ndtr((heights - 1.0) / noise))
    story_empty = np.exp(-0.5 * np.clip(heights / noise - _LUCK, 0.0, None) ** 2) / noise
    return np.asarray((1.0 - empty - dimmer) * story_alike + dimmer * story_dimmer > empty * story_empty)


def _grown(anchors: Anchors, motif: Motif, sites: _Candidates, at: Floats, taken: Booleans) -> Anchors | None:
    """Return the anchors with those columns of their kind that were found beyond them; None where there are none."""
    offsets = _offsets(motif)
    nearest = np.round(offsets)
    corner = int(np.argmin(np.abs(offsets - nearest).max(axis=1)))
    if np.abs(offsets - nearest)[corner].max() > _CORNER:
        return None
    i, j = np.stack([sites.i, sites.j]) + nearest[corner].astype(np.int64)[:, None]
    new = (
        taken & (sites.kind == corner) & (i >= 0) & (j >= 0) & (i < anchors.grid.shape[0]) & (j < anchors.grid.shape[1])
    )
    new[new] = np.isnan(anchors.grid[i[new], j[new], 0])
    if not (sites.around[new] < _INSIDE).any():
        return None
    grid, heights = anchors.grid.copy(), anchors.heights.copy()
    i, j = i[new], j[new]
    grid[i, j] = at[new]
    heights[i, j] = sites.level[new] * np.nanmedian(anchors.heights)
    around = ((1, 1), (1, 1))
    return Anchors(
        np.pad(grid, (*around, (0, 0)), constant_values=np.nan),
        np.pad(heights, around, constant_values=np.nan),
        anchors.a,
        anchors.b,
        anchors.bright,
    )


def _beyond(sites: _Candidates, at: Floats, taken: Booleans, ghost: Booleans) -> Floats:
    """Return the places (m, 2) of the ghosts: as far from where they are expected as their like around them are.

    In a domain the columns of a sublattice lie aside of where the lattice of all has them. Less of it counts where they
    scatter, such that noise moves no ghost.
    """
    places = sites.expected[ghost].copy()
    for kind in np.unique(sites.kind[ghost]):
        like, of = taken & (sites.kind == kind), sites.kind[ghost] == kind
        if np.count_nonzero(like) < _LIKE:
            continue
        _, near = cKDTree(sites.expected[like]).query(places[of], k=_LIKE)
        aside = (at - sites.expected)[like][near]
        mean = aside.mean(axis=1)
        chance = aside.var(axis=1, ddof=1).sum(axis=1) / _LIKE
        told = np.maximum(1.0 - chance / np.maximum((mean**2).sum(axis=1), 1e-12), 0.0)
        places[of] += told[:, None] * mean
    return places


def _from_zero(indices: Integers) -> Integers32:
    return (indices - (indices.min() if len(indices) else 0)).astype(np.int32)


def once(positions: Floats, rank: Floats, radius: float) -> Booleans:
    """Tell which positions (n, 2) to keep: of two less than `radius` apart the one of higher rank goes."""
    keep = np.ones(len(positions), np.bool_)
    pairs = cKDTree(positions).query_pairs(radius, output_type="ndarray")
    keep[np.where(rank[pairs[:, 0]] > rank[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = False
    return keep


def _offsets(motif: Motif) -> Floats:
    """Positions (n, 2) of the columns of a cell from its corner; the brightest is at most 0.1 beyond any of them."""
    relative = motif.fractions - motif.fractions[0]
    return np.asarray(motif.fractions[0] + relative - np.floor(relative + 0.1))


def _local_mean(values: Floats) -> Floats:
    """Mean over 5 × 5 cells of what is known, in units of the overall median."""
    known = np.isfinite(values)
    total = ndimage.uniform_filter(np.where(known, values, 0.0), 5, mode="constant")
    weight = ndimage.uniform_filter(known.astype(float), 5, mode="constant")
    mean = np.where(weight > 1e-9, total / np.maximum(weight, 1e-9), np.nan)
    return np.asarray(mean / np.nanmedian(values))
