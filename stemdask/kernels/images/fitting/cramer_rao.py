"""The Cramér-Rao bound: how precisely any unbiased method can locate columns from the electrons that were counted.

Written for clarity and independent of the fits, which are measured against it: the Fisher information of an image's
pixels is summed from explicit derivatives and inverted as a whole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from stemdask.kernels.arrays import Floats

_REACH = 6.0


def isolated_bound(
    electrons: float, sigma: float, background: float, *, radius: float, readout: float | None = None
) -> float:
    """Return the smallest standard error (px) of one coordinate of a round column that stands alone.

    Parameters
    ----------
    electrons
        Counts of the whole column.
    sigma
        Its width, px.
    background
        Counts a pixel.
    radius
        Half the side of the window that is looked at, px.
    readout
        Standard deviation of Gaussian noise, instead of Poisson counts.

    Returns
    -------
    float
        px.

    Notes
    -----
    Averaged over the place of the centre within its pixel. Amplitude, width and background are unknown too, but by
    symmetry they hardly matter.

    Examples
    --------
    >>> round(isolated_bound(1000, 2.0, 0.0, radius=12.0), 3)  # 2 / √1000
    0.063
    """
    half = int(np.ceil(radius))
    grid = np.arange(-half, half + 1, dtype=np.float64)
    variance = []
    for shift in (np.arange(8) + 0.5) / 8 - 0.5:
        y, x = grid[:, None], grid[None, :] - shift
        bell = electrons / (2.0 * np.pi * sigma**2) * np.exp(-0.5 * (y**2 + x**2) / sigma**2)
        weight = 1.0 / (bell + background) if readout is None else np.full_like(bell, 1.0 / readout**2)
        along = bell * x / sigma**2
        others = np.stack([bell, bell * (y**2 + x**2), np.ones_like(bell), along], -1).reshape(-1, 4)
        information = others.T @ (weight.reshape(-1, 1) * others)
        scale = 1.0 / np.sqrt(np.diag(information))
        variance.append((np.linalg.inv(information * scale[:, None] * scale) * scale[:, None] * scale)[3, 3])
    return float(np.sqrt(np.mean(variance)))


def joint_bound(
    expected: Floats,
    positions: ArrayLike,
    electrons: ArrayLike,
    sigma: ArrayLike,
    sublattice: ArrayLike,
    fitted: ArrayLike,
    *,
    readout: float | None = None,
) -> Floats:
    """Return the smallest standard errors (n, 2), px, of round columns that overlap and share a width by sublattice.

    Parameters
    ----------
    expected
        (y, x), the image without noise.
    positions, electrons, sigma, sublattice
        (n, 2), (n,), (n,), (n,) of all columns in it.
    fitted
        (n,), true where amplitude and position are unknown; the other columns are known. Background and widths are
        unknown.
    readout
        Standard deviation of Gaussian noise, instead of Poisson counts.

    Returns
    -------
    Floats
        (n, 2), (y, x); NaN for the columns that are known. The matrix is dense: some thousand columns at most.
    """
    positions, electrons, sigma = (np.asarray(a, dtype=np.float64) for a in (positions, electrons, sigma))
    kinds, kind = np.unique(np.asarray(sublattice), return_inverse=True)
    fitted = np.asarray(fitted, dtype=bool)
    number = np.cumsum(fitted) - 1
    n, height, width = int(fitted.sum()), *expected.shape
    size = 3 * n + len(kinds) + 1
    data, rows, columns = [], [], []
    for k in range(len(electrons)):
        reach = _REACH * sigma[k]
        (y, x), s2 = positions[k], sigma[k] ** 2
        row = np.arange(max(0, int(y - reach)), min(height, int(y + reach) + 2))
        column = np.arange(max(0, int(x - reach)), min(width, int(x + reach) + 2))
        if not len(row) or not len(column):
            continue
        dy, dx = np.broadcast_arrays((row - y)[:, None], (column - x)[None, :])
        unit = np.exp(-0.5 * (dy**2 + dx**2) / s2)
        bell = electrons[k] / (2.0 * np.pi * s2) * unit
        pixel = (row[:, None] * width + column[None, :]).ravel()
        parts = [(3 * n + kind[k], bell * (dy**2 + dx**2) / s2)]
        if fitted[k]:
            parts += [(3 * number[k] + j, part) for j, part in enumerate((unit, bell * dy / s2, bell * dx / s2))]
        for index, part in parts:
            data.append(part.ravel())
            rows.append(pixel)
            columns.append(np.full(len(pixel), index))
    data.append(np.ones(expected.size))
    rows.append(np.arange(expected.size))
    columns.append(np.full(expected.size, size - 1))
    derivatives = csr_array(
        (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))), shape=(expected.size, size)
    )
    weight = 1.0 / expected.ravel() if readout is None else np.full(expected.size, 1.0 / readout**2)
    information = (derivatives.T @ (derivatives * weight[:, None])).toarray()
    scale = 1.0 / np.sqrt(np.maximum(np.diag(information), 1e-300))
    covariance = np.linalg.inv(information * scale[:, None] * scale) * scale[:, None] * scale
    variance = np.diag(covariance)[: 3 * n].reshape(n, 3)
    out = np.full((len(electrons), 2), np.nan)
    out[fitted] = np.sqrt(variance[:, 1:])
    return out
