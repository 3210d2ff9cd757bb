"""All columns of an image, with their lattice, without a number from the user.

1. The autocorrelation gives two lattice vectors (`separation`).
2. The maxima of the smoothed image that continue the lattice from a seed are its anchors (`anchors`, `growth`).
3. The mean cell shows which columns a cell contains, however weak (`motif`).
4. Each of them is looked for where its cell expects it (`populate`), and taken where the image rather shows one than
   none. Where no lattice is (vacuum, an amorphous film), nothing is expected and nothing is taken.
5. What the lattice leaves unexplained is searched for further grains in the same way. In the end each grain grows over
   its rim, column by column, to where there are no more, or to the next grain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import AnyFloats, Booleans, Codes, Floats, Image, Integers32
from stemdask.kernels.images.finding.anchors import Anchors, find_anchors
from stemdask.kernels.images.finding.motif import Motif, find_motif, mean_cell, shortest_distance
from stemdask.kernels.images.finding.populate import Sites, once, populate
from stemdask.kernels.images.finding.separation import (
    LatticeVectors,
    NoLatticeError,
    estimate_lattice,
    reduce_vectors,
)
from stemdask.kernels.images.finding.sites import predict_sites
from stemdask.kernels.images.finding.superlattice import find_alternating_columns

#: Grains are told apart by at most seven labels; sublattices by twenty-four, each of which has a letter: more than are
#: in the cells of a tungsten bronze, of β-Mn, or of apatite.
MAX_GRAINS = 7
MAX_SUBLATTICES = 24
#: A cell of more columns is refused where one that has no letter is this high, in units of the highest.
_TOO_MANY = 0.2
#: A lattice in one window of the image is preferred where it explains so much more than one of the whole image.
_WHOLE = 0.8
_MIN_WINDOW = 96
#: A further grain has at least so many columns and cells, and so much of the contrast of the image.
_FEWEST_COLUMNS = 30
_FEWEST_CELLS = 12
_MIN_CONTRAST = 0.25
_MIN_CONFIDENCE = 0.4
#: Columns of a cell nearer to each other than this, in units of the shorter vector, are told apart from the start.
_CLOSE = 0.8
#: A maximum is left out that is further from all columns and sites, in units of the shortest distance.
_LEFT_OUT = 0.5
#: Columns of two grains nearer to each other than this, in units of the shortest distance of columns, are one.
_TWIN = 0.5
#: Part of the pixels around a column that must have a value.
_MIN_VALID = 0.6
#: Columns of the motif that differ less in height are not named by it.
_AS_BRIGHT = 0.95


#: Part of the variance of an image that is a slope across all of it, from which on columns are looked for without it.
_SLOPING = 0.5


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns found in one image, and sites of their lattice that may hold one that reaches into it."""

    positions: Floats
    """(n, 2), px, (y, x); starting values for a fit."""
    sublattice: Codes
    """(n,), 0 = A, the brightest; 1 = B, ...; within its grain."""
    i: Integers32
    """(n,), cell index along a, not negative; no two columns of a sublattice share a pair, in whatever grains."""
    j: Integers32
    """(n,), cell index along b, not negative."""
    grain: Codes
    """(n,), 0 for the largest grain."""
    interior: Booleans
    """(n,), far enough from the border to be measured: half the shortest distance of two columns."""
    ghosts: Floats
    """(m, 2), px; sites at which no column is taken: just outside the image, under missing pixels, or empty."""
    ghost_sublattice: Codes
    """(m,)."""
    ghost_grain: Codes
    """(m,)."""
    vectors: LatticeVectors
    """Named vectors of the largest grain, px, and the confidence in them."""
    distance: float
    """Shortest distance of two columns in px."""
    widths: Floats
    """(grains,), standard deviation in px of the columns, roughly."""
    too_faint: Floats
    """(k,), heights, in units of the highest, of columns that the mean cell of the largest grain shows, but the image
    not one by one."""
    left_out: Floats
    """(p, 2), px: maxima about as high as A that no lattice explains; none where the sites of columns were given."""


