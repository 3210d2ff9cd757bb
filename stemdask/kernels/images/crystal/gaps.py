"""Gaps between columns that the lattice doesn't have: vacancies, holes, the cores of boundaries and dislocations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import Delaunay, QhullError, cKDTree

from stemdask.kernels.arrays import Booleans, Floats, Indices

#: A gap is wider by this factor than what is a lattice vector away: the smallest are those of boundary cores (1.25).
_WIDER = 1.15
#: It has columns on all sides, with no larger angle between them than this (radians), out to so many times its radius.
_OPEN, _AROUND = np.radians(130.0), 1.6
#: Circles wider than so many lattice vectors have something else in them, or nothing around them.
_WIDEST = 6.0


class Gaps(NamedTuple):
    """Circles that hold no column, widest first; none has its centre within another."""

    centres: Floats
    """(m, 2), (y, x)."""
    radii: Floats
    """(m,), to the nearest columns."""
    beside: Booleans
    """(n,), columns on the rim of a gap."""


def find_gaps(positions: Floats, grain: Indices, vectors: Floats) -> Gaps:
    """Find gaps inside a crystal that are wider than those of its lattice.

    The middle of a cell is empty, too, but so are the places one lattice vector away from it. At a gap they are not.

    Parameters
    ----------
    positions
        (n, 2), (y, x), columns of all sublattices, in any unit; NaN where one is missing.
    grain
        (n,), the grain of each, below 0 of none.
    vectors
        (grains, 2, 2), lattice vectors a and b of each; NaN where it has none.

    Returns
    -------
    Gaps
        In the unit of the positions. What is open to one side, as the rim of a particle and of the image, is no gap.

    Notes
    -----
    Empty circles are the circumcircles of Delaunay triangles.

    Examples
    --------
    >>> y, x = np.mgrid[:10, :10].reshape(2, -1)
    >>> columns = 20.0 * np.column_stack([y, x])[np.arange(100) != 44]  # one is missing
    >>> gaps = find_gaps(columns, np.zeros(99, int), np.array([[[0.0, 20.0], [20.0, 0.0]]]))
    >>> gaps.centres.tolist(), gaps.radii.tolist(), int(gaps.beside.sum())
    ([[80.0, 80.0]], [20.0], 4)
    """
    none = Gaps(np.empty((0, 2)), np.empty(0), np.zeros(len(positions), np.bool_))
    there = np.flatnonzero(np.isfinite(positions).all(axis=1))
    known = there[grain[there] >= 0]
    if len(there) < 3 or not len(known) or not np.isfinite(vectors).any():
        return none
    places = positions[there]
    try:
        triangles = Delaunay(places).simplices
    except QhullError:  # all on one line
        return none
    centres, radii = _circumcircles(places[triangles])
    tree, longest = cKDTree(places), float(np.nanmax(np.hypot(vectors[..., 0], vectors[..., 1])))
    # What repeats from cell to cell is what most circles are, or wider; most can so be left out.
    wide = (radii > _WIDER * np.median(radii)) & (radii < _WIDEST * longest)
    centres, radii = centres[wide], radii[wide]
    own = vectors[grain[known[cKDTree(positions[known]).query(centres)[1]]]]
    steps = np.stack([own[:, 0], own[:, 1], -own[:, 0], -own[:, 1]], axis=1)
    apart = tree.query(np.nan_to_num(centres[:, None] + steps).reshape(-1, 2))[0].reshape(-1, 4)
    wide = (radii > _WIDER * np.median(apart, axis=1)) & np.isfinite(steps).all(axis=(1, 2))
    centres, radii = centres[wide], radii[wide]
    chosen: list[int] = []
    for k in np.argsort(-radii, kind="stable"):
        others = np.array(chosen, np.intp)
        if (np.hypot(*(centres[others] - centres[k]).T) > radii[others]).all() and _surrounded(
            places, tree, centres[k], float(radii[k])
        ):
            chosen.append(int(k))
    beside = none.beside.copy()
    for k in chosen:
        beside[there[tree.query_ball_point(centres[k], _WIDER * radii[k])]] = True
    return Gaps(centres[chosen], radii[chosen], beside)


def _circumcircles(corners: Floats) -> tuple[Floats, Floats]:
    """Return centres (t, 2) and radii (t,) of the circles through three corners (t, 3, 2); infinite for flat ones."""
    first = corners[:, 0]
    one, two = corners[:, 1] - first, corners[:, 2] - first
    with np.errstate(divide="ignore", invalid="ignore"):
        twice = 2.0 * (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])[:, None]
        one2, two2 = (one**2).sum(axis=1), (two**2).sum(axis=1)
        away = np.stack([two[:, 1] * one2 - one[:, 1] * two2, one[:, 0] * two2 - two[:, 0] * one2], axis=1) / twice
    radii = np.hypot(away[:, 0], away[:, 1])
    flat = ~np.isfinite(radii)
    radii[flat], away[flat] = np.inf, 0.0
    return first + away, radii


def _surrounded(places: Floats, tree: cKDTree, centre: Floats, radius: float) -> bool:
    """Tell whether columns lie all around a circle."""
    towards = places[tree.query_ball_point(centre, _AROUND * radius)] - centre
    angle = np.sort(np.arctan2(towards[:, 0], towards[:, 1]))
    return bool(np.diff(angle, append=angle[0] + 2.0 * np.pi).max() < _OPEN)
