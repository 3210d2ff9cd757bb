"""Score and Fisher information of columns, and of overlapping pairs of columns, from the moments of an image.

The parameters of a column are, in this order: amplitude A, y, x, and the precisions Qyy, Qyx, Qxx. The derivative of
the model by each of them is a polynomial of second degree times the column's Gaussian, so their products, summed over
the pixels with the weights 1/variance, are moments up to the fourth degree under the product of two Gaussians.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Integers32
from stemdask.kernels.compiled import kernel

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


@kernel
def _differentiate(amplitude: float, precision: Floats, ey: float, ex: float, monomials: Floats, out: Floats) -> None:
    """Turn rows for the monomials in the distance from a point (6, l) into rows for a column's parameters (6, l).

    The point is at (ey, ex) from the column's centre.
    """
    yy, yx, xx = precision[0], precision[1], precision[2]
    for j in range(monomials.shape[1]):
        one, dy, dx = monomials[0, j], monomials[1, j], monomials[2, j]
        dy2, dydx, dx2 = monomials[3, j], monomials[4, j], monomials[5, j]
        uy, ux = dy + ey * one, dx + ex * one
        out[0, j] = one
        out[1, j] = amplitude * (yy * uy + yx * ux)
        out[2, j] = amplitude * (yx * uy + xx * ux)
        out[3, j] = -0.5 * amplitude * (dy2 + ey * (dy + uy))
        out[4, j] = -amplitude * (dydx + ey * ux + ex * dy)
        out[5, j] = -0.5 * amplitude * (dx2 + ex * (dx + ux))


@kernel
def score(amplitude: Floats, precision: Floats, moment: Floats, out: Floats) -> None:
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


@kernel
def coupling_to_background(amplitude: Floats, precision: Floats, moment: Floats, out: Floats) -> None:
    """Turn the moments (n, 15) of the weights under the columns into their coupling to a background.

    `out` is (n, 6, l): to the background's value at the centre and, where l = 3, to its slopes along y and x.
    """
    monomials = np.empty((6, out.shape[2]))
    for k in range(len(amplitude)):
        for i in range(6):
            for f in range(out.shape[2]):
                monomials[i, f] = moment[k, _PRODUCT[i, f]]
        _differentiate(amplitude[k], precision[k], 0.0, 0.0, monomials, out[k])


@kernel
def information(
    positions: Floats,
    amplitude: Floats,
    precision: Floats,
    pairs: Integers32,
    centre: Floats,
    height: Floats,
    moment: Floats,
    out: Floats,
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
    monomials, half, block = np.empty((6, 6)), np.empty((6, 6)), np.empty((6, 6))
    for p in range(len(pairs)):
        k, m = pairs[p, 0], pairs[p, 1]
        for i in range(6):
            for j in range(6):
                monomials[i, j] = height[p] * moment[p, _PRODUCT[i, j]]
        ey, ex = centre[p, 0] - positions[m, 0], centre[p, 1] - positions[m, 1]
        _differentiate(amplitude[m], precision[m], ey, ex, monomials, half)
        for i in range(6):
            for j in range(6):
                monomials[i, j] = half[j, i]
        ey, ex = centre[p, 0] - positions[k, 0], centre[p, 1] - positions[k, 1]
        _differentiate(amplitude[k], precision[k], ey, ex, monomials, block)
        for i in range(6):
            for j in range(6):
                out[p, i, j] = block[i, j]


@kernel
def products(
    positions: Floats, precision: Floats, pairs: Integers32, centre: Floats, product: Floats, height: Floats
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
