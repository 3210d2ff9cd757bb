"""A crystal seen along a zone axis: its columns in projection, and which of them the sublattices of an image are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from stemdask.kernels.arrays import Floats, Indices, Integers
from stemdask.kernels.images.finding.separation import reduce_vectors

#: Columns nearer to each other than this, angstrom, are one in any image: Ti and O of polar PbTiO3 are 0.33 apart,
#: the dumbbells of silicon along [112] 0.78.
_RESOLVED = 0.6
#: Columns further apart, angstrom, or less alike in brightness, aren't each other's like in a centred cell.
_SAME, _ALIKE = 0.05, 1e-3
#: Longest vectors of the structure that one of an image is compared with, in units of its shortest.
_MULTIPLES = 4
#: Cells of an image, in units of its vectors, that are compared with the structure's: where what tells two of its
#: columns apart can't be seen, a cell of the image is smaller.
_CELLS = (((1, 0), (0, 1)), ((1, 1), (-1, 1)), ((2, 0), (0, 1)), ((1, 0), (0, 2)), ((2, 0), (0, 2)))
#: How much longer than the other one vector may be for its length in the structure, since scans drift, and how far a
#: sublattice may be from a column of the structure, in units of the columns' shortest distance and angstrom.
_SHEARED = 0.08
_OFF, _OFF_ANGSTROM = 0.35, 0.6
#: Columns of less than this part of the brightest's brightness need not be seen; those as bright as one that is, must.
_SEEN, _AS_BRIGHT = 0.15, 0.99
#: Standard deviation of the logarithms of heights over brightness from which on the columns are others.
_UNLIKE = 0.6
#: Columns whose logarithms of brightness differ less are of one kind, whose logarithms of heights differ no more.
_SAME_KIND, _SAME_HEIGHT = 0.02, 0.3
#: How much columns of one sublattice may differ in brightness, where the cell of the image is smaller.
_MIXED = 0.1
#: What speaks against a match: columns that aren't seen, heights in another order, another scale, a mirror image.
_UNSEEN_COST, _SCALE_COST, _MIRROR_COST = 3.0, 5.0, 0.05


class Projection(NamedTuple):
    """Columns of a crystal along a zone axis that points to the viewer."""

    vectors: Floats
    """(2, 2), angstrom, two shortest vectors of the projected lattice, (y, x), y downwards."""
    places: Floats
    """(n, 2), angstrom, of the columns of one cell, weighted by brightness."""
    brightness: Floats
    """(n,), in units of the brightest column."""
    column: Indices
    """(m,), the column of each atom."""


class Match(NamedTuple):
    """Which columns of a structure the sublattices of an image are."""

    column: Integers
    """(k,), number of the column of each sublattice."""
    places: Floats
    """(k, 2), where the structure has them, from the first one, in the units of the image."""
    scale: float
    """A length in the structure, angstrom, over the same in the image."""


def project(cell: Floats, positions: Floats, brightness: Floats, zone: tuple[int, int, int]) -> Projection:
    """Project a crystal along a zone axis into columns.

    Parameters
    ----------
    cell
        (3, 3), angstrom, rows are the vectors.
    positions
        (m, 3), angstrom.
    brightness
        (m,), of each atom, in any unit; that of a column is the sum of its atoms'.
    zone
        [u, v, w], not all 0, of -9 to 9.

    Examples
    --------
    >>> edge = 4.0
    >>> positions = edge * np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    >>> seen = project(edge * np.eye(3), positions, np.array([56.0, 22, 8, 8, 8]) ** 1.7, (0, 0, 1))
    >>> seen.column.tolist(), seen.brightness.round(2).tolist()
    ([0, 1, 1, 2, 3], [1.0, 0.24, 0.04, 0.04])
    """
    step = np.array(zone) // math.gcd(*zone)
    towards = step @ cell
    towards = towards / np.linalg.norm(towards)
    right = np.cross(np.eye(3)[int(np.argmin(np.abs(towards)))], towards)
    right /= np.linalg.norm(right)
    plane = np.stack([-np.cross(towards, right), right], axis=1)  # y downwards, x to the right
    vectors = np.stack(reduce_vectors(*(_completed(step) @ cell @ plane)))
    seen = positions @ plane
    column = _columns(seen, vectors)
    vectors = _primitive(vectors, *_means(seen, brightness, column, vectors))
    column = _columns(seen, vectors)
    places, total = _means(seen, brightness, column, vectors)
    return Projection(vectors, places, total / total.max(), column)


def _means(seen: Floats, weight: Floats, column: Indices, vectors: Floats) -> tuple[Floats, Floats]:
    """Return the weighted mean places (n, 2) of columns, and their sums of weights (n,)."""
    total = np.bincount(column, weight).astype(float)
    first = np.unique(column, return_index=True)[1]
    offset = weight[:, None] * _shortest(seen - seen[first[column]], vectors)
    mean = np.stack([np.bincount(column, offset[:, k]) for k in (0, 1)], axis=1) / total[:, None]
    return seen[first] + mean, total


def _primitive(vectors: Floats, places: Floats, brightness: Floats) -> Floats:
    """Return the lattice vectors of columns whose cell may be centred: steps that take all of them to their like."""
    steps = [*vectors]
    for step in places[1:] - places[0]:
        away = _shortest((places + step)[:, None] - places, vectors)
        same = (np.hypot(away[..., 0], away[..., 1]) < _SAME) & np.isclose(brightness[:, None], brightness, rtol=_ALIKE)
        if same.any(axis=1).all():
            steps.append(step)
    # The shortest step, and the one that spans the least area with it.
    both = np.array([n * one + m * other for one in steps for other in steps for n in (0, 1) for m in (-1, 0, 1)])
    lengths = np.hypot(both[:, 0], both[:, 1])
    a = both[np.where(lengths > _SAME, lengths, np.inf).argmin()]
    area = np.abs(a[0] * both[:, 1] - a[1] * both[:, 0])
    b = both[np.where(area > _SAME * np.hypot(*a), area, np.inf).argmin()]
    return np.stack(reduce_vectors(a, b))


def _completed(step: Integers) -> Integers:
    """Return two integer vectors (2, 3) that span the lattice together with a primitive one of indices up to 9."""
    steps = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    steps = steps[np.argsort((steps**2).sum(axis=1), kind="stable")]
    volumes = np.abs(np.cross(step, steps) @ steps.T)
    first, second = np.argwhere(volumes == 1)[0]
    return np.stack([steps[first], steps[second]])


def _columns(seen: Floats, vectors: Floats) -> Indices:
    """Return the number of the column of each atom (m,): those closer together than can be resolved are one."""
    apart = np.hypot(*np.moveaxis(_shortest(seen[:, None] - seen, vectors), -1, 0))
    label = connected_components(apart < _RESOLVED, directed=False)[1]
    _, first, number = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[number])


def _shortest(steps: Floats, vectors: Floats) -> Floats:
    """Return steps (..., 2) less whole lattice vectors, as short as they get in a reduced lattice."""
    fractions = steps @ np.linalg.inv(vectors)
    return np.asarray((fractions - np.round(fractions)) @ vectors)


def match(vectors: Floats, places: Floats, heights: Floats, seen: Projection, *, calibrated: bool) -> Match | None:
    """Find which columns of a structure the sublattices of an image are.

    Parameters
    ----------
    vectors
        (2, 2), lattice vectors a and b of the image, (y, x).
    places
        (k, 2), of the sublattices of a cell, from the first one.
    heights
        (k,), of their columns.
    seen
        The structure.
    calibrated
        Whether lengths of the image are angstrom, so that a scale of 1 is likelier than another.

    Returns
    -------
    Match or None
        None where no vectors of the structure have these lengths and this angle between them, or columns of the image
        are where the structure has none, or one of quite another brightness, or some as bright aren't seen, or
        those of one sublattice are different ones of the structure.
    """
    candidates: list[tuple[float, int, Floats]] = []
    n_seen, of_cell = np.count_nonzero(seen.brightness > _SEEN), abs(float(np.linalg.det(seen.vectors)))
    for onto in _similar(vectors, seen.vectors):
        area = float(np.linalg.det(onto))
        expected = n_seen * abs(float(np.linalg.det(vectors)) * area) / of_cell
        unseen = max(0.0, 1.0 - len(places) / expected)
        cost = (
            _UNSEEN_COST * unseen
            + _MIRROR_COST * (area < 0)
            + calibrated * _SCALE_COST * abs(0.5 * math.log(abs(area)))
        )
        candidates.append((cost, len(candidates), onto))
    best: Match | None = None
    lowest = np.inf
    for cost, _, onto in sorted(candidates, key=lambda candidate: candidate[:2]):
        if cost >= lowest:
            break
        for origin in seen.places:
            found = _laid_over(onto, vectors, places, heights, seen, origin)
            if found is not None and cost + found[1] < lowest - 1e-9:
                best, lowest = found[0], cost + found[1]
    return best


def _laid_over(
    onto: Floats, vectors: Floats, places: Floats, heights: Floats, seen: Projection, origin: Floats
) -> tuple[Match | None, float] | None:
    """Lay the first sublattice over a column of the structure; return what the others are then, and a cost.

    None: columns don't fit; no match: they do, but one sublattice has columns that differ in the structure.
    """
    cells = np.array([(n, m) for n in range(3) for m in range(3)]) @ vectors
    moved = places @ onto
    steps = _shortest((moved[:, None] + cells @ onto + origin)[:, :, None] - seen.places, seen.vectors)
    distances = np.hypot(steps[..., 0], steps[..., 1])
    column = distances.argmin(axis=2)
    off = np.take_along_axis(distances, column[..., None], 2)[..., 0]
    if off.max() > min(_OFF_ANGSTROM, _OFF * _closest(seen)):
        return None
    of_cells = seen.brightness[column]
    brightness = of_cells.mean(axis=1)
    unlike = float(np.std(np.log(np.maximum(heights, 1e-9)) - np.log(brightness)))
    steps_up, higher = (np.subtract.outer(*(np.log(np.maximum(of, 1e-9)),) * 2) for of in (brightness, heights))
    if ((np.abs(steps_up) < _SAME_KIND) & (np.abs(higher) > _SAME_HEIGHT)).any():
        return None
    as_bright = np.count_nonzero(seen.brightness >= _AS_BRIGHT * brightness.min())
    expected = as_bright * abs(float(np.linalg.det(vectors @ onto) / np.linalg.det(seen.vectors)))
    if unlike > _UNLIKE or expected > len(places) + 0.5:
        return None
    away = np.take_along_axis(steps, column[..., None, None], 2)[:, :, 0].mean(axis=1)
    there = (moved - away + away[0]) @ np.linalg.inv(onto)
    is_mixed = bool((np.ptp(of_cells, axis=1) > _MIXED * brightness).any())
    misfit = float(np.sqrt(((away - away.mean(axis=0)) ** 2).sum(axis=1).mean()))
    found = Match(column[:, 0], there, float(abs(np.linalg.det(onto))) ** 0.5)
    return None if is_mixed else found, unlike + misfit


def _similar(vectors: Floats, of_structure: Floats) -> Iterator[Floats]:
    """Yield the maps (2, 2), row vectors of the image onto those of the structure, that are similarities, nearly."""
    reach = np.arange(-_MULTIPLES, _MULTIPLES + 1)
    steps = np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2) @ of_structure
    for cell in _CELLS:
        from_image = np.linalg.inv(np.array(cell) @ vectors)
        # Rotated and mirrored ones are the same for the columns' lattice, not for the columns: all are tried.
        for first in steps:
            pairs = np.stack([np.broadcast_to(first, steps.shape), steps], axis=1)
            onto = from_image @ pairs
            area = onto[:, 0, 0] * onto[:, 1, 1] - onto[:, 0, 1] * onto[:, 1, 0]
            square = (onto**2).sum(axis=(1, 2))
            with np.errstate(invalid="ignore", divide="ignore"):
                # Singular values p >= q: p² + q² over 2 p q is 1 for a similarity, and 1 + e²/2 where p = (1 + e) q.
                alike = square / (2.0 * np.abs(area)) < 1.0 + 0.5 * _SHEARED**2
            yield from onto[alike & (np.abs(area) > 1e-9)]


def _closest(seen: Projection) -> float:
    """Return the shortest distance of columns that can be seen, angstrom."""
    places = seen.places[seen.brightness > _SEEN]
    apart = np.hypot(*np.moveaxis(_shortest(places[:, None] - places, seen.vectors), -1, 0))
    own = float(np.hypot(*seen.vectors.T).min())
    return min(own, float(np.where(apart > 0, apart, np.inf).min()))
