"""What the mean cell of an image says of its columns' places under several shapes of a column.

Where columns overlap and aren't Gaussians, the same image can be explained by columns of one shape in one place and of
another shape in another: differences between cells are determined, their mean is not. The mean cell has the signal of
all cells, so that noise hardly matters and what is left is the choice of a shape. Each family holds the Gaussian with
kurtosis and coma (:mod:`aberrations`) and one thing more, all shared by the columns of the cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np
from scipy.optimize import least_squares

from stemdask.kernels.arrays import Floats, Indices
from stemdask.kernels.compiled import kernel

#: How many times wider a halo is than its column, and by how much less it falls with r².
_HALO = 2.2
_FLATTER = 1.0 - _HALO**-2
#: Columns are drawn out to so many widths, a halo to so many of its own, and the most steps of a fit.
_REACH, _HALO_REACH, _MOST_STEPS = 5.0, 4.0, 25
#: Cells on each side whose columns reach into the mean cell at the most.
_CELLS = 6

#: Powers of y and of x, from 0, that a deviation may hold.
_POWERS = 7


def _of(*products: tuple[float, int, int, int]) -> Floats:
    """Return a polynomial (yᵐ, xⁿ) as the sum of factors times powers of y, x and r² = y² + x²."""
    out = np.zeros((_POWERS, _POWERS))
    for factor, y, x, r2 in products:
        for k in range(r2 + 1):
            out[y + 2 * k, x + 2 * (r2 - k)] += factor * comb(r2, k)
    return out


def _comas(*powers: float) -> tuple[Floats, Floats]:
    """Return y and x times a polynomial in r², by its coefficients from the constant one up."""
    along_y = _of(*((factor, 1, 0, k) for k, factor in enumerate(powers)))
    return along_y, along_y.T


_COMMON = (_of((1.0, 0, 0, 0), (-1.0, 0, 0, 1), (0.125, 0, 0, 2)), *_comas(-4.0, 1.0))
#: What each family has beyond kurtosis and coma, in units of the width, times the Gaussian; a halo is drawn apart.
FAMILIES: dict[str, tuple[Floats, ...]] = {
    "nothing": (),
    "trefoil": (_of((3.0, 1, 2, 0), (-1.0, 3, 0, 0)), _of((1.0, 0, 3, 0), (-3.0, 2, 1, 0))),
    "a further radial term": (_of((-1.0, 0, 0, 0), (1.5, 0, 0, 1), (-0.375, 0, 0, 2), (1.0 / 48.0, 0, 0, 3)),),
    "coma of the next order": _comas(3.0, -1.5, 0.125),
    "a halo": (),
}


def moves_by_shape(cell: Floats, a: Floats, b: Floats, places: Floats, heights: Floats, width: float) -> Floats:
    """Return how far the columns of a mean cell move from where they were found, for each family of shapes.

    Parameters
    ----------
    cell
        (na, nb), the mean cell, sampled evenly along `a` and `b`; any offset.
    a, b
        (2,), lattice vectors, px, (y, x).
    places
        (s, 2), px, columns of the cell from its corner.
    heights
        (s,), of the columns, above 0; only their ratios matter.
    width
        Of the columns, px.

    Returns
    -------
    Floats
        (families, s, 2), px, (y, x), in the order of :data:`FAMILIES`; NaN where a family can't be fitted.

    Notes
    -----
    Ellipse, ratios of heights and of widths, and places are solved by least squares; background, height and the terms,
    in which the cell is linear, are eliminated (variable projection: G. H. Golub & V. Pereyra, SIAM Journal on
    Numerical Analysis 10 (1973) 413; with the derivatives of L. Kaufman, BIT 15 (1975) 49).
    """
    near, far = (_CellFit(cell, (a, b), places, width, reach) for reach in (_REACH, _HALO_REACH * _HALO))
    start = near.start(heights)
    moves: list[Floats] = []
    for name, more in FAMILIES.items():
        halo = name == "a halo"
        found = (far if halo else near).fitted(start, np.stack(_COMMON + more), halo)
        start = found if not moves and found is not None else start
        moves.append(np.full(places.shape, np.nan) if found is None else found[: places.size].reshape(places.shape))
    return np.stack(moves)


class _CellFit:
    """The pixels of a mean cell with the columns whose tails reach each of them."""

    def __init__(
        self, cell: Floats, vectors: tuple[Floats, Floats], places: Floats, width: float, reach: float
    ) -> None:
        self._image, self._width, self._n = cell.ravel(), width, cell.size
        s, t = np.meshgrid(*(np.arange(n) / n for n in cell.shape), indexing="ij")
        pixels = np.stack([s.ravel(), t.ravel()], axis=1) @ np.stack(vectors)
        steps = np.arange(-_CELLS, _CELLS + 1)
        cells = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2) @ np.stack(vectors)
        self._seen: list[tuple[Floats, Indices]] = []
        for place in places:
            apart = pixels - (cells + place)[:, None]
            near = (apart**2).sum(axis=-1) < (reach * width) ** 2
            self._seen.append((apart[near], np.nonzero(near)[1]))

    def start(self, heights: Floats) -> Floats:
        """Return what is varied, of columns that are where they were found: moves, ellipse, widths, heights."""
        s, round_ = len(self._seen), self._width**-2
        return np.concatenate(
            [np.zeros(2 * s), [round_, 0.0, round_], np.zeros(s - 1), np.log(heights[1:] / heights[0])]
        )

    def fitted(self, start: Floats, terms: Floats, halo: bool) -> Floats | None:
        """Return what is varied at the optimum; None where there is none near."""
        s, round_ = len(self._seen), self._width**-2
        step = np.repeat([0.1 * self._width, 0.1 * round_, 0.1], [2 * s, 3, 2 * (s - 1)])
        image = self._image / (float(np.ptp(self._image)) or 1.0)

        def residual(varied: Floats) -> Floats:
            q, _ = np.linalg.qr(self._design(varied, terms, halo))
            return np.asarray(q @ (q.T @ image) - image)

        def slopes(varied: Floats) -> Floats:
            q, r = np.linalg.qr(self._design(varied, terms, halo))
            changes = self._changes(varied, terms, halo, np.linalg.solve(r, q.T @ image))
            # What the eliminated ones take up of it is no change.
            return np.asarray(changes - q @ (q.T @ changes))

        try:
            found = least_squares(residual, start, slopes, x_scale=step, max_nfev=_MOST_STEPS, xtol=1e-5, ftol=1e-7).x
        except (ValueError, np.linalg.LinAlgError):
            return None
        return np.asarray(found) if np.all(np.abs(found[: 2 * s]) < self._width) else None

    def _columns(self, varied: Floats) -> Iterator[tuple[Floats, Indices, Floats]]:
        """Yield what is near each column of the cell and the column: y, x, precisions, height, factor of precisions."""
        s = len(self._seen)
        factor = np.exp(np.concatenate([[0.0], varied[2 * s + 3 : 3 * s + 2]]))
        height = np.exp(np.concatenate([[0.0], varied[3 * s + 2 :]]))
        for k, (apart, pixel) in enumerate(self._seen):
            ellipse = factor[k] * varied[2 * s : 2 * s + 3]
            yield apart, pixel, np.array([*varied[2 * k : 2 * k + 2], *ellipse, height[k], factor[k]])

    def _design(self, varied: Floats, terms: Floats, halo: bool) -> Floats:
        """Return (pixels, 2 + terms) what the cell is linear in: background, Gaussians, and their deviations."""
        design = np.zeros((2 + len(terms) + halo, self._n))
        design[0] = 1.0
        for apart, pixel, column in self._columns(varied):
            _draw(apart, pixel, column, terms, halo, design)
        return design.T

    def _changes(self, varied: Floats, terms: Floats, halo: bool, known: Floats) -> Floats:
        """Return (pixels, varied) the derivatives of the cell, whose linear part is known."""
        s, shape = len(self._seen), np.tensordot(known[2 : 2 + len(terms)], terms, 1)
        shape[0, 0] += known[1]
        out, one = np.zeros((len(varied), self._n)), np.empty((7, self._n))
        for k, (apart, pixel, column) in enumerate(self._columns(varied)):
            one[:] = 0.0
            _differentiate(apart, pixel, column, shape, float(known[-1]) if halo else 0.0, one)
            out[2 * k : 2 * k + 2] = one[:2]
            out[2 * s : 2 * s + 3] += column[6] * one[2:5]
            if k:
                out[2 * s + 2 + k], out[3 * s + 1 + k] = one[5:]
        return out.T


@kernel
def _draw(apart: Floats, pixel: Indices, column: Floats, terms: Floats, halo: bool, design: Floats) -> None:
    """Add a column to (2 + terms, pixels) what the cell is linear in, at pixels apart (p, 2) from where it was."""
    yy, yx, xx = column[2], column[3], column[4]
    unit = np.sqrt(max(0.5 * (yy + xx), 0.0))
    for p in range(len(pixel)):
        y, x, at = apart[p, 0] - column[0], apart[p, 1] - column[1], pixel[p]
        gaussian = column[5] * np.exp(-0.5 * (yy * y * y + 2.0 * yx * y * x + xx * x * x))
        y, x = unit * y, unit * x
        design[1, at] += gaussian
        for k in range(len(terms)):
            value = 0.0
            for m in range(_POWERS - 1, -1, -1):
                row = 0.0
                for n in range(_POWERS - 1 - m, -1, -1):
                    row = row * x + terms[k, m, n]
                value = value * y + row
            design[2 + k, at] += gaussian * value
        if halo:
            design[2 + len(terms), at] += gaussian * np.exp(0.5 * _FLATTER * (y * y + x * x)) / _HALO**2


@kernel
def _differentiate(apart: Floats, pixel: Indices, column: Floats, shape: Floats, halo: float, out: Floats) -> None:
    """Add the derivatives of a column of a shape: by y, x, the precisions, and logarithms of width and height."""
    yy, yx, xx = column[2], column[3], column[4]
    unit = np.sqrt(max(0.5 * (yy + xx), 0.0))
    for p in range(len(pixel)):
        y, x, at = apart[p, 0] - column[0], apart[p, 1] - column[1], pixel[p]
        ty, tx = yy * y + yx * x, yx * y + xx * x
        gaussian = column[5] * np.exp(-0.5 * (y * ty + x * tx))
        uy, ux = unit * y, unit * x
        wide = halo * np.exp(0.5 * _FLATTER * (uy * uy + ux * ux)) / _HALO**2
        value = by_y = by_x = 0.0
        for m in range(_POWERS - 1, -1, -1):
            row = slope = 0.0
            for n in range(_POWERS - 1 - m, -1, -1):
                slope = slope * ux + row
                row = row * ux + shape[m, n]
            by_y = by_y * uy + value
            value = value * uy + row
            by_x = by_x * uy + slope
        value += wide
        by_y, by_x = unit * (by_y + wide * _FLATTER * uy), unit * (by_x + wide * _FLATTER * ux)
        wider = 0.5 * (y * by_y + x * by_x)  # by the logarithm of the precision, through the unit of the terms
        of_ellipse = wider / (yy + xx)
        out[0, at] += gaussian * (ty * value - by_y)
        out[1, at] += gaussian * (tx * value - by_x)
        out[2, at] += gaussian * (of_ellipse - 0.5 * y * y * value)
        out[3, at] -= gaussian * y * x * value
        out[4, at] += gaussian * (of_ellipse - 0.5 * x * x * value)
        out[5, at] += gaussian * (wider - 0.5 * (y * ty + x * tx) * value)
        out[6, at] += gaussian * value
