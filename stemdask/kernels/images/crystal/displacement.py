"""Displacement of the columns of one sublattice against the columns of another, cell by cell.

Every reference is a weighted mean of A columns, or a straight line or lattice through many of them, so a displacement
is linear in the positions and its standard error follows from theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stemdask.kernels.images.crystal.lattice import fit_lattice

Reference = Literal["neighbours", "line", "lattice"]
REFERENCES: tuple[Reference, ...] = ("neighbours", "line", "lattice")

#: 95 % of a two-dimensional normal distribution lie within this squared distance, in standard deviations.
CHI2_95 = 5.991
#: Cells on each side of a column to which its plane is fitted as a straight line.
_LINE_REACH = 3
_SNAP = 0.12
_SNAP_THIRD = 0.06


@dataclass(frozen=True, slots=True)
class Displacements:
    """Displacements of n cells; lengths in the unit of the positions, x to the right and y downwards."""

    column: NDArray[np.int64]
    """(n,), number of the displaced column among those given."""
    centre: NDArray[np.float64]
    """(n, 2), (y, x), where the column would be without displacement."""
    vector: NDArray[np.float64]
    """(n, 2), (u, v): along +x and +y."""
    error: NDArray[np.float64]
    """(n, 2), standard errors of u and v."""

    @property
    def magnitude(self) -> NDArray[np.float64]:
        """(n,), length of the vectors."""
        return np.hypot(self.vector[:, 0], self.vector[:, 1])

    @property
    def angle(self) -> NDArray[np.float64]:
        """(n,), direction in degree, counter-clockwise from +x as displayed (y down), in -180 .. 180."""
        return np.degrees(np.arctan2(-self.vector[:, 1], self.vector[:, 0]))

    @property
    def significant(self) -> NDArray[np.int8]:
        """(n,), 1 where the vector lies outside the 95 % ellipse of its errors, 0 inside, -1 without errors."""
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = ((self.vector / self.error) ** 2).sum(axis=1)
        return np.where(np.isfinite(distance), distance > CHI2_95, -1).astype(np.int8)

    def without(self, offset: NDArray[np.float64]) -> Displacements:
        """Return the displacements less `offset`, (2,) or (n, 2)."""
        return replace(self, vector=self.vector - offset)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The A columns whose weighted mean is the centre of a cell."""

    cells: NDArray[np.int64]
    """(m, 2), steps in (i, j) from the cell of the displaced column."""
    weights: NDArray[np.float64]
    """(m,), sum 1."""


def displacements(
    positions: NDArray[np.float64],
    errors: NDArray[np.float64],
    sublattice: NDArray[np.int8],
    i: NDArray[np.int32],
    j: NDArray[np.int32],
    *,
    displaced: int = 1,
    framework: int = 0,
    reference: Reference = "neighbours",
) -> Displacements:
    """Measure how far each column of a sublattice is from where its framework would have it.

    Parameters
    ----------
    positions, errors
        (n, 2), (y, x), and standard errors; any unit. Errors may be NaN.
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
    """
    nothing = Displacements(np.empty(0, np.int64), np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2)))
    of, corner = np.flatnonzero(sublattice == displaced), np.flatnonzero(sublattice == framework)
    if len(of) == 0 or len(corner) < 3:
        return nothing
    lattice = fit_lattice(positions[corner], i[corner], j[corner])
    if not np.isfinite(lattice.a).all():
        return nothing
    basis = np.stack([lattice.a, lattice.b])
    fractions = (positions[of] - lattice.origin) @ np.linalg.inv(basis) - np.stack([i[of], j[of]], axis=1)
    site = nominal_site(np.median(fractions, axis=0), lattice.a, lattice.b)
    around = surrounding(site, lattice.a, lattice.b)

    index = _IndexGrid(i[corner], j[corner], corner)
    neighbours = index.at(i[of][:, None] + around.cells[:, 0], j[of][:, None] + around.cells[:, 1])
    complete = (neighbours >= 0).all(axis=1)
    of, neighbours = of[complete], neighbours[complete]
    if reference == "lattice":
        centre = lattice.at(i[of] + site[0], j[of] + site[1])
        # The lattice is a mean over all its columns: what it adds to the variance is one part in their number.
        of_mean = errors[corner][np.isfinite(errors[corner]).all(axis=1)] ** 2
        variance = np.broadcast_to(of_mean.mean(axis=0) / len(of_mean) if len(of_mean) else np.nan, centre.shape)
    else:
        start = np.arange(len(of) + 1) * len(around.weights)
        shape = (len(of), len(positions))
        mean = sparse.csr_array((np.tile(around.weights, len(of)), neighbours.ravel(), start), shape=shape)
        if reference == "line":
            mean = mean @ _straight_lines(index, corner, i[corner], j[corner], len(positions))
        centre, variance = mean @ positions, mean.power(2) @ errors**2
    vector = (positions[of] - centre)[:, ::-1]
    return Displacements(of, centre, vector, np.sqrt(errors[of] ** 2 + variance)[:, ::-1])


def nominal_site(fraction: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
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
    snapped: NDArray[np.float64] = np.round(finer * fraction) / finer
    return snapped if np.abs(fraction - snapped).max() <= _SNAP_THIRD else fraction


def surrounding(site: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> Neighbours:
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

    def __init__(self, i: NDArray[np.int32], j: NDArray[np.int32], numbers: NDArray[np.int64]) -> None:
        self._low = int(i.min()), int(j.min())
        self._grid = np.full((int(np.ptp(i)) + 1, int(np.ptp(j)) + 1), -1, np.int64)
        self._grid[i - self._low[0], j - self._low[1]] = numbers

    def at(self, i: NDArray[np.integer], j: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the numbers of the columns at these indices; -1 where there is none."""
        row, column = i - self._low[0], j - self._low[1]
        inside = (row >= 0) & (column >= 0) & (row < self._grid.shape[0]) & (column < self._grid.shape[1])
        found: NDArray[np.int64] = np.where(
            inside, self._grid[np.where(inside, row, 0), np.where(inside, column, 0)], -1
        )
        return found


def _straight_lines(
    index: _IndexGrid, corner: NDArray[np.int64], i: NDArray[np.int32], j: NDArray[np.int32], n: int
) -> sparse.csr_array:
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


def noise_floor(vector: NDArray[np.float64], i: NDArray[np.int32], j: NDArray[np.int32]) -> float:
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
