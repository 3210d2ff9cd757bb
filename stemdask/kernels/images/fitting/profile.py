"""How the columns of a sublattice deviate from a Gaussian: an empirical profile, read from the residual of the fit.

All columns of a sublattice see the same probe and the same atoms, at thousands of different fractions of a pixel. What
their fits leave over, divided by the amplitude and averaged on a grid finer than the pixel, is the profile's deviation
from the Gaussian. It is made symmetric under a half turn: then it can't shift the position of its column, which
remains what it was, the centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.compiled import kernel

#: Grid points a pixel, and standard deviation in px of the smoothing on that grid.
OVERSAMPLING = 2


@dataclass(frozen=True)
class Profile:
    """Deviation from the Gaussian for a column of amplitude 1.

    Parameters
    ----------
    table
        (2h+1, 2h+1), values on a grid of 1/:data:`OVERSAMPLING` px around the centre, (y, x); its rim is 0.
    """

    table: Floats

    def render(self, image: Image, positions: Floats, amplitude: Floats) -> None:
        """Add the deviations of columns (n, 2), (n,) to an image in place."""
        _render(image, positions, amplitude, self.table)


def estimate_profile(
    residual: Image,
    weight: Image,
    columns: Image,
    positions: Floats,
    amplitude: Floats,
    precision: Floats,
    reach: float,
) -> Profile:
    """Average the residual around columns, each pixel's shared out among the columns that light it.

    Parameters
    ----------
    residual
        (y, x), image minus model.
    weight
        (y, x), 1 / variance; 0 where a pixel doesn't count.
    columns
        (y, x), the sum of all columns' Gaussians.
    positions, amplitude, precision
        (n, 2), px, (n,) and (n, 3), px⁻², of the sublattice's columns.
    reach
        px, radius beyond which the profile is 0.
    """
    half = int(np.ceil(reach * OVERSAMPLING))
    above, below = np.zeros((2, 2 * half + 1, 2 * half + 1))
    _average(residual, weight, columns, positions, amplitude, precision, above, below)
    above, below = above + above[::-1, ::-1], below + below[::-1, ::-1]
    kernel = np.array([0.25, 0.5, 0.25])
    for _ in range(2):
        above, below = (_smooth(_smooth(grid, kernel).T, kernel).T for grid in (above, below))
    radius = np.hypot(*(np.mgrid[-half : half + 1, -half : half + 1] / half))
    taper = np.clip(4.0 * (1.0 - radius), 0.0, 1.0)
    table = taper * above / np.maximum(below, 1e-12 * max(float(below.max()), 1e-300))
    return Profile(table)


def _smooth(grid: Floats, kernel: Floats) -> Floats:
    padded = np.pad(grid, ((1, 1), (0, 0)), mode="edge")
    return np.asarray(kernel[0] * padded[:-2] + kernel[1] * padded[1:-1] + kernel[2] * padded[2:])


@kernel
def _average(
    residual: Image,
    weight: Image,
    columns: Image,
    positions: Floats,
    amplitude: Floats,
    precision: Floats,
    above: Floats,
    below: Floats,
) -> None:
    height, width = residual.shape
    half = len(above) // 2
    for k in range(len(amplitude)):
        y, x = positions[k, 0], positions[k, 1]
        reach = half / OVERSAMPLING
        for row in range(max(0, int(np.ceil(y - reach))), min(height, int(np.floor(y + reach)) + 1)):
            for column in range(max(0, int(np.ceil(x - reach))), min(width, int(np.floor(x + reach)) + 1)):
                v, u = (row - y) * OVERSAMPLING + half, (column - x) * OVERSAMPLING + half
                j, i = int(v), int(u)
                fy, fx = v - j, u - i
                dy, dx = row - y, column - x
                exponent = precision[k, 0] * dy * dy + 2.0 * precision[k, 1] * dy * dx + precision[k, 2] * dx * dx
                a, w = amplitude[k], np.float64(weight[row, column])
                part = a * np.exp(-0.5 * exponent) / max(np.float64(columns[row, column]), 1e-6 * a)
                value = min(part, 1.0) * np.float64(residual[row, column])
                for dj in range(2):
                    for di in range(2):
                        if j + dj < len(above) and i + di < len(above):
                            share = (fy if dj else 1.0 - fy) * (fx if di else 1.0 - fx)
                            above[j + dj, i + di] += share * w * a * value
                            below[j + dj, i + di] += share * w * a * a


@kernel
def _render(image: Image, positions: Floats, amplitude: Floats, table: Floats) -> None:
    height, width = image.shape
    half = len(table) // 2
    reach = half / OVERSAMPLING
    for k in range(len(amplitude)):
        y, x = positions[k, 0], positions[k, 1]
        if not np.isfinite(y + x + amplitude[k]):
            continue
        for row in range(max(0, int(np.ceil(y - reach))), min(height, int(np.ceil(y + reach)))):
            for column in range(max(0, int(np.ceil(x - reach))), min(width, int(np.ceil(x + reach)))):
                v, u = (row - y) * OVERSAMPLING + half, (column - x) * OVERSAMPLING + half
                j, i = int(v), int(u)
                fy, fx = v - j, u - i
                value = (1.0 - fy) * ((1.0 - fx) * table[j, i] + fx * table[j, i + 1])
                value += fy * ((1.0 - fx) * table[j + 1, i] + fx * table[j + 1, i + 1])
                image[row, column] += amplitude[k] * value
