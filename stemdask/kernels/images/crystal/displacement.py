"""Displacement of the columns of one sublattice against the columns of another, cell by cell.

Every reference is a weighted mean of A columns, or a straight line or lattice through many of them, so a displacement
is linear in the positions and its covariance follows from theirs. Columns whose tails overlap share their errors: what
pulls at B pulls at its A columns too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.special import ndtri, stdtr

from stemdask.kernels.arrays import AnyIntegers, Codes, Floats, Integers, Integers32
from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance

Reference = Literal["neighbours", "line", "lattice"]
REFERENCES: tuple[Reference, ...] = ("neighbours", "line", "lattice")

#: 95 % of a two-dimensional normal distribution lie within this squared distance, in standard deviations.
CHI2_95 = 5.991
#: Cells on each side of a column to which its plane is fitted as a straight line.
_LINE_REACH = 3
#: What is as rare as this is so for certain; an error of as few values says nothing.
_LEAST = 1e-300
_SNAP = 0.12
_SNAP_THIRD = 0.06


@dataclass(frozen=True, slots=True)
class Displacements:
    """Displacements of n cells; lengths in the unit of the positions, x to the right and y downwards."""

    column: Integers
    """(n,), number of the displaced column among those given."""
    centre: Floats
    """(n, 2), (y, x), where the column would be without displacement."""
    vector: Floats
    """(n, 2), (u, v): along +x and +y."""
    covariance: Floats
    """(n, 2, 2), of (u, v)."""
    weights: sparse.csr_array
    """(n, number of columns given): each displacement as a sum of positions, less what a mean lattice adds."""

    @classmethod
    def none(cls, columns: int = 0) -> Displacements:
        """Return no displacement of so many columns."""
        arrays = np.empty(0, np.int64), np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2, 2))
        return cls(*arrays, sparse.csr_array((0, columns)))

    def of_columns(self, numbers: Integers, n: int) -> Displacements:
        """Return the same of n columns, among which those given have these `numbers`."""
        entries = self.weights.data, numbers[self.weights.indices], self.weights.indptr
        weights = sparse.csr_array(entries, shape=(len(self.column), n))
        return replace(self, column=numbers[self.column], weights=weights)

    @classmethod
    def joined(cls, parts: Sequence[Displacements]) -> Displacements:
        """Return the displacements of all parts, at least one, of the same columns, one after another."""

        def together(name: str) -> Any:
            return np.concatenate([getattr(part, name) for part in parts])

        weights = sparse.csr_array(sparse.vstack([part.weights for part in parts]))
        return cls(together("column"), together("centre"), together("vector"), together("covariance"), weights)

    @property
    def error(self) -> Floats:
        """(n, 2), standard errors of u and v."""
        return np.sqrt(self.covariance[:, [0, 1], [0, 1]])

    @property
    def magnitude(self) -> Floats:
        """(n,), length of the vectors."""
        return np.hypot(self.vector[:, 0], self.vector[:, 1])

    @property
    def angle(self) -> Floats:
        """(n,), direction in degree, counter-clockwise from +x as displayed (y down), in -180 .. 180."""
        return np.degrees(np.arctan2(-self.vector[:, 1], self.vector[:, 0]))

    def significant(self, shared: Floats | None = None, freedom: Floats | None = None) -> Codes:
        """Return (n,) 1 where the vector lies outside the 95 % ellipse of its errors, 0 inside, -1 without errors.

        Parameters
        ----------
        shared
            (2,), a standard error of (u, v) that all have in common, beside their own; NaN is none.
        freedom
            (n, 2), of how many independent values the errors of (u, v) are known; None: they are known.
        """
        vector = self.vector if freedom is None else self.error * as_normal(self.vector / self.error, freedom)
        (u, v), (uu, uv, vv) = vector.T, self.covariance[:, [0, 0, 1], [0, 1, 1]].T
        if shared is not None:
            uu, vv = (own + np.nan_to_num(one) ** 2 for own, one in zip((uu, vv), shared, strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = (vv * u**2 - 2.0 * uv * u * v + uu * v**2) / (uu * vv - uv**2)
        return np.where(np.isfinite(distance), distance > CHI2_95, -1).astype(np.int8)

    def turned(self, matrix: Floats, middle: Floats) -> Displacements:
        """Return the displacements in coordinates (y, x) turned by a `matrix` (2, 2) about a point (2,)."""
        of_vectors = matrix[::-1, ::-1]
        return replace(
            self,
            centre=(self.centre - middle) @ matrix.T + middle,
            vector=self.vector @ of_vectors.T,
            covariance=of_vectors @ self.covariance @ of_vectors.T,
        )

    def without(self, offset: Floats) -> Displacements:
        """Return the displacements less `offset`, (2,) or (n, 2)."""
        return replace(self, vector=self.vector - offset)


def as_normal(pulls: Floats, freedom: Floats) -> Floats:
    """Return normal numbers as rare as these over errors that are known of so many values (Student's t)."""
    certain = np.isinf(freedom) | np.isnan(pulls)
    rare = stdtr(np.where(certain, 1.0, np.maximum(freedom, _LEAST)), -np.abs(np.where(certain, 0.0, pulls)))
    found: Floats = np.where(certain, pulls, np.copysign(ndtri(np.maximum(rare, _LEAST)), pulls))
    return found


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The A columns whose weighted mean is the centre of a cell."""

    cells: Integers
    """(m, 2), steps in (i, j) from the cell of the displaced column."""
    weights: Floats
    """(m,), sum 1."""


def displacements(
    positions: Floats,
    errors: Floats | PositionCovariance,
    sublattice: Codes,
    i: Integers32,
    j: Integers32,
    *,
    displaced: int = 1,
    framework: int = 0,
    reference: Reference = "neighbours",
) -> Displacements:
    """Measure how far each column of a sublattice is from where its framework would have it.

    Parameters
    ----------
    positions
        (n, 2), (y, x); any unit.
    errors
        Covariance of the positions, in that unit squared, or standard errors (n, 2) of independent columns. May be NaN.
    sublattice, i, j
        (n,), from finding.
    displaced, framework
        Numbers of the sublattices: B is measured against A.
    reference
        "neighbours": the centre of the A columns around it. "line": the same, of A positions replaced by straight
        lines through seven columns of their two planes each, which averages noise and not domains. "lattice": the
        site in the mean lattice of all A columns; long-range distortions of the scan and strain add to it.

    Returns
    -------
    Displacements
        Of those columns whose reference is complete, in the order given; for "lattice", those that "neighbours" has
        too, so that references can be compared cell by cell.

    Examples
    --------
    >>> corners = np.array([[0.0, 0], [0, 10], [10, 0], [10, 10]])
    >>> positions = np.vstack([corners, [[5.2, 5.5]]])
    >>> sublattice = np.array([0, 0, 0, 0, 1], np.int8)
    >>> i, j = np.array([[0, 1, 0, 1, 0], [0, 0, 1, 1, 0]], np.int32)
    >>> displacements(positions, np.full((5, 2), 0.1), sublattice, i, j).vector.round(3)
    array([[0.5, 0.2]])
    """
    of, corner = np.flatnonzero(sublattice == displaced), np.flatnonzero(sublattice == framework)
    if len(of) == 0 or len(corner) < 3:
        return Displacements.none(len(positions))
    lattice = fit_lattice(positions[corner], i[corner], j[corner])
    if not np.isfinite(lattice.a).all():
        return Displacements.none(len(positions))
    basis = np.stack([lattice.a, lattice.b])
    fractions = (positions[of] - lattice.origin) @ np.linalg.inv(basis) - np.stack([i[of], j[of]], axis=1)
    site = nominal_site(np.median(fractions, axis=0), lattice.a, lattice.b)
    around = surrounding(site, lattice.a, lattice.b)

    index = _IndexGrid(i[corner], j[corner], corner)
    neighbours = index.at(i[of][:, None] + around.cells[:, 0], j[of][:, None] + around.cells[:, 1])
    complete = (neighbours >= 0).all(axis=1)
    of, neighbours = of[complete], neighbours[complete]
    known = errors if isinstance(errors, PositionCovariance) else PositionCovariance.independent(errors)
    weights = _weights(of[:, None], np.ones(1), len(positions))
    if reference == "lattice":
        centre = lattice.at(i[of] + site[0], j[of] + site[1])
        covariance = known.of_sums(weights) + _of_mean(known, corner)
    else:
        mean = _weights(neighbours, around.weights, len(positions))
        if reference == "line":
            mean = mean @ _straight_lines(index, corner, i[corner], j[corner], len(positions))
        weights = sparse.csr_array(weights - mean)
        centre, covariance = mean @ positions, known.of_sums(weights)
    return Displacements(of, centre, (positions[of] - centre)[:, ::-1], covariance[:, ::-1, ::-1], weights)


def _weights(columns: Integers, weights: Floats, n: int) -> sparse.csr_array:
    """Matrix (m, n) of weighted sums of columns (m, w), with the weights (w,)."""
    start = np.arange(len(columns) + 1) * len(weights)
    return sparse.csr_array((np.tile(weights, len(columns)), columns.ravel(), start), shape=(len(columns), n))


def _of_mean(known: PositionCovariance, columns: Integers) -> Floats:
    """Covariance (1, 2, 2) of the mean of those columns that have errors: what a lattice through them adds."""
    counted = columns[np.isfinite(known.own[columns]).all(axis=(1, 2))]
    if not len(counted):
        return np.full((1, 2, 2), np.nan)
    return known.of_sums(_weights(counted[None], np.full(len(counted), 1.0 / len(counted)), len(known)))


def nominal_site(fraction: Floats, a: Floats, b: Floats) -> Floats:
    """Return the site of high symmetry that a mean position in the cell stands for.

    A polar crystal displaces all its columns alike, so the mean position must not be the reference. Sites with halves
    are taken within 0.12 of the cell, and with thirds (hexagonal cells only) or quarters within 0.06; else the position
    itself.
    """
    lengths = np.hypot(*a), np.hypot(*b)
    cosine = abs(float(a @ b)) / (lengths[0] * lengths[1])
    hexagonal = abs(lengths[0] / lengths[1] - 1.0) < 0.08 and abs(cosine - 0.5) < 0.08
    halves = np.round(2.0 * fraction) / 2.0
    if np.abs(fraction - halves).max() <= _SNAP:
        return halves
    finer = 3.0 if hexagonal else 4.0
    snapped: Floats = np.round(finer * fraction) / finer
    return snapped if np.abs(fraction - snapped).max() <= _SNAP_THIRD else fraction


def surrounding(site: Floats, a: Floats, b: Floats) -> Neighbours:
    """Choose the A columns whose mean is the site: the nearest ones, if they surround it evenly, else the cell's four.

    Four around the middle of a cell, two beside the middle of an edge, three around a site of thirds; elsewhere the
    corners of the cell by bilinear weights.
    """
    basis = np.stack([a, b])
    steps = np.array([(n, m) for n in range(-1, 3) for m in range(-1, 3)])
    distances = np.hypot(*((steps - site) @ basis).T)
    near = np.flatnonzero(distances < 1.15 * distances.min())
    if np.abs(steps[near].mean(axis=0) - site).max() < 0.02:
        return Neighbours(steps[near].astype(np.int64), np.full(len(near), 1.0 / len(near)))
    low = np.floor(site).astype(np.int64)
    s, t = site - low
    cells = low + np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    weights = np.array([(1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t])
    return Neighbours(cells[weights > 1e-9], weights[weights > 1e-9])


class _IndexGrid:
    """Number of the column at each pair of indices."""

    def __init__(self, i: Integers32, j: Integers32, numbers: Integers) -> None:
        self._low = int(i.min()), int(j.min())
        self._grid = np.full((int(np.ptp(i)) + 1, int(np.ptp(j)) + 1), -1, np.int64)
        self._grid[i - self._low[0], j - self._low[1]] = numbers

    def at(self, i: AnyIntegers, j: AnyIntegers) -> Integers:
        """Return the numbers of the columns at these indices; -1 where there is none."""
        row, column = i - self._low[0], j - self._low[1]
        inside = (row >= 0) & (column >= 0) & (row < self._grid.shape[0]) & (column < self._grid.shape[1])
        found: Integers = np.where(inside, self._grid[np.where(inside, row, 0), np.where(inside, column, 0)], -1)
        return found


def _straight_lines(index: _IndexGrid, corner: Integers, i: Integers32, j: Integers32, n: int) -> sparse.csr_array:
    """Matrix that replaces each column's position by the mean of the straight lines through its two planes."""
    steps = np.arange(-_LINE_REACH, _LINE_REACH + 1)
    rows, columns, values = [], [], []
    for along in ((1, 0), (0, 1)):
        at = index.at(i[:, None] + along[0] * steps, j[:, None] + along[1] * steps)
        known = (at >= 0).astype(float)
        # Value at step 0 of the straight line through the known ones, as weights of their positions.
        s0, s1, s2 = known.sum(axis=1), known @ steps, known @ steps**2
        determinant = s0 * s2 - s1**2
        line = known * (s2[:, None] - s1[:, None] * steps) / np.where(determinant > 0, determinant, 1.0)[:, None]
        weights = np.where((determinant > 0)[:, None], line, (steps == 0).astype(float))
        used = at >= 0
        rows.append(np.repeat(corner, used.sum(axis=1)))
        columns.append(at[used])
        values.append(0.5 * weights[used])
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array(entries, shape=(n, n))


def noise_floor(vector: Floats, i: Integers32, j: Integers32) -> float:
    """Return the scatter of a component of the vectors about their neighbours: noise and all that varies as fast.

    From the second differences along i and j, by the median absolute deviation, so that domain walls don't count.

    Parameters
    ----------
    vector
        (n, 2).
    i, j
        (n,), cell of each vector.

    Returns
    -------
    float
        In the unit of the vectors; NaN with fewer than 8 triples in a row.
    """
    if len(vector) == 0:
        return float("nan")
    grid = np.full((int(np.ptp(i)) + 1, int(np.ptp(j)) + 1, 2), np.nan)
    grid[i - i.min(), j - j.min()] = vector
    seconds = np.concatenate(
        [
            (grid[:-2] - 2.0 * grid[1:-1] + grid[2:]).ravel(),
            (grid[:, :-2] - 2.0 * grid[:, 1:-1] + grid[:, 2:]).ravel(),
        ]
    )
    seconds = seconds[np.isfinite(seconds)]
    if len(seconds) < 16:
        return float("nan")
    return float(1.4826 * np.median(np.abs(seconds)) / np.sqrt(6.0))
