"""Fields that vary slowly over an image, as tensor products of cubic B-splines: the background, maps of the width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stemdask.kernels.arrays import Floats, Image, Indices
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.patch_fields import PatchSplines

#: Cubic splines on one axis that reach a place.
_REACH = 4


@dataclass(frozen=True)
class SmoothBasis:
    """Cubic B-splines on a uniform grid of knots, or a constant. They sum to one everywhere.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    cells
        Intervals between knots along y and x; (0, 0) is a constant.
    """

    shape: tuple[int, int]
    cells: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, int], cell: float, most: int) -> SmoothBasis:
        """Return splines with cells of `cell` px or more, `most` of them a side at most.

        A constant where the image is too small for one cell.
        """
        cells = int(min(shape[0] / cell, most)), int(min(shape[1] / cell, most))
        return cls(shape, cells if min(cells) >= 1 else (0, 0))

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return int(np.prod([cells + 3 if cells else 1 for cells in self.cells]))

    def along(self, axis: int, coordinate: Floats, *, slope: bool = False) -> Floats:
        """Return the splines of one axis at coordinates (n,) in px, or their slopes a px: (n, splines)."""
        cells = self.cells[axis]
        if cells == 0:
            return np.full((len(coordinate), 1), 0.0 if slope else 1.0)
        knots_per_px = cells / self.shape[axis]
        offset = np.clip((coordinate + 0.5) * knots_per_px, 0.0, cells)[:, None] - np.arange(-1, cells + 2)
        distance = np.abs(offset)
        beyond = np.maximum(2.0 - distance, 0.0)
        if slope:
            return (
                knots_per_px
                * np.sign(offset)
                * np.where(distance < 1.0, distance * (1.5 * distance - 2.0), -0.5 * beyond**2)
            )
        return np.where(distance < 1.0, 2.0 / 3.0 + distance**2 * (0.5 * distance - 1.0), beyond**3 / 6.0)

    def at(self, positions: Floats) -> Floats:
        """Return all splines at positions (n, 2): (n, size). For few positions; see :meth:`values` for many."""
        return _outer(self.along(0, positions[:, 0]), self.along(1, positions[:, 1]))

    def near(self, positions: Floats, *, linear: bool) -> PatchSplines:
        """Return the splines that reach positions (n, 2): their values and, where `linear`, slopes along y and x."""
        near, values, slopes = [], [], []
        for axis, coordinate in enumerate(positions.T):
            values.append(self.along(axis, coordinate))
            slopes.append(self.along(axis, coordinate, slope=True))
            n, cells = values[axis].shape[1], self.cells[axis]
            first = np.floor((coordinate + 0.5) * cells / self.shape[axis]).astype(np.intp)
            near.append(np.clip(first, 0, max(n - _REACH, 0))[:, None] + np.arange(min(_REACH, n)))
        (y, x), (by_y, by_x) = (
            [np.take_along_axis(*pair, 1) for pair in zip(of, near, strict=True)] for of in (values, slopes)
        )
        levels = [_outer(y, x), _outer(by_y, x), _outer(y, by_x)] if linear else [_outer(y, x)]
        splines = (near[0][:, :, None] * values[1].shape[1] + near[1][:, None]).reshape(len(positions), -1)
        return PatchSplines(np.stack(levels, axis=1), splines, self.size)

    def values(self, coefficients: Floats, positions: Floats) -> Floats:
        """Return the field (n,) at positions (n, 2)."""
        if self.size == 1:
            return np.full(len(positions), float(coefficients[0]))
        y, x = self.along(0, positions[:, 0]), self.along(1, positions[:, 1])
        grid = coefficients.reshape(y.shape[1], x.shape[1])
        values: Floats = np.einsum("ni,ni->n", y @ grid, x)
        return values

    def weighted_sums(self, values: Floats, positions: Floats) -> Floats:
        """Return the sums (size,) of each spline times values (n,) at positions (n, 2); transposes :meth:`values`."""
        if self.size == 1:
            return np.array([values.sum()])
        y, x = self.along(0, positions[:, 0]), self.along(1, positions[:, 1])
        sums: Floats = ((y * values[:, None]).T @ x).ravel()
        return sums

    def roughness(self) -> Floats:
        """Return R (size, size): c·R·c is the sum of the squared second differences of the grid of coefficients c."""
        parts = []
        for axis in (0, 1):
            n = self.cells[axis] + 3 if self.cells[axis] else 1
            difference = np.diff(np.eye(n), n=2, axis=0)
            parts.append((difference.T @ difference, np.eye(n)))
        return np.asarray(np.kron(parts[0][0], parts[1][1]) + np.kron(parts[0][1], parts[1][0]))

    def image(self, coefficients: Floats) -> Image:
        """Return the field at every pixel."""
        if self.size == 1:
            return np.full(self.shape, coefficients[0], dtype=np.float32)
        y, x = _on_pixels(self)
        grid = coefficients.reshape(y.shape[1], x.shape[1])
        image: Image = (y @ grid).astype(np.float32) @ x.T
        return image

    def project(self, image: Image) -> Floats:
        """Return the sums of an image with each spline: (size,); transposes :meth:`image`."""
        if self.size == 1:
            return np.array([image.sum(dtype=np.float64)])
        y, x = _on_pixels(self)
        sums: Floats = (y.T @ (image @ x).astype(np.float64)).ravel()
        return sums

    def fit(self, values: Floats, positions: Floats) -> Floats:
        """Return the coefficients whose field comes nearest to values (n,) at positions (n, 2)."""
        mean = float(np.mean(values)) if len(values) else 0.0
        if self.size == 1 or not len(values):
            return np.full(self.size, mean)
        design = self.at(positions)
        normal = design.T @ design
        ridge = 1e-6 * np.trace(normal) / self.size * np.eye(self.size)
        deviation: Floats = np.linalg.solve(normal + ridge, design.T @ (values - mean))
        return mean + deviation


@lru_cache(maxsize=8)
def _on_pixels(basis: SmoothBasis) -> tuple[Floats, Image]:
    """Return the splines of each axis at all pixels: along y, and, for products with an image, along x."""
    y, x = (basis.along(axis, np.arange(basis.shape[axis], dtype=np.float64)) for axis in (0, 1))
    return y, x.astype(np.float32)


@dataclass(frozen=True)
class Patches:
    """A division of an image into rectangles on which smooth fields are nearly linear.

    Parameters
    ----------
    rows, columns
        Edges along y and x, px; patch (i, j) holds the rows from rows[i] to rows[i + 1] - 1.
    linear
        Whether a field is followed linearly within a patch, or is one constant for the whole image.
    """

    rows: Indices
    columns: Indices
    linear: bool

    @classmethod
    def of(cls, shape: tuple[int, int], *bases: SmoothBasis) -> Patches:
        """Return patches small enough for fields of these bases: a quarter of a cell."""
        edges = []
        for axis in (0, 1):
            count = max(1, 4 * max(basis.cells[axis] for basis in bases))
            edges.append(np.unique(np.linspace(0, shape[axis], count + 1).astype(np.intp)))
        return cls(edges[0], edges[1], any(basis.size > 1 for basis in bases))

    @property
    def centres(self) -> Floats:
        """(patches, 2), px."""
        middle = [0.5 * (edge[1:] + edge[:-1] - 1) for edge in (self.rows, self.columns)]
        return np.stack(np.meshgrid(*middle, indexing="ij"), axis=-1).reshape(-1, 2)

    def holding(self, positions: Floats) -> Indices:
        """Return the patch (n,) of each position (n, 2); those outside the image belong to the nearest."""
        index = []
        for edge, coordinate in zip((self.rows, self.columns), positions.T, strict=True):
            index.append(np.clip(np.searchsorted(edge, coordinate + 0.5, side="right") - 1, 0, len(edge) - 2))
        return np.asarray(index[0] * (len(self.columns) - 1) + index[1], dtype=np.intp)

    def fields(self, basis: SmoothBasis) -> PatchSplines:
        """Return what the splines are in each patch, with slopes a px if fields are linear."""
        return basis.near(self.centres, linear=self.linear)

    def moments(self, image: Image) -> Floats:
        """Return Σ image·(1, y, x, yy, yx, xx) over each patch, from its centre: (patches, 6), or (patches, 1)."""
        sums = np.zeros((len(self.centres), 6))
        _patch_moments(image, self.rows, self.columns, sums)
        return sums if self.linear else sums[:, :1]


def _outer(y: Floats, x: Floats) -> Floats:
    return (y[:, :, None] * x[:, None, :]).reshape(len(y), -1)


@kernel(fastmath={"contract", "reassoc"})
def _patch_moments(image: Image, rows: Indices, columns: Indices, out: Floats) -> None:
    across = len(columns) - 1
    for i in range(len(rows) - 1):
        middle_y = 0.5 * (rows[i] + rows[i + 1] - 1)
        for row in range(rows[i], rows[i + 1]):
            dy = row - middle_y
            for j in range(across):
                line = image[row, columns[j] : columns[j + 1]]
                start = 0.5 * (columns[j] - columns[j + 1] + 1)
                s0 = s1 = s2 = 0.0
                for x in range(len(line)):
                    value, dx = np.float64(line[x]), start + x
                    s0 += value
                    s1 += value * dx
                    s2 += value * dx * dx
                sums = out[i * across + j]
                sums[0] += s0
                sums[1] += s0 * dy
                sums[2] += s1
                sums[3] += s0 * dy * dy
                sums[4] += s1 * dy
                sums[5] += s2
