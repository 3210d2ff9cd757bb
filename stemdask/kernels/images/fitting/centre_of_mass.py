"""Centres of mass of columns: fast, blind to the noise, and pulled by everything else that is near."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import AnyFloats, Floats, Image
from stemdask.kernels.compiled import kernel


def centre_of_mass(image: AnyFloats, positions: ArrayLike, radius: float, *, iterations: int = 3) -> Floats:
    """Return the centre of mass of the disc around each position, above the mean of the disc's rim.

    Parameters
    ----------
    image
        (y, x); NaN pixels are left out.
    positions
        (n, 2), px, (y, x).
    radius
        Of the disc, px.
    iterations
        How often the disc is moved to the centre that it gave.

    Returns
    -------
    Floats
        (n, 2), px; a position whose disc holds no mass above its rim, or whose centre leaves the first disc, stays.

    Examples
    --------
    >>> y, x = np.mgrid[:21, :21]
    >>> column = np.exp(-((y - 10.3) ** 2 + (x - 9.8) ** 2) / 8)
    >>> centre_of_mass(column, [[10, 10]], 7.0).round(1)
    array([[10.3,  9.8]])
    """
    start = np.array(positions, dtype=np.float64).reshape(-1, 2)
    out = start.copy()
    _centres(np.ascontiguousarray(image, dtype=np.float32), start, float(radius), int(iterations), out)
    return out


@kernel
def _centres(image: Image, start: Floats, radius: float, iterations: int, out: Floats) -> None:
    height, width = image.shape
    inner2, outer2 = (radius - 1.0) ** 2, radius**2
    for k in range(len(start)):
        for _ in range(iterations):
            y, x = out[k, 0], out[k, 1]
            if not np.isfinite(y + x):
                break
            rim, n_rim, mass, count, my, mx, sy, sx = 0.0, 0, 0.0, 0, 0.0, 0.0, 0.0, 0.0
            for row in range(max(0, int(np.ceil(y - radius))), min(height, int(np.floor(y + radius)) + 1)):
                for column in range(max(0, int(np.ceil(x - radius))), min(width, int(np.floor(x + radius)) + 1)):
                    dy, dx = row - y, column - x
                    value = np.float64(image[row, column])
                    distance2 = dy * dy + dx * dx
                    if distance2 > outer2 or not np.isfinite(value):
                        continue
                    if distance2 > inner2:
                        rim += value
                        n_rim += 1
                    mass += value
                    my += value * dy
                    mx += value * dx
                    count += 1
                    sy += dy
                    sx += dx
            floor = rim / n_rim if n_rim else 0.0
            mass -= floor * count
            if not mass > 0.0:
                break
            dy, dx = (my - floor * sy) / mass, (mx - floor * sx) / mass
            if (y + dy - start[k, 0]) ** 2 + (x + dx - start[k, 1]) ** 2 > outer2:
                break
            out[k, 0], out[k, 1] = y + dy, x + dx
