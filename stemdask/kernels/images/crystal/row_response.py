"""How far the columns of a crystal move in a fit of all of them where lines of the scan are shifted.

A fit knows nothing of shifted lines: it takes them for displacements, of the column on a line and, where columns
overlap, of its neighbours too. The torn edge of a bright column can move a faint one beside it further than its own
lines do, and across the lines although these are shifted along them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats, Indices

#: Columns are drawn out to so many of their widths, with so many points in the width of the narrowest one.
_REACH, _POINTS = 5.0, 2.5
#: Shifts further apart than so many widths of the widest column are independent.
_APART = 20.0
#: Least variance of a pixel, in units of the largest one.
_LEAST = 1e-6
#: What keeps columns in one place from being undetermined, in units of the information of each.
_RIDGE = 1e-9


class MeanCell(NamedTuple):
    """The mean cell of an image; all lengths in one unit, along (u, v)."""

    a: Floats
    """(2,), lattice vector."""
    b: Floats
    places: Floats
    """(k, 2), of its columns."""
    heights: Floats
    """(k,), above the background."""
    precision: Floats
    """(k, 2, 2), inverse covariance of their Gaussians."""
    background: float
    gain: float
    """Variance of a pixel = gain · brightness + readout."""
    readout: float


class RowResponse(NamedTuple):
    """Covariance of the moves of columns by shifts of lines that are independent of one another."""

    step: float
    """Between the lags."""
    covariance: Floats
    """(2, k, 2, k, 2, 2 m + 1): for shifts along u or v, of kind k along u or v, with another column that lies behind
    it by -m to m steps; in units of the variance along the shift of the columns of one kind."""

    def alike(self, kind: int, lags: Floats) -> Floats:
        """Return the correlation (2, n), along (u, v), of columns of one kind that lie `lags` (n,) apart."""
        known = self.step * np.arange(self.covariance.shape[-1] // 2 + 1)
        own = np.stack([self.covariance[s, kind, s, kind, s, len(known) - 1 :] for s in (0, 1)])
        return np.stack([np.interp(lags, known, of / of[0], right=0.0) for of in own])

    def strength(self, kind: int) -> Floats:
        """Return the variance (2, 2) of the columns of a kind by shifts along u or v, along (u, v)."""
        alone = self.covariance[:, kind, :, kind, :, self.covariance.shape[-1] // 2]
        return np.asarray(alone[:, [0, 1], [0, 1]])


def row_response(cell: MeanCell, across: int, unit: int = 0) -> RowResponse:
    """Return how columns of a crystal move together where lines of the scan are shifted.

    Parameters
    ----------
    cell
        What the crystal repeats.
    across
        Which of (u, v) runs across the lines.
    unit
        Number of the column of the cell whose variance is 1, by shifts along u as by those along v.

    Notes
    -----
    The fit solves F δ = g for the parameters of all columns (Fisher scoring), with the information F and the score g of
    an image whose lines are shifted. For shifts exp(iqy) of lines y both repeat from cell to cell but for a phase, so
    that q by q a system of one cell is left. Width and background, which many cells share, stay.

    Examples
    --------
    An isolated column of width 3 in even noise takes its place from its lines as exp(-y²/9):

    >>> far = 1e3 * np.eye(2)
    >>> cell = MeanCell(*far, np.zeros((1, 2)), np.ones(1), np.eye(2)[None] / 9.0, 0.0, 0.0, 1.0)
    >>> row_response(cell, across=1).alike(0, np.array([0.0, 3.0, 6.0]))[0].round(2)
    array([1.  , 0.61, 0.14])
    """
    widths: Floats = 1.0 / np.sqrt(np.linalg.eigvalsh(cell.precision))  # (k, 2), the wider first
    step, far = widths.min() / _POINTS, _APART * widths.max()
    n = 2 ** int(np.ceil(np.log2(2.0 * far / step)))
    wave = 2.0 * np.pi * np.arange(n // 2 + 1) / (n * step)
    k = len(cell.places)
    information = np.zeros((len(wave), 3 * k, 3 * k), np.complex128)
    score = np.zeros((2, len(wave), 3 * k), np.complex128)
    reach: Floats = np.multiply(_REACH, widths[:, 0])
    for one in range(k):
        grid = np.arange(-np.ceil(reach[one] / step), np.ceil(reach[one] / step) + 1) * step
        point = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
        kind, place = _neighbours(cell, one, reach)
        slopes, model = _slopes(cell, point, kind, place)
        variance = cell.gain * model + cell.readout
        own = slopes[0] / np.maximum(variance, _LEAST * variance.max())
        phase = np.exp(1j * np.multiply.outer(wave, place[:, across]))
        here = slice(3 * one, 3 * one + 3)
        for of in range(k):
            products = np.einsum("ap,mbp->mab", own, slopes[kind == of])
            information[:, here, 3 * of : 3 * of + 3] = np.tensordot(phase[:, kind == of], products, 1)
        products = (own * slopes[:, :2].sum(axis=0)[:, None]).reshape(2, 3, len(grid), len(grid))
        by_line = products.sum(axis=3 if across == 0 else 2)
        score[:, :, here] = np.exp(1j * np.multiply.outer(wave, grid)) @ np.swapaxes(by_line, 1, 2)
    information[:, range(3 * k), range(3 * k)] *= 1.0 + _RIDGE
    moves = np.linalg.solve(information, score[..., None])[..., 0].reshape(2, len(wave), k, 3)[..., :2]
    moves = moves.reshape(2, len(wave), 2 * k)
    spectrum = moves[:, :, :, None] * np.conj(moves[:, :, None, :])
    covariance = np.moveaxis(np.fft.irfft(spectrum, 2 * n, axis=1), 1, -1)  # at half the steps
    lags = np.arange(-round(2.0 * far / step), round(2.0 * far / step) + 1)
    covariance = covariance[..., lags].reshape(2, k, 2, k, 2, len(lags))
    found = RowResponse(0.5 * step, covariance)
    return found._replace(covariance=covariance / np.diag(found.strength(unit))[:, None, None, None, None, None])


def _neighbours(cell: MeanCell, one: int, reach: Floats) -> tuple[Indices, Floats]:
    """Return the kinds (m,) and places (m, 2), from one column of the cell, of all that reach to it; itself first."""
    vectors = np.stack([cell.a, cell.b])
    heights = abs(np.linalg.det(vectors)) / np.hypot(*vectors[::-1].T)
    most = np.ceil((reach[one] + reach.max()) * np.sqrt(2.0) / heights).astype(np.intp) + 1
    steps = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 2)
    kind = np.repeat(np.arange(len(cell.places)), len(steps))
    place = (steps @ vectors + (cell.places - cell.places[one])[:, None]).reshape(-1, 2)
    near = (np.abs(place) < (reach[one] + reach[kind])[:, None]).all(axis=1)
    kind, place = kind[near], place[near]
    order = np.argsort((kind != one) + (place**2).sum(axis=1) / reach.max() ** 2, kind="stable")
    return kind[order], place[order]


def _slopes(cell: MeanCell, point: Floats, kind: Indices, place: Floats) -> tuple[Floats, Floats]:
    """Return how the model changes with (u, v, height) of each column (m, 3, p), and the model (p,), at some points."""
    away = point - place[:, None]
    turned = away @ cell.precision[kind]
    gauss = np.exp(-0.5 * (away * turned).sum(axis=-1))
    high = cell.heights[kind, None] * gauss
    slopes = np.stack([high * turned[..., 0], high * turned[..., 1], gauss], axis=1)
    return slopes, cell.background + high.sum(axis=0)
