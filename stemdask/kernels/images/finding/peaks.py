"""Local maxima of an image, to a fraction of a pixel, in one pass."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from stemdask.kernels.arrays import Booleans, Floats, Image
from stemdask.kernels.compiled import kernel


@kernel
def local_maxima(image: Image, border: int) -> tuple[Floats, Floats]:
    """Find every pixel that is the highest of its 3 × 3 neighbourhood, and refine it by a parabola along each axis.

    Of a plateau the first pixel in reading order is taken. A NaN is never a maximum, nor is a pixel that touches one.

    Parameters
    ----------
    image
        (ny, nx), float32, smoothed beforehand.
    border
        Width in px of the frame that is left out; at least 1.

    Returns
    -------
    positions
        (n, 2), px, (y, x), in reading order.
    heights
        (n,), the value at the top of the parabolas.
    """
    ny, nx = image.shape
    border = max(border, 1)
    capacity = 1024
    positions = np.empty((capacity, 2))
    heights = np.empty(capacity)
    n = 0
    for y in range(border, ny - border):
        for x in range(border, nx - border):
            c = image[y, x]
            left, right, up, down = image[y, x - 1], image[y, x + 1], image[y - 1, x], image[y + 1, x]
            if not (c > left and c >= right and c > up and c >= down):
                continue
            if not (
                c > image[y - 1, x - 1]
                and c > image[y - 1, x + 1]
                and c >= image[y + 1, x - 1]
                and c >= image[y + 1, x + 1]
            ):
                continue
            if n == capacity:
                capacity *= 2
                more = np.empty((capacity, 2))
                more[:n] = positions
                positions = more
                higher = np.empty(capacity)
                higher[:n] = heights
                heights = higher
            bend_y = np.float64(up) + down - 2.0 * c
            bend_x = np.float64(left) + right - 2.0 * c
            slope_y = 0.5 * (np.float64(down) - up)
            slope_x = 0.5 * (np.float64(right) - left)
            positions[n, 0] = y - (slope_y / bend_y if bend_y < 0.0 else 0.0)
            positions[n, 1] = x - (slope_x / bend_x if bend_x < 0.0 else 0.0)
            heights[n] = c
            heights[n] -= 0.5 * slope_y * slope_y / bend_y if bend_y < 0.0 else 0.0
            heights[n] -= 0.5 * slope_x * slope_x / bend_x if bend_x < 0.0 else 0.0
            n += 1
    return positions[:n].copy(), heights[:n].copy()


def smooth(image: Image, sigma: float) -> Image:
    """Convolve with a Gaussian of standard deviation `sigma` px, truncated at 3 σ; edges are mirrored."""
    return ndimage.gaussian_filter(image, sigma, mode="reflect", truncate=3.0)  # type: ignore[no-any-return]


@kernel
def interpolate(image: Image, y: float, x: float) -> float:
    """Return the bilinear value of the image at (y, x) px; NaN outside."""
    ny, nx = image.shape
    if not (y >= 0.0 and x >= 0.0 and y <= ny - 1 and x <= nx - 1):
        return np.nan
    iy = min(int(y), ny - 2)
    ix = min(int(x), nx - 2)
    fy = y - iy
    fx = x - ix
    top = image[iy, ix] * (1.0 - fx) + image[iy, ix + 1] * fx
    bottom = image[iy + 1, ix] * (1.0 - fx) + image[iy + 1, ix + 1] * fx
    return float(top * (1.0 - fy) + bottom * fy)


@kernel
def interpolate_cubic(image: Image, y: float, x: float) -> float:
    """Return the value of the image at (y, x) px by cubic convolution (Keys 1981, a = -0.5); NaN near the border."""
    ny, nx = image.shape
    if not (y >= 1.0 and x >= 1.0 and y < ny - 2 and x < nx - 2):
        return np.nan
    iy = int(y)
    ix = int(x)
    t = x - ix
    w0 = ((-0.5 * t + 1.0) * t - 0.5) * t
    w1 = (1.5 * t - 2.5) * t * t + 1.0
    w2 = ((-1.5 * t + 2.0) * t + 0.5) * t
    w3 = (0.5 * t - 0.5) * t * t
    s = y - iy
    r0 = ((-0.5 * s + 1.0) * s - 0.5) * s
    r1 = (1.5 * s - 2.5) * s * s + 1.0
    r2 = ((-1.5 * s + 2.0) * s + 0.5) * s
    r3 = (0.5 * s - 0.5) * s * s
    value = 0.0
    for row, r in ((iy - 1, r0), (iy, r1), (iy + 1, r2), (iy + 2, r3)):
        value += r * (w0 * image[row, ix - 1] + w1 * image[row, ix] + w2 * image[row, ix + 1] + w3 * image[row, ix + 2])
    return value


@kernel
def contrast(image: Image, positions: Floats, radius: float) -> Floats:
    """Height of each position above the mean of a ring of twelve points around it.

    It doesn't change with a constant or a slope added to the image, which is what makes heights comparable from a
    thick place to a thin one. Points of the ring outside the image are left out; NaN where the position is outside.
    """
    heights = np.empty(len(positions))
    for k in range(len(positions)):
        y, x = positions[k]
        total = 0.0
        count = 0
        for step in range(12):
            angle = step * (np.pi / 6.0)
            value = interpolate(image, y + radius * np.sin(angle), x + radius * np.cos(angle))
            if np.isfinite(value):
                total += value
                count += 1
        heights[k] = interpolate(image, y, x) - total / count if count >= 6 else np.nan
    return heights


@kernel
def climb(image: Image, positions: Floats, radius: float) -> tuple[Floats, Booleans]:
    """Walk from each position to the local maximum, if there is one within `radius` px; else stay.

    Returns
    -------
    positions
        (n, 2), px, (y, x).
    arrived
        (n,), whether a maximum was reached.
    """
    ny, nx = image.shape
    found = positions.copy()
    arrived = np.zeros(len(positions), np.bool_)
    for k in range(len(positions)):
        y0, x0 = positions[k]
        if not (y0 >= 0.5 and x0 >= 0.5 and y0 < ny - 1.5 and x0 < nx - 1.5):
            continue
        y, x = round(y0), round(x0)
        while (y - y0) ** 2 + (x - x0) ** 2 <= radius * radius and 0 < y < ny - 1 and 0 < x < nx - 1:
            best_y, best_x = y, x
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    if image[y + dy, x + dx] > image[best_y, best_x]:
                        best_y, best_x = y + dy, x + dx
            if best_y == y and best_x == x:
                bend_y = np.float64(image[y - 1, x]) + image[y + 1, x] - 2.0 * image[y, x]
                bend_x = np.float64(image[y, x - 1]) + image[y, x + 1] - 2.0 * image[y, x]
                if bend_y < 0.0 and bend_x < 0.0:
                    found[k, 0] = y + 0.5 * (np.float64(image[y - 1, x]) - image[y + 1, x]) / bend_y
                    found[k, 1] = x + 0.5 * (np.float64(image[y, x - 1]) - image[y, x + 1]) / bend_x
                    arrived[k] = True
                break
            y, x = best_y, best_x
    return found, arrived
