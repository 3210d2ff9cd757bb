"""Score and Fisher information of columns, and of overlapping pairs of columns, from the moments of an image.

The parameters of a column are, in this order: amplitude A, y, x, and the precisions Qyy, Qyx, Qxx. The derivative of the
model by each of them is a polynomial of second degree times the column's Gaussian, so their products, summed over the
pixels with the weights 1/variance, are moments up to the fourth degree under the product of two Gaussians.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float = NDArray[np.float64]

#: Where the moment of dyᵐ⁺ᵐ'·dxⁿ⁺ⁿ' is found for the monomials (1, dy, dx, dy², dy·dx, dx²) taken in pairs.
_PRODUCT = np.array(
    [
        [0, 1, 2, 3, 4, 5],
        [1, 3, 4, 6, 7, 8],
        [2, 4, 5, 7, 8, 9],
        [3, 6, 7, 10, 11, 12],
        [4, 7, 8, 11, 12, 13],
        [5, 8, 9, 12, 13, 14],
    ]
)


@njit(cache=True, nogil=True, error_model="numpy")
def derivatives(amplitude: float, precision: Float, ey: float, ex: float, out: Float) -> None:
    """Write a column's derivatives as polynomials in the distance from a point at (ey, ex) from its centre.

    Row = parameter, column = coefficient of the monomials (1, dy, dx, dy², dy·dx, dx²).
    """
    yy, yx, xx = precision[0], precision[1], precision[2]
    out[:, :] = 0.0
    out[0, 0] = 1.0
    out[1, 0], out[1, 1], out[1, 2] = amplitude * (yy * ey + yx * ex), amplitude * yy, amplitude * yx
    out[2, 0], out[2, 1], out[2, 2] = amplitude * (yx * ey + xx * ex), amplitude * yx, amplitude * xx
    out[3, 0], out[3, 1], out[3, 3] = -0.5 * amplitude * ey * ey, -amplitude * ey, -0.5 * amplitude
    out[4, 0], out[4, 1], out[4, 2], out[4, 4] = -amplitude * ey * ex, -amplitude * ex, -amplitude * ey, -amplitude
    out[5, 0], out[5, 2], out[5, 5] = -0.5 * amplitude * ex * ex, -amplitude * ex, -0.5 * amplitude


@njit(cache=True, nogil=True, error_model="numpy")
def score(amplitude: Float, precision: Float, moment: Float, out: Float) -> None:
    """Turn the moments (n, 6) under the columns into sums with the derivatives by their parameters (n, 6)."""
    for k in range(len(amplitude)):
        a = amplitude[k]
        yy, yx, xx = precision[k, 0], precision[k, 1], precision[k, 2]
        out[k, 0] = moment[k, 0]
        out[k, 1] = a * (yy * moment[k, 1] + yx * moment[k, 2])
        out[k, 2] = a * (yx * moment[k, 1] + xx * moment[k, 2])
        out[k, 3] = -0.5 * a * moment[k, 3]
        out[k, 4] = -a * moment[k, 4]
        out[k, 5] = -0.5 * a * moment[k, 5]


@njit(cache=True, nogil=True, error_model="numpy")
def information(
    positions: Float,
    amplitude: Float,
    precision: Float,
    pairs: NDArray[np.int32],
    centre: Float,
    height: Float,
    moment: Float,
    out: Float,
) -> None:
    """Write the 6×6 block of Fisher information of each pair (a column with itself too).

    Parameters
    ----------
    positions, amplitude, precision
        (n, 2), (n,), (n, 3) of the columns.
    pairs
        (pairs, 2), the two columns.
    centre, height
        (pairs, 2), (pairs,): the Gaussian that is the product of the two (see :func:`products`).
    moment
        (pairs, 15): moments of the weights under a Gaussian of height 1 there.
    out
        (pairs, 6, 6): rows are the parameters of the first column, columns those of the second.
    """
    left, right, half = np.empty((6, 6)), np.empty((6, 6)), np.empty((6, 6))
    for p in range(len(pairs)):
        k, m = pairs[p, 0], pairs[p, 1]
        derivatives(amplitude[k], precision[k], centre[p, 0] - positions[k, 0], centre[p, 1] - positions[k, 1], left)
        derivatives(amplitude[m], precision[m], centre[p, 0] - positions[m, 0], centre[p, 1] - positions[m, 1], right)
        for a in range(6):
            for j in range(6):
                total = 0.0
                for i in range(6):
                    total += left[a, i] * moment[p, _PRODUCT[i, j]]
                half[a, j] = total * height[p]
        for a in range(6):
            for b in range(6):
                total = 0.0
                for j in range(6):
                    total += half[a, j] * right[b, j]
                out[p, a, b] = total


@njit(cache=True, nogil=True, error_model="numpy")
def products(
    positions: Float, precision: Float, pairs: NDArray[np.int32], centre: Float, product: Float, height: Float
) -> None:
    """Write centre (pairs, 2), precision (pairs, 3) and height (pairs,) of the product of two Gaussians of height 1."""
    for p in range(len(pairs)):
        k, m = pairs[p, 0], pairs[p, 1]
        yy, yx, xx = (
            precision[k, 0] + precision[m, 0],
            precision[k, 1] + precision[m, 1],
            precision[k, 2] + precision[m, 2],
        )
        dy, dx = positions[m, 0] - positions[k, 0], positions[m, 1] - positions[k, 1]
        by, bx = precision[m, 0] * dy + precision[m, 1] * dx, precision[m, 1] * dy + precision[m, 2] * dx
        determinant = yy * xx - yx * yx
        ey, ex = (xx * by - yx * bx) / determinant, (yy * bx - yx * by) / determinant
        centre[p, 0], centre[p, 1] = positions[k, 0] + ey, positions[k, 1] + ex
        product[p, 0], product[p, 1], product[p, 2] = yy, yx, xx
        height[p] = np.exp(-0.5 * (by * dy + bx * dx - by * ey - bx * ex))
