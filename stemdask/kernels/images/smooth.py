"""Fields that vary slowly over an image, as tensor products of cubic B-splines: the background, maps of the width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class SmoothBasis:
    """Cubic B-splines on a uniform grid of knots, or a constant.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    cells
        Intervals between knots along y and x; (0, 0) is a constant.
    """

    shape: tuple[int, int]
    cells: tuple[int, int]

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return int(np.prod([cells + 3 if cells else 1 for cells in self.cells]))

    def along(self, axis: int, coordinate: Float) -> Float:
        """Return the splines of one axis at coordinates (n,) in px: (n, splines); constant beyond the border."""
        cells = self.cells[axis]
        if cells == 0:
            return np.ones((len(coordinate), 1))
        t = np.clip((coordinate + 0.5) * (cells / self.shape[axis]), 0.0, cells)
        distance = np.abs(t[:, None] - np.arange(-1, cells + 2))
        inner = 2.0 / 3.0 - distance**2 + 0.5 * distance**3
        return np.where(distance < 1.0, inner, np.maximum(2.0 - distance, 0.0) ** 3 / 6.0)

    def at(self, positions: Float) -> Float:
        """Return all splines at positions (n, 2): (n, size). For few positions; see :meth:`values` for many."""
        y, x = self.along(0, positions[:, 0]), self.along(1, positions[:, 1])
        return (y[:, :, None] * x[:, None, :]).reshape(len(positions), -1)

    def values(self, coefficients: Float, positions: Float) -> Float:
        """Return the field (n,) at positions (n, 2)."""
        if self.size == 1:
            return np.full(len(positions), float(coefficients[0]))
        y, x = self.along(0, positions[:, 0]), self.along(1, positions[:, 1])
        grid = coefficients.reshape(y.shape[1], x.shape[1])
        return np.einsum("ni,ni->n", y @ grid, x)

    def image(self, coefficients: Float) -> NDArray[np.float32]:
        """Return the field at every pixel."""
        if self.size == 1:
            return np.full(self.shape, coefficients[0], dtype=np.float32)
        y, x = (self.along(axis, np.arange(self.shape[axis], dtype=np.float64)) for axis in (0, 1))
        grid = coefficients.reshape(y.shape[1], x.shape[1])
        return (y @ grid).astype(np.float32) @ x.T.astype(np.float32)

    def project(self, image: NDArray[np.float32]) -> Float:
        """Return the sums of an image with each spline: (size,); the transpose of :meth:`image`."""
        if self.size == 1:
            return np.array([image.sum(dtype=np.float64)])
        y, x = (self.along(axis, np.arange(self.shape[axis], dtype=np.float64)) for axis in (0, 1))
        rows = image @ x.astype(np.float32)
        return (y.T @ rows.astype(np.float64)).ravel()

    def fit(self, values: Float, positions: Float) -> Float:
        """Return the coefficients whose field comes nearest to values (n,) at positions (n, 2)."""
        if self.size == 1:
            return np.array([float(np.mean(values))]) if len(values) else np.zeros(1)
        design = self.at(positions)
        normal = design.T @ design
        ridge = 1e-6 * (np.trace(normal) / self.size + 1e-300)
        mean = float(np.mean(values)) if len(values) else 0.0
        deviation = np.linalg.solve(normal + ridge * np.eye(self.size), design.T @ (values - mean))
        return mean + deviation  # the splines sum to one


def patches_of(shape: tuple[int, int], cells: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp], Float]:
    """Divide an image into patches on which smooth fields of so many cells hardly vary.

    Returns
    -------
    rows, columns
        First row of each row of patches, first column of each column of them.
    centres
        (patches, 2), px.
    """
    edges = [
        np.unique(np.linspace(0, size, max(1, 10 * n) + 1).astype(np.intp))
        for size, n in zip(shape, cells, strict=True)
    ]
    middle = [0.5 * (edge[1:] + edge[:-1] - 1) for edge in edges]
    centres = np.stack(np.meshgrid(*middle, indexing="ij"), axis=-1).reshape(-1, 2)
    return edges[0][:-1], edges[1][:-1], centres