@dataclass(frozen=True, slots=True)
class _Grain:
    free: Booleans
    """(ny, nx), where it was looked for."""
    anchors: Anchors
    motif: Motif
    vectors: LatticeVectors


def find_columns(
    image: NDArray[np.generic],
    separation: tuple[float, float] | None = None,
    *,
    vectors: tuple[Floats, Floats] | None = None,
    sublattices: int | None = None,
) -> Columns:
    """Find the columns of an image and index them.

    Parameters
    ----------
    image
        (ny, nx), any real type, columns bright; NaN where a pixel is missing.
    separation
        Range in px of the shortest lattice vector; None to take it from the image.
    vectors
        (2,) and (2,), px, (y, x): two lattice vectors of the whole cell of the largest grain, right to about a tenth;
        None to take them from the image. A superlattice is then not looked for.
    sublattices
        Most columns of a cell, the brightest; None for all that show. A superlattice is looked for only where a cell
        has fewer without it.

    Raises
    ------
    NoLatticeError
        If there is no lattice in the image, or none with these vectors.

    Examples
    --------
    >>> from stemdask.simulate import perovskite
    >>> found = find_columns(perovskite((160, 160), 14.0, seed=0)[0])
    >>> np.bincount(found.sublattice[found.sublattice >= 0]).tolist()
    [121, 144]
    """
    pixels, valid = standardise(image)
    free = valid
    if vectors is None:
        grains = [_find_grain(pixels, free, best_vectors(pixels, free, separation), sublattices)]
    else:
        given = LatticeVectors(*reduce_vectors(*vectors), confidence=np.nan)
        grains = [_find_grain(pixels, free, given, sublattices, whole=True)]
    while len(grains) < MAX_GRAINS:
        free = free & ~_covered(pixels.shape, grains[-1])
        if not _worth_a_search(pixels, free, grains[0]):
            break
        try:
            further = _find_grain(pixels, free, best_vectors(pixels, free, separation, _MIN_CONFIDENCE), sublattices)
        except NoLatticeError:
            break
        grains.append(further)
        if np.count_nonzero(np.isfinite(further.anchors.heights)) < _fewest_cells(further):
            grains.pop()
            break
    sites = _all_sites(grains, pixels, valid)
    order = sorted(range(len(grains)), key=lambda n: -len(sites[n].positions))
    return _join([grains[n] for n in order], [sites[n] for n in order], pixels.shape)


def standardise(image: NDArray[np.generic]) -> tuple[Image, Booleans]:
    """Return an image of mean 0 and deviation 1 without missing pixels, and where enough pixels had a value.

    Where the image becomes brighter from one side to the other by more than its columns do, that is taken away.

    Parameters
    ----------
    image
        (ny, nx), any real type; NaN where a pixel is missing.

    Returns
    -------
    pixels
        (ny, nx), float32; missing ones take the value of the nearest.
    free
        (ny, nx), where columns may be looked for.

    Raises
    ------
    NoLatticeError
        If no pixel has a value, or all have the same.
    """
    valid = np.isfinite(image)
    if not valid.any():
        raise NoLatticeError("no lattice: the image holds no finite pixel")
    finite = image if valid.all() else image[valid]
    mean = float(finite.mean(dtype=np.float64))
    single = image.dtype.itemsize < 4 or image.dtype == np.float32
    pixels = np.subtract(image, mean, dtype=np.float32 if single else np.float64)
    slope = _slope(pixels, valid)
    if slope is not None:
        pixels = (pixels - slope).astype(pixels.dtype)
    deviation = float(np.sqrt(np.mean(np.square(pixels if valid.all() else pixels[valid]), dtype=np.float64)))
    if deviation <= 1e-9 * abs(mean) or deviation == 0.0:
        raise NoLatticeError("no lattice: all pixels are equal")
    pixels = (pixels / deviation).astype(np.float32, copy=False)
    if valid.all():
        return pixels, valid
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return pixels[tuple(nearest)], ndimage.uniform_filter(valid.astype(np.float32), 5) >= _MIN_VALID


