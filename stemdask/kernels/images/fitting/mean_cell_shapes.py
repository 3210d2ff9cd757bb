"""What the mean cell of an image says of its columns' places under several shapes of a column.

Where columns overlap and aren't Gaussians, the same image can be explained by columns of one shape in one place and of
another shape in another: differences between cells are determined, their mean is not. The mean cell has the signal of
all cells, so that noise hardly matters and what is left is the choice of a shape. Each family holds the Gaussian with
kurtosis and coma (:mod:`aberrations`) and one thing more, all shared by the columns of the cell.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares

from stemdask.kernels.arrays import Floats, Indices

#: How many times wider a halo is than its column.
_HALO = 2.2
#: Columns are drawn out to so many widths, a halo to so many of its own, and the most steps of a fit.
_REACH, _HALO_REACH, _MOST_STEPS = 5.0, 4.0, 25
#: Cells on each side whose columns reach into the mean cell at the most.
_CELLS = 6

_Term = Callable[[Floats, Floats, Floats], Floats]
_COMMON: tuple[_Term, ...] = (
    lambda y, x, r2: (r2**2 - 8.0 * r2 + 8.0) / 8.0,
    lambda y, x, r2: y * (r2 - 4.0),
    lambda y, x, r2: x * (r2 - 4.0),
)
#: What each family has beyond kurtosis and coma, in units of the width, times the Gaussian.
FAMILIES: dict[str, tuple[_Term, ...]] = {
    "nothing": (),
    "trefoil": (lambda y, x, r2: 3.0 * x * x * y - y**3, lambda y, x, r2: x**3 - 3.0 * x * y * y),
    "a further radial term": (lambda y, x, r2: (r2**3 - 18.0 * r2**2 + 72.0 * r2 - 48.0) / 48.0,),
    "coma of the next order": (
        lambda y, x, r2: y * (r2**2 - 12.0 * r2 + 24.0) / 8.0,
        lambda y, x, r2: x * (r2**2 - 12.0 * r2 + 24.0) / 8.0,
    ),
    "a halo": (lambda y, x, r2: np.exp(0.5 * r2 * (1.0 - _HALO**-2)) / _HALO**2,),
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
    Numerical Analysis 10 (1973) 413).
    """
    reach = {name: _HALO_REACH * _HALO if name == "a halo" else _REACH for name in FAMILIES}
    cells = {widths: _CellFit(cell, (a, b), places, width, widths) for widths in set(reach.values())}
    start = cells[_REACH].start(heights)
    moves: list[Floats] = []
    for name, more in FAMILIES.items():
        found = cells[reach[name]].fitted(start, _COMMON + more)
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

    def fitted(self, start: Floats, terms: tuple[_Term, ...]) -> Floats | None:
        """Return what is varied at the optimum; None where there is none near."""
        s, round_ = len(self._seen), self._width**-2
        step = np.repeat([0.1 * self._width, 0.1 * round_, 0.1], [2 * s, 3, 2 * (s - 1)])
        scale = float(np.ptp(self._image)) or 1.0

        def residual(varied: Floats) -> Floats:
            design = self._design(varied, terms)
            known = np.linalg.lstsq(design, self._image, rcond=None)[0]
            return np.asarray((design @ known - self._image) / scale)

        try:
            found = least_squares(residual, start, x_scale=step, max_nfev=_MOST_STEPS, xtol=1e-5, ftol=1e-7).x
        except (ValueError, np.linalg.LinAlgError):
            return None
        return np.asarray(found) if np.all(np.abs(found[: 2 * s]) < self._width) else None

    def _design(self, varied: Floats, terms: tuple[_Term, ...]) -> Floats:
        """Return (pixels, 2 + terms) what the cell is linear in: background, Gaussians, and their deviations."""
        s = len(self._seen)
        moves, (yy, yx, xx) = varied[: 2 * s].reshape(s, 2), varied[2 * s : 2 * s + 3]
        narrower = np.concatenate([[0.0], varied[2 * s + 3 : 3 * s + 2]])
        higher = np.concatenate([[0.0], varied[3 * s + 2 :]])
        design = np.zeros((2 + len(terms), self._n))
        design[0] = 1.0
        for (apart, pixel), move, factor, height in zip(
            self._seen, moves, np.exp(narrower), np.exp(higher), strict=True
        ):
            y, x = (apart - move).T
            column = height * np.exp(-0.5 * factor * (yy * y * y + 2.0 * yx * y * x + xx * x * x))
            unit = np.sqrt(max(0.5 * factor * (yy + xx), 0.0))
            y, x = unit * y, unit * x
            r2 = y * y + x * x
            design[1] += np.bincount(pixel, column, self._n)
            for k, term in enumerate(terms):
                design[2 + k] += np.bincount(pixel, column * term(y, x, r2), self._n)
        return design.T
