"""Whether a faint sublattice is one, or where the tails of other columns meet.

A probe has rings: the first of an Airy pattern is 1.75 % as high as its middle, and where those of four columns of a
square lattice meet there is a spot 7 % as high as they are, in every cell, at a place where a column could be. Within a
crystal the two can't be told apart. Beyond its rim they can: there the tails of the outermost columns are seen alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import AnyFloats, Booleans, Floats, Integers
from stemdask.kernels.images.finding.columns import Columns
from stemdask.kernels.images.finding.peaks import contrast
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, RAN_AWAY, ColumnFit

#: Height of a sublattice, in units of the highest, that rings of its neighbours can reach: six times 1.75 %, and some.
_FAINT = 0.12
#: Part of the height that tails account for from which on there is nothing else.
_ENOUGH = 0.5
#: Tails are asked for from and up to this, in units of the distance from a faint column to the next other one, at so
#: many distances; pixels are looked at up to somewhat less.
_NEAR, _FAR, _LOOKED = 0.3, 2.05, 1.5
#: Length of the mean of unit vectors to the columns around from which on they are on one side, and up to which all
#: around; for the latter, of those up to so many times as far as the nearest.
_ONE_SIDED, _AROUND, _NEAREST = 0.4, 0.3, 1.25
#: How far columns are looked for on the other side, in units of the longer lattice vector.
_CELLS = 1.5
_KNOTS = 15
#: Fewest pixels beyond the rim, and about the most that are looked at in an image.
_FEWEST, _MOST = 200, 400_000
_RING = 0.35
_DIRECTIONS = 16


class Faint(NamedTuple):
    """The faint sublattices of an image."""

    kinds: Integers
    """(m,), the last ones; m is 0 where all are high enough to be true."""
    explained: float
    """Part of their height that tails account for; NaN where that can't be told."""

    @property
    def are_tails(self) -> bool:
        """Whether they are where tails meet, and nothing else."""
        return len(self.kinds) > 0 and self.explained > _ENOUGH

    @property
    def may_be_tails(self) -> bool:
        """Whether nothing tells that they are columns."""
        return len(self.kinds) > 0 and not self.explained <= _ENOUGH


def judge_faint(image: AnyFloats, found: Columns, fit: ColumnFit) -> Faint:
    """Tell whether faint sublattices are columns.

    Parameters
    ----------
    image
        (ny, nx), which was fitted; NaN where a pixel is missing.
    found, fit
        The columns, and their joint fit; ghosts may follow. Other fits know no background to tell tails from.
    """
    kinds, surrounded = _faint_sublattices(found, fit)
    explained = explained_by_tails(image, found, fit, kinds) if len(kinds) else 0.0
    return Faint(kinds if np.isfinite(explained) else kinds[surrounded], explained)


def _faint_sublattices(found: Columns, fit: ColumnFit) -> tuple[Integers, Booleans]:
    """Return the sublattices of the largest grain that are so much lower than the highest that tails could be all.

    The second says which of them have others all around, as the middles of gaps have. Elsewhere two rings can meet at
    most, so that they are columns unless a rim shows otherwise.
    """
    if fit.background_basis is None:
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    largest = found.grain == 0
    sublattice, amplitude = found.sublattice[largest], fit.amplitude[: len(largest)][largest]
    kinds = np.unique(sublattice[sublattice >= 0])  # a column that was added belongs to none
    if len(kinds) < 2:
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    heights = np.array([np.median(amplitude[sublattice == kind]) for kind in kinds])
    faint = heights < _FAINT * heights.max()
    places = found.positions[largest]
    others = cKDTree(places[np.isin(sublattice, kinds[~faint])])
    surrounded = [_is_surrounded(places[sublattice == kind], others) for kind in kinds[faint]]
    return np.asarray(kinds[faint], np.int64), np.array(surrounded, np.bool_)


def _is_surrounded(places: Floats, others: cKDTree) -> bool:
    """Tell whether most places (m, 2) have the nearest of others all around them."""
    reach = _NEAREST * float(np.median(others.query(places)[0]))
    return bool(np.median(_on_one_side(places, others, reach)) < _AROUND)