def _slope(pixels: AnyFloats, valid: Booleans) -> Floats | None:
    """Return the plane (ny, nx) through an image, which need not have mean 0; None where it is less than the rest."""
    ny, nx = pixels.shape
    counts = valid.astype(np.float64)
    y, x = np.linspace(-1.0, 1.0, ny)[:, None], np.linspace(-1.0, 1.0, nx)[None, :]
    values = np.where(valid, pixels, 0.0).astype(np.float64)
    of_rows, of_columns = counts.sum(axis=1), counts.sum(axis=0)
    yx = float((y * counts * x).sum())
    matrix = np.array(
        [
            [counts.sum(), of_rows @ y[:, 0], of_columns @ x[0]],
            [of_rows @ y[:, 0], of_rows @ y[:, 0] ** 2, yx],
            [of_columns @ x[0], yx, of_columns @ x[0] ** 2],
        ]
    )
    right = np.array([values.sum(), values.sum(axis=1) @ y[:, 0], values.sum(axis=0) @ x[0]])
    terms, *_ = np.linalg.lstsq(matrix, right)
    if terms @ right <= _SLOPING * float(np.square(values).sum()):
        return None
    return np.asarray(terms[0] + terms[1] * y + terms[2] * x)


def best_vectors(
    pixels: Image,
    free: Booleans,
    separation: tuple[float, float] | None = None,
    min_confidence: float = 0.25,
) -> LatticeVectors:
    """Return the vectors of the image or, where several lattices mix in it, of the purest window of half its sides.

    Parameters
    ----------
    pixels, free
        As `standardise` returns them.
    separation, min_confidence
        As for :func:`~stemdask.kernels.images.finding.separation.estimate_lattice`.

    Raises
    ------
    NoLatticeError
        If no pair of vectors predicts the autocorrelation.
    """
    seen = pixels if free.all() else np.where(free, pixels, np.float32(np.nan))
    ny, nx = pixels.shape
    best: LatticeVectors | None = None
    refusal = None
    try:
        best = estimate_lattice(seen, separation, min_confidence=min_confidence)
    except NoLatticeError as error:
        refusal = error
    if (best is not None and best.confidence >= _WHOLE) or min(ny, nx) < 2 * _MIN_WINDOW:
        if best is None:
            raise refusal or NoLatticeError("no lattice")
        return best
    for y in (0, ny // 4, ny // 2):
        for x in (0, nx // 4, nx // 2):
            window = np.s_[y : y + ny // 2, x : x + nx // 2]
            if free[window].mean() < 0.5:
                continue
            try:
                vectors = estimate_lattice(seen[window], separation, min_confidence=min_confidence)
            except NoLatticeError:
                continue
            if best is None or vectors.confidence > best.confidence + 0.1:
                best = vectors
    if best is None:
        raise refusal or NoLatticeError("no lattice")
    return best


def _find_grain(
    pixels: Image, free: Booleans, vectors: LatticeVectors, sublattices: int | None, *, whole: bool = False
) -> _Grain:
    """Find the anchors and the motif of one grain; `whole` says that the vectors are those of its whole cell."""
    alone = whole or sublattices is not None
    anchors = find_anchors(pixels, free, vectors, whole=alone)
    motif = _motif_of(pixels, anchors)
    distance = shortest_distance(motif.fractions, anchors.a, anchors.b)
    if distance < _CLOSE * vectors.separation:
        anchors = find_anchors(pixels, free, vectors, distance, whole=alone)
        motif = _motif_of(pixels, anchors)
    if alone and not whole and sublattices is not None and len(motif.amplitudes) < sublattices:
        anchors = find_anchors(pixels, free, vectors, distance)
        motif = _motif_of(pixels, anchors)
    if not alone and len(motif.amplitudes) > 1:
        cell = find_alternating_columns(pixels, anchors.grid, anchors.a, anchors.b)
        if cell != ((1, 0), (0, 1)):
            a, b = reduce_vectors(*(np.array(cell, float) @ np.stack([anchors.a, anchors.b])))
            anchors = find_anchors(pixels, free, LatticeVectors(a, b, vectors.confidence), distance, whole=True)
            motif = _motif_of(pixels, anchors)
    n = len(motif.amplitudes)
    if (
        sublattices is None
        and n > MAX_SUBLATTICES
        and motif.amplitudes[MAX_SUBLATTICES] > _TOO_MANY * motif.amplitudes[0]
    ):
        raise NoLatticeError(
            f"no lattice that can be indexed: its cell shows {n} columns, and at most {MAX_SUBLATTICES} are told "
            "apart; columns.sublattices takes so many of the brightest"
        )
    motif = _named(motif.brightest(min(sublattices or MAX_SUBLATTICES, MAX_SUBLATTICES)), anchors.a, anchors.b)
    return _Grain(free, anchors, motif, LatticeVectors(anchors.a, anchors.b, vectors.confidence))


def _all_sites(grains: list[_Grain], pixels: Image, valid: Booleans) -> list[Sites]:
    """Let each grain grow to its last column, but not into the others."""
    if len(grains) == 1:
        return [populate(pixels, valid, valid, grains[0].anchors, grains[0].motif)]
    cores = [populate(pixels, valid, grain.free, grain.anchors, grain.motif, grow=False) for grain in grains]
    taken = [_within(valid.shape, core.positions, 0.5 * core.distance) for core in cores]
    return [
        populate(pixels, valid, valid & ~np.any(taken[:n] + taken[n + 1 :], axis=0), grain.anchors, grain.motif)
        for n, grain in enumerate(grains)
    ]


def _motif_of(pixels: Image, anchors: Anchors) -> Motif:
    samples = tuple(int(np.clip(round(float(np.hypot(*v))), 16, 64)) for v in (anchors.a, anchors.b))
    # Anchors are on top of what noise adds to columns, and would make their own kind higher and all others blurred.
    expected, _ = predict_sites(anchors.grid, anchors.a, anchors.b, np.zeros(2), True)
    corners = np.where(np.isfinite(expected), expected, anchors.grid)
    cell, error = mean_cell(pixels, corners, (samples[0], samples[1]))
    motif = find_motif(cell, error, anchors.a, anchors.b)
    if len(motif.fractions) == 0:
        raise NoLatticeError("no lattice: the mean cell shows no column")
    return motif


def _named(motif: Motif, a: Floats, b: Floats) -> Motif:
    """Order the columns of the motif: brightest first, and those as bright (within 5 %) by where they are.

    Without the second rule noise would exchange the names from frame to frame, as in graphene, along <110> of silicon,
    and between the oxygen columns of a perovskite. Of two brightest ones A is the one that has the other to its right.
    """
    order = list(range(len(motif.amplitudes)))
    bright = motif.amplitudes >= _AS_BRIGHT * motif.amplitudes[0]
    if np.count_nonzero(bright) == 2:
        shifts = np.array([(n, m) for n in (-1, 0, 1) for m in (-1, 0, 1)], float)
        away = (motif.fractions[1] - motif.fractions[0] + shifts) @ np.stack([a, b])
        if away[int(np.argmin(np.round(np.hypot(away[:, 0], away[:, 1]), 3))), 1] < 0:
            order[:2] = 1, 0
    place = np.round(motif.fractions - motif.fractions[order[0]] + 0.05, 1) % 1.0
    start = 1
    for k in range(2, len(order) + 1):
        if k == len(order) or motif.amplitudes[order[k]] < _AS_BRIGHT * motif.amplitudes[order[start]]:
            order[start:k] = sorted(order[start:k], key=lambda n: (place[n, 1], place[n, 0]))
            start = k
    return Motif(motif.fractions[order], motif.amplitudes[order], motif.width)


def _covered(shape: tuple[int, ...], grain: _Grain) -> Booleans:
    """Pixels that a grain explains: those nearer to one of its A columns than its longer lattice vector."""
    reach = 0.8 * max(np.hypot(*grain.vectors.a), np.hypot(*grain.vectors.b))
    return _within(shape, grain.anchors.grid[np.isfinite(grain.anchors.heights)], reach)


def _within(shape: tuple[int, ...], positions: Floats, reach: float) -> Booleans:
    """Pixels less than `reach` px from one of the positions, along the axes."""
    empty = np.ones(shape, np.bool_)
    pixels = np.clip(np.round(positions).astype(np.int64), 0, np.array(shape) - 1)
    empty[pixels[:, 0], pixels[:, 1]] = False
    # Chamfer distances are exact to 10 % and ten times faster than Euclidean ones.
    return np.asarray(ndimage.distance_transform_cdt(empty, "chessboard") <= reach)


def _worth_a_search(pixels: Image, free: Booleans, grain: _Grain) -> bool:
    """Tell whether what is left over is large, and has the contrast that columns would have."""
    area = abs(float(np.linalg.det(np.stack([grain.vectors.a, grain.vectors.b]))))
    if np.count_nonzero(free) < _fewest_cells(grain) * area:
        return False
    explained = pixels[~free]
    return float(pixels[free].std()) > _MIN_CONTRAST * float(explained.std() if explained.size else 1.0)


def _fewest_cells(grain: _Grain) -> float:
    return max(_FEWEST_COLUMNS / len(grain.motif.amplitudes), _FEWEST_CELLS)


def _join(grains: list[_Grain], sites: list[Sites], shape: tuple[int, ...]) -> Columns:
    """Lay the grains together; indices of a further grain begin beyond those of the one before."""
    starts = np.cumsum([0, *(int(part.i.max(initial=0)) + 3 for part in sites[:-1])])
    positions = np.concatenate([part.positions for part in sites])
    ghosts = np.concatenate([part.ghosts for part in sites])
    grain = np.repeat(np.arange(len(sites)), [len(part.positions) for part in sites]).astype(np.int8)
    ghost_grain = np.repeat(np.arange(len(sites)), [len(part.ghosts) for part in sites]).astype(np.int8)
    distance = min(part.distance for part in sites)
    keep, free = np.ones(len(positions), np.bool_), np.ones(len(ghosts), np.bool_)
    if len(sites) > 1:
        keep = once(positions, np.concatenate([part.shift for part in sites]), _TWIN * distance)
        places = np.concatenate([positions[keep], ghosts])
        # A site that one grain has empty may be another's column.
        rank = np.concatenate([np.zeros(np.count_nonzero(keep)), np.arange(1.0, len(ghosts) + 1.0)])
        free = once(places, rank, _TWIN * distance)[np.count_nonzero(keep) :]
    bright = grains[0].anchors.bright
    away, _ = cKDTree(np.concatenate([positions, ghosts])).query(bright)
    off = np.minimum(bright, np.array(shape) - 1 - bright).min(axis=1) >= distance
    inside = (positions >= 0.5 * distance) & (positions <= np.array(shape) - 1 - 0.5 * distance)
    heights = grains[0].motif.amplitudes
    i = np.concatenate([part.i + start for part, start in zip(sites, starts, strict=True)]).astype(np.int32)
    return Columns(
        positions=positions[keep],
        sublattice=np.concatenate([part.sublattice for part in sites])[keep],
        i=i[keep],
        j=np.concatenate([part.j for part in sites])[keep],
        grain=grain[keep],
        interior=np.asarray(inside.all(axis=1))[keep],
        ghosts=ghosts[free],
        ghost_sublattice=np.concatenate([part.ghost_sublattice for part in sites])[free],
        ghost_grain=ghost_grain[free],
        vectors=grains[0].vectors,
        distance=distance,
        widths=np.array([grain.motif.width for grain in grains]),
        too_faint=np.delete(heights, np.unique(sites[0].sublattice)) / heights[0],
        left_out=bright[off & (away > _LEFT_OUT * distance)],
    )
