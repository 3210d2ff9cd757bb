"""Fields that vary continuously from cell to cell, predicted at cells that were left out: local regression.

After Cleveland 1979: a constant or a plane is fitted to the cells about each cell, those nearer counting more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats

#: Cells, where the field is zero, that are added to those about each cell: they hold it where none is near.
_HOLD = 0.05


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How far the cells about a cell count, and what is fitted to them."""

    down: float
    """Standard deviation of the weights down the rows, cells; 0 for the own row alone, infinite for all alike."""
    along: float
    """The same along the columns."""
    plane: bool = False
    """Whether a plane is fitted; otherwise a constant."""


@dataclass(frozen=True, slots=True)
class LocalFit:
    """The weights with which each cell is predicted by others."""

    kernels: tuple[tuple[Floats, Floats], ...]
    """Of each term: (row, row) and (column, column)."""
    rows: Floats
    """(frame, row, column, term), what each moment adds to the prediction."""
    variance: Floats
    """(frame, row, column, 2), of the predictions."""

    def predict(self, field: Floats) -> Floats:
        """Predict a field (frame, row, column, 2), which is 0 at the cells that aren't used, at all cells."""
        found = np.zeros(field.shape)
        for term, (down, along) in enumerate(self.kernels):
            found += self.rows[..., term, None] * _moment(field, down, along)
        return found


def local_fit(used: Booleans, variance: Floats, about: Surroundings) -> LocalFit:
    """Prepare a fit.

    Parameters
    ----------
    used
        (frame, row, column), cells that the fit sees.
    variance
        (frame, row, column, 2), of the noise of the field, 0 at the cells that aren't used.
    about
        Which cells count.
    """
    (down, y), (along, x) = (
        _weights(n, reach) for n, reach in zip(used.shape[1:], (about.down, about.along), strict=True)
    )
    powers = [(0, 0), (1, 0), (0, 1)] if about.plane else [(0, 0)]
    count = used[..., None].astype(float)
    shape = (*used.shape, len(powers), len(powers))
    normal, spread = np.empty(shape), np.empty((*shape, 2))
    for i, (a, b) in enumerate(powers):
        for j, (c, d) in enumerate(powers):
            left, right = y ** (a + c), x ** (b + d)
            normal[..., i, j] = _moment(count, down * left, along * right)[..., 0]
            spread[..., i, j, :] = _moment(variance, down**2 * left, along**2 * right)
    rows = np.asarray(np.linalg.inv(normal + _HOLD * np.eye(len(powers)))[..., 0, :], dtype=np.float64)
    error = np.einsum("...i,...j,...ijc->...c", rows, rows, spread)
    return LocalFit(tuple((down * y**a, along * x**b) for a, b in powers), rows, error)


def _moment(field: Floats, down: Floats, along: Floats) -> Floats:
    """Sum a field over all cells, weighted by their rows and columns."""
    return np.moveaxis(down @ np.moveaxis(field, -1, 1) @ along.T, 1, -1)


def _weights(n: int, reach: float) -> tuple[Floats, Floats]:
    """Weights of all lines about each, (n, n), and how far away they are, scaled to keep planes well conditioned."""
    apart = np.arange(n)[None] - np.arange(n)[:, None]
    if reach == 0:
        return np.eye(n), np.zeros((n, n))
    return np.exp(-0.5 * (apart / reach) ** 2), apart / max(min(reach, n), 1.0)