def explained_by_tails(image: AnyFloats, found: Columns, fit: ColumnFit, faint: Integers) -> float:
    """Return the part of the height of faint columns that the tails of the others account for.

    The tails, any function of the distance times the height of a column, follow from the pixels beyond the rim of the
    crystal, where fewer of the others are near than at a faint column inside, and those on one side, by linear least
    squares. They then tell what is to be expected there.

    Parameters
    ----------
    image
        (ny, nx), which was fitted; NaN where a pixel is missing.
    found, fit
        The columns, and their fit; ghosts may follow.
    faint
        The sublattices in question.

    Returns
    -------
    About 1 where there is nothing but tails, and less than a third where there are columns (Gaussians, and multislice
    images of PbTiO3); NaN without a rim to tell.
    """
    n = len(found.positions)
    usable = ~np.isin(fit.flag[:n], (NO_SIGNAL, RAN_AWAY)) & (found.grain == 0)
    guest = usable & np.isin(found.sublattice, faint)
    hosts, heights = fit.positions[:n][usable & ~guest], fit.amplitude[:n][usable & ~guest]
    if not guest.any() or len(hosts) == 0 or fit.background_basis is None or fit.background_coefficients is None:
        return np.nan
    tree, guests = cKDTree(hosts), fit.positions[:n][guest]
    distance = float(np.median(tree.query(guests)[0]))
    reach = _FAR * distance
    low, high = reach, np.array(image.shape) - 1 - reach
    guests = guests[((guests > low) & (guests < high)).all(axis=1)]
    if len(guests) == 0:
        return np.nan
    around = tree.query_ball_point(guests, reach, return_length=True)
    inside = int(np.median(around))
    step = int(np.ceil(np.sqrt(image.size / _MOST)))
    sparse = np.zeros(image.shape, np.bool_)
    sparse[::step, ::step] = True
    # A gap between layers has columns on both sides, and so has the border of the image, where half of them isn't seen.
    cell = max(float(np.hypot(*found.vectors.a)), float(np.hypot(*found.vectors.b)))
    sides = max(reach, _CELLS * cell)
    pixels = np.argwhere(sparse & np.isfinite(image))
    pixels = pixels[((pixels > sides) & (pixels < np.array(image.shape) - 1 - sides)).all(axis=1)]
    away = tree.query(pixels, distance_upper_bound=reach)[0]
    pixels = pixels[(away > _NEAR * distance) & (away < _LOOKED * distance)]
    pixels = pixels[tree.query_ball_point(pixels, reach, return_length=True) < inside]
    pixels = pixels[_on_one_side(pixels, tree, sides) > _ONE_SIDED]
    guests = guests[around >= inside]
    if len(pixels) < _FEWEST:
        return np.nan
    background = fit.background_basis.image(fit.background_coefficients)
    values = (image - background)[tuple(pixels.T)].astype(np.float64)
    knots = np.linspace(_NEAR * distance, reach, _KNOTS)
    design = np.column_stack([_tails(pixels, tree, heights, knots), np.ones(len(pixels))])
    tail = np.linalg.lstsq(design, values, rcond=None)[0][:-1]
    radius = _RING * found.distance
    angle = np.arange(_DIRECTIONS) * (2.0 * np.pi / _DIRECTIONS)
    ring = (guests[:, None] + radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)).reshape(-1, 2)
    middle, rim = (_tails(places, tree, heights, knots).mean(axis=0) for places in (guests, ring))
    seen = float(np.nanmean(contrast(image.astype(np.float32, copy=False), guests, radius)))
    return float((middle - rim) @ tail) / seen if seen > 0.0 else np.nan


def _on_one_side(places: AnyFloats, tree: cKDTree, reach: float) -> Floats:
    """Return how far (m,) the columns around places (m, 2) are on one side: the mean of the unit vectors to them."""
    if len(places) == 0:
        return np.empty(0)
    pairs = cKDTree(places).sparse_distance_matrix(tree, reach, output_type="coo_matrix")
    towards = (tree.data[pairs.col] - places[pairs.row]) / pairs.data[:, None]
    count = np.bincount(pairs.row, minlength=len(places))
    mean = np.column_stack([np.bincount(pairs.row, along, len(places)) for along in towards.T])
    return np.asarray(np.hypot(*mean.T) / np.maximum(count, 1))


def _tails(places: AnyFloats, tree: cKDTree, heights: Floats, knots: Floats) -> Floats:
    """Return, for each place (m, 2) and knot, what a tail of 1 there and 0 at the other knots would add: (m, knots)."""
    pairs = cKDTree(places).sparse_distance_matrix(tree, float(knots[-1]), output_type="coo_matrix")
    along = np.clip((pairs.data - knots[0]) / (knots[1] - knots[0]), 0.0, len(knots) - 1.0)
    lower = np.minimum(along.astype(np.int64), len(knots) - 2)
    added = np.zeros((len(places), len(knots)))
    for knot, weight in ((lower, lower + 1 - along), (lower + 1, along - lower)):
        np.add.at(added, (pairs.row, knot), weight * heights[pairs.col])
    return added
