"""The strain of each cell of a lattice: from the two vectors between its four corners to stretch and rotation.

Coordinates are those of the image, x to the right and y down; a positive rotation is counter-clockwise as displayed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Floats, Integers

_NONE = -1
#: Corners of a cell as steps along (i, j), and their sign in the cell's mean a and b.
_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))
_IN_A = np.array([-0.5, 0.5, -0.5, 0.5])
_IN_B = np.array([-0.5, -0.5, 0.5, 0.5])


@dataclass(frozen=True, slots=True)
class CellVectors:
    """The two vectors of each cell; (y, x), in the unit of the positions; NaN where a corner is missing."""

    a: Floats
    """(n, 2), mean of the two sides along i."""
    b: Floats
    """(n, 2), mean of the two sides along j."""
    covariance: Floats
    """(n, 4, 4, 2, 2), of the corners (0, 0), (1, 0), (0, 1), (1, 1) with one another."""
    curvature_a: Floats
    """(n,), curvature of the rows along a; positive where they bend towards +b."""
    curvature_b: Floats
    """(n,), curvature of the rows along b; positive where they bend towards +a."""


@dataclass(frozen=True, slots=True)
class Strain:
    """Strain of each cell against a reference; rotation in degree. `*_err` are standard errors."""

    exx: Floats
    eyy: Floats
    exy: Floats
    rotation: Floats
    exx_err: Floats
    eyy_err: Floats
    exy_err: Floats
    rotation_err: Floats


@dataclass(frozen=True, slots=True)
class LatticeParameters:
    """Shape of each cell."""

    a: Floats
    b: Floats
    gamma: Floats
    """Angle from a to b, degree."""
    spacing_a: Floats
    """Distance of the rows along a."""
    spacing_b: Floats
    """Distance of the rows along b."""
    ratio: Floats
    """b / a."""
    a_err: Floats
    b_err: Floats
    ratio_err: Floats


def complete_cells(i: AnyIntegers, j: AnyIntegers) -> Integers:
    """Return the (i, j) of all cells of which the four corners (i or i + 1, j or j + 1) exist, ascending.

    Parameters
    ----------
    i, j
        (m,), indices of the columns.

    Returns
    -------
    numpy.ndarray
        (n, 2), indices (i, j) of the cells.

    Examples
    --------
    >>> complete_cells(np.array([0, 1, 0, 1, 2]), np.array([0, 0, 1, 1, 0]))
    array([[0, 0]])
    """
    corners = _Index(i, j)
    first = np.column_stack([i, j])[(i >= 0) & (j >= 0)].astype(np.int64)
    whole = np.all([corners.at(first[:, 0] + di, first[:, 1] + dj) != _NONE for di, dj in _CORNERS], axis=0)
    return first[whole][np.lexsort((first[whole][:, 0], first[whole][:, 1]))]


def corners_of(i: AnyIntegers, j: AnyIntegers, cells: AnyIntegers) -> Integers:
    """Return which columns, of the indices (i, j), are at the four corners of cells: (n, 4), -1 where there is none."""
    index = _Index(i, j)
    return np.stack([index.at(cells[:, 0] + di, cells[:, 1] + dj) for di, dj in _CORNERS], axis=1)


def by_corners(by_a: Floats, by_b: Floats) -> Floats:
    """Return by what corners (n, 4, 2) that move along (y, x) change what the vectors a and b change by (n, 2) each."""
    return _IN_A[:, None] * by_a[:, None] + _IN_B[:, None] * by_b[:, None]


def cell_vectors(
    positions: Floats,
    errors: Floats,
    i: AnyIntegers,
    j: AnyIntegers,
    cells: AnyIntegers,
    shared: Floats | None = None,
) -> CellVectors:
    """Measure the vectors of cells from the columns at their corners.

    Parameters
    ----------
    positions, errors
        (m, 2), (y, x) of the columns of one sublattice and their standard errors.
    i, j
        (m,), indices of the columns; negative for none.
    cells
        (n, 2), the cells (i, j) wanted; their corners are (i or i + 1, j or j + 1).
    shared
        (n, 4, 4, 2, 2), covariance of the corners of each cell beyond their own errors, in the order of `corners_of`,
        as by lines of the scan that were shifted. None: they are independent.

    Returns
    -------
    CellVectors
        The mean vectors a and b of n cells, (n, 2) as (y, x), in the unit of the positions.

    Examples
    --------
    >>> i, j = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    >>> corners = np.column_stack([10.0 * j, 12.0 * i])
    >>> cell_vectors(corners, np.full((4, 2), 0.1), i, j, complete_cells(i, j)).a
    array([[ 0., 12.]])
    """
    index = _Index(i, j)
    padded = np.vstack([positions, [np.nan, np.nan]])

    def at(di: int, dj: int) -> Integers:
        return index.at(cells[:, 0] + di, cells[:, 1] + dj)

    corners = corners_of(i, j, cells)
    variance = np.vstack([errors, [np.nan, np.nan]])[corners] ** 2
    covariance = np.einsum("nkc,kl,cd->nklcd", variance, np.eye(4), np.eye(2))
    if shared is not None:
        covariance += shared
    a = np.einsum("k,nkc->nc", _IN_A, padded[corners])
    b = np.einsum("k,nkc->nc", _IN_B, padded[corners])

    def bend(line: list[tuple[int, int]], along: Floats, across: Floats) -> Floats:
        before, first, second, after = (padded[at(*step)] for step in line)
        turn = 0.5 * (after - second - first + before)
        unit = along / np.linalg.norm(along, axis=1, keepdims=True)
        normal = across - (across * unit).sum(axis=1, keepdims=True) * unit
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        return np.asarray((turn * normal).sum(axis=1) / (along**2).sum(axis=1))

    curvature_a = 0.5 * sum(bend([(k, row) for k in (-1, 0, 1, 2)], a, b) for row in (0, 1))
    curvature_b = 0.5 * sum(bend([(row, k) for k in (-1, 0, 1, 2)], b, a) for row in (0, 1))
    return CellVectors(a, b, np.asarray(covariance), np.asarray(curvature_a), np.asarray(curvature_b))


def columns_of_cells(positions: Floats, i: AnyIntegers, j: AnyIntegers, cells: AnyIntegers) -> Floats:
    """Return the position of the column with the indices of each cell: (n, 2), NaN where there is none."""
    found: Floats = np.vstack([positions, [np.nan, np.nan]])[_Index(i, j).at(cells[:, 0], cells[:, 1])]
    return found


def strain_of(cells: CellVectors, reference: Floats) -> Strain:
    """Return the strain of cells: F = R (1 + ε), the polar decomposition of what takes the reference to the cell.

    Parameters
    ----------
    cells
        Vectors of the cells.
    reference
        (2, 2), the reference vectors a and b as rows of (y, x).

    Returns
    -------
    Strain
        (n,) each: components of the strain without a unit, the rotation in degree, and their standard errors.

    Notes
    -----
    ε is the Biot strain in the coordinates of the reference; it doesn't feel a rotation of any size. Standard errors
    are propagated to first order from the covariance of the corners; that of the reference is left out (it is the same
    for all cells).

    Examples
    --------
    >>> i, j = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    >>> corners = np.column_stack([10.0 * j, 10.1 * i])
    >>> cells = cell_vectors(corners, np.full((4, 2), 0.1), i, j, complete_cells(i, j))
    >>> strain_of(cells, np.array([[0.0, 10], [10, 0]])).exx.round(3)
    array([0.01])
    """
    inverse = np.linalg.inv(reference[:, ::-1])
    vectors = np.stack([cells.a, cells.b], axis=1)[..., ::-1]  # (n, 2, 2), rows a and b as (x, y)
    deformation = np.swapaxes(inverse @ vectors, 1, 2)
    xx, xy, yx, yy = (deformation[:, row, column] for row in (0, 1) for column in (0, 1))
    angle = np.arctan2(xy - yx, xx + yy)
    cos, sin = np.cos(angle), np.sin(angle)
    # What each corner moves: d(deformation) along x or y by `gain` of the reference's x and y.
    gain = inverse @ np.stack([_IN_A, _IN_B])  # (2, 4)

    def error(along_x: Floats, along_y: Floats) -> Floats:
        return _error(np.stack([along_y, along_x], axis=-1), cells)

    return Strain(
        exx=cos * xx - sin * yx - 1,
        eyy=sin * xy + cos * yy - 1,
        exy=0.5 * (cos * xy - sin * yy + sin * xx + cos * yx),
        rotation=np.rad2deg(angle),
        exx_err=error(np.outer(cos, gain[0]), -np.outer(sin, gain[0])),
        eyy_err=error(np.outer(sin, gain[1]), np.outer(cos, gain[1])),
        exy_err=0.5
        * error(
            np.outer(cos, gain[1]) + np.outer(sin, gain[0]),
            np.outer(cos, gain[0]) - np.outer(sin, gain[1]),
        ),
        rotation_err=np.rad2deg(
            0.5
            * error(
                np.outer(cos, gain[1]) - np.outer(sin, gain[0]),
                -np.outer(cos, gain[0]) - np.outer(sin, gain[1]),
            )
        ),
    )


def lattice_parameters(cells: CellVectors) -> LatticeParameters:
    """Return lengths, angle and spacings of cells, with standard errors from those of the corners.

    Parameters
    ----------
    cells
        Vectors of n cells, as from :func:`cell_vectors`.

    Returns
    -------
    LatticeParameters
        (n,) each: lengths and spacings in the unit of the positions, the angle in degree.

    Examples
    --------
    >>> i, j = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    >>> corners = np.column_stack([10.0 * j, 12.0 * i])
    >>> lattice_parameters(cell_vectors(corners, np.full((4, 2), 0.1), i, j, complete_cells(i, j))).a
    array([12.])
    """
    a, b = np.linalg.norm(cells.a, axis=1), np.linalg.norm(cells.b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit_a, unit_b = cells.a / a[:, None], cells.b / b[:, None]
        area = np.abs(cells.a[:, 1] * cells.b[:, 0] - cells.a[:, 0] * cells.b[:, 1])
        gamma = np.rad2deg(np.arccos(np.clip((unit_a * unit_b).sum(axis=1), -1, 1)))
        along_a = _IN_A[:, None] * unit_a[:, None, :]  # (n, 4, 2), what each corner moves the length
        along_b = _IN_B[:, None] * unit_b[:, None, :]
        relative = along_b / b[:, None, None] - along_a / a[:, None, None]
        errors = [_error(moves, cells) for moves in (along_a, along_b, relative)]
        return LatticeParameters(a, b, gamma, area / a, area / b, b / a, errors[0], errors[1], errors[2] * b / a)


def oriented_reference(a: float, b: float, gamma: float, like: Floats) -> Floats:
    """Return a reference lattice of given lengths and angle (degree), turned to lie like another one.

    Parameters
    ----------
    like
        (2, 2), vectors a and b as rows of (y, x); the result needs no rotation to be strained into it.
    """
    turn = np.deg2rad(gamma) * np.sign(like[0, 1] * like[1, 0] - like[0, 0] * like[1, 1])
    upright = np.array([[a, 0.0], [b * np.cos(turn), b * np.sin(turn)]])  # rows of (x, y)
    (xx, yx), (xy, yy) = np.linalg.inv(upright) @ like[:, ::-1]
    angle = np.arctan2(xy - yx, xx + yy)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned: Floats = (upright @ rotation)[:, ::-1]
    return turned


def _error(moves: Floats, cells: CellVectors) -> Floats:
    """Return the standard error (n,) of what each corner moves by (n, 4, 2)."""
    variance = np.einsum("nkc,nklcd,nld->n", moves, cells.covariance, moves, optimize=True)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


class _Index:
    """Which column has given indices."""

    def __init__(self, i: AnyIntegers, j: AnyIntegers) -> None:
        size = (int(i.max(initial=-1)) + 1, int(j.max(initial=-1)) + 1)
        self._table = np.full((max(size[0], 0) + 1, max(size[1], 0) + 1), _NONE, dtype=np.int64)
        known = np.flatnonzero((i >= 0) & (j >= 0))
        self._table[i[known], j[known]] = known

    def at(self, i: AnyIntegers, j: AnyIntegers) -> Integers:
        last = np.array(self._table.shape) - 1
        inside = (i >= 0) & (j >= 0) & (i < last[0]) & (j < last[1])
        found: Integers = self._table[np.where(inside, i, last[0]), np.where(inside, j, last[1])]
        return found
