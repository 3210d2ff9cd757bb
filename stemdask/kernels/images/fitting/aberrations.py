"""Columns that all deviate from a Gaussian in the same way, as the probe does: flatter or more peaked, and with coma.

A column is its Gaussian times 1 + s·(r⁴ - 8r² + 8)/8 + (c_y·y + c_x·x)·(r² - 4), with y, x and r² = y² + x² in units of
its mean width. The three terms are orthogonal, under the Gaussian, to a change of its height, place and width: what
they describe is what a Gaussian can't. Left out, they become displacement where columns overlap; a wider family
(trefoil, a halo) and a displacement can no longer be told apart in one domain.

One shape for all columns of a crowded image: J. Anderson & I. R. King, PASP 112 (2000) 1360.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Image, Integers32
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.polynomials import POWERS, ROOM, draw, high_moments

#: Terms of the deviation: s, c_y, c_x.
N_TERMS = 3
#: Their standard deviations beforehand.
SPREAD = np.array([0.3, 0.1, 0.1])
#: Fisher information is summed over points that lie this many widths apart, out to so many widths, at most so many.
_STEP, _INFORMS, _MOST = 0.85, 3.5, 256
#: Half of the height lies within so many widths.
_REACH = 4.0
#: Powers of dy and dx in the deviation, from 0 to 4.
_P = 5


def brightest(terms: Floats) -> Floats:
    """Return where a column of the three terms is brightest, from its centre of mass: (y, x) in widths.

    It lies along the coma. Of the stationary points of e^(-t²/2)·(1 + s·(t⁴ - 8t² + 8)/8 + c·(t³ - 4t)) it's the one
    next to the centre.
    """
    s, coma = terms[0] / 8.0, float(np.hypot(terms[1], terms[2]))
    if coma == 0.0:
        return np.zeros(2)
    shape = np.polynomial.Polynomial([1.0 + 8.0 * s, -4.0 * coma, -8.0 * s, coma, s])
    stationary = (shape.deriv() - np.polynomial.Polynomial([0.0, 1.0]) * shape).roots()
    real = stationary[np.abs(stationary.imag) < 1e-9].real
    nearest = real[np.argmin(np.abs(real))] if len(real) else 0.0
    out: Floats = np.clip(nearest, -1.0, 1.0) * terms[1:] / coma
    return out


def half_width(terms: Floats) -> float:
    """Return where a column has half of its height, in units of where a Gaussian has it; coma is left out.

    It is NaN for terms whose columns have no height.
    """
    radius = np.linspace(0.0, _REACH, 1001)
    r2 = radius**2
    profile = np.exp(-0.5 * r2) * (1.0 + terms[0] * (r2**2 - 8.0 * r2 + 8.0) / 8.0)
    half = 0.5 * profile[0]
    if half <= 0.0:
        return np.nan
    k = int(np.argmax(profile < half))
    beyond = (profile[k - 1] - half) / (profile[k - 1] - profile[k])
    return float((radius[k - 1] + beyond * radius[1]) / np.sqrt(np.log(4.0)))


@kernel
def _polynomial(height: float, base: float, terms: Floats, width: float, out: Floats) -> None:
    """Write the coefficients of dyᵐ·dxⁿ of height·(base + the deviation); those beyond the fourth degree stay."""
    s, cy, cx = height * terms[0] / 8.0, height * terms[1] / width, height * terms[2] / width
    q = 1.0 / (width * width)
    out[0, 0] = height * base + 8.0 * s
    out[1, 0], out[0, 1] = -4.0 * cy, -4.0 * cx
    out[2, 0] = out[0, 2] = -8.0 * s * q
    out[3, 0], out[1, 2] = cy * q, cy * q
    out[0, 3], out[2, 1] = cx * q, cx * q
    out[4, 0] = out[0, 4] = s * q * q
    out[2, 2] = 2.0 * s * q * q


@kernel
def render_shaped(
    image: Image, positions: Floats, amplitude: Floats, precision: Floats, base: float, terms: Floats
) -> None:
    """Add columns of a shape to an image.

    Parameters
    ----------
    image
        (y, x) float32, changed in place.
    positions, amplitude, precision
        (n, 2), (n,) and (n, 3), of the Gaussians.
    base, terms
        1 and the three terms draw the columns; 0 and one term of 1 what the image gains with that term.
    """
    p, work = np.zeros((POWERS, POWERS)), np.empty(ROOM, np.float32)
    for k in range(len(amplitude)):
        if np.isfinite(amplitude[k]):
            width = np.sqrt(2.0 / (precision[k, 0] + precision[k, 2]))
            _polynomial(amplitude[k], base, terms, width, p)
            draw(image, positions[k, 0], positions[k, 1], precision[k], p, work)


@kernel
def shaped_score(
    image: Image, positions: Floats, amplitude: Floats, precision: Floats, terms: Floats, score: Floats
) -> Floats:
    """Sum an image times the derivatives of the columns.

    Parameters
    ----------
    image
        (y, x), the residual times its weight.
    positions, amplitude, precision
        (n, 2), (n,) and (n, 3), of the Gaussians.
    terms
        The three terms.
    score
        (n, 6), written: by amplitude, y, x and the three precisions of each column.

    Returns
    -------
    Floats
        (3,), by the terms.
    """
    p, moment, work = np.zeros((_P, _P)), np.empty((POWERS, POWERS)), np.empty(ROOM, np.float32)
    one, total = np.zeros(N_TERMS), np.zeros(N_TERMS)
    for k in range(len(amplitude)):
        yy, yx, xx, a = precision[k, 0], precision[k, 1], precision[k, 2], amplitude[k]
        width = np.sqrt(2.0 / (yy + xx))
        high_moments(image, positions[k, 0], positions[k, 1], precision[k], moment, work)
        for j in range(N_TERMS):
            one[:] = 0.0
            one[j] = 1.0
            _polynomial(a, 0.0, one, width, p)
            total[j] += np.sum(p * moment[:_P, :_P])
        _polynomial(1.0, 1.0, terms, width, p)
        score[k] = 0.0
        wider = 0.0  # by the logarithm of the width, on which the deviation depends through its unit
        for m in range(_P):
            for n in range(_P - m):
                c = p[m, n]
                if c == 0.0:
                    continue
                score[k, 0] += c * moment[m, n]
                score[k, 1] += a * c * (yy * moment[m + 1, n] + yx * moment[m, n + 1])
                score[k, 2] += a * c * (yx * moment[m + 1, n] + xx * moment[m, n + 1])
                if m > 0:
                    score[k, 1] -= a * c * m * moment[m - 1, n]
                if n > 0:
                    score[k, 2] -= a * c * n * moment[m, n - 1]
                score[k, 3] -= 0.5 * a * c * moment[m + 2, n]
                score[k, 4] -= a * c * moment[m + 1, n + 1]
                score[k, 5] -= 0.5 * a * c * moment[m, n + 2]
                wider -= a * c * (m + n) * moment[m, n]
        score[k, 3] -= 0.25 * width * width * wider
        score[k, 5] -= 0.25 * width * width * wider
    return total


@kernel
def render_change(
    image: Image,
    positions: Floats,
    amplitude: Floats,
    precision: Floats,
    terms: Floats,
    change: Floats,
    change_of_terms: Floats,
) -> None:
    """Add to an image what it gains to first order with changes (n, 6) of the columns and (3,) of the terms.

    It transposes :func:`shaped_score`: a column changes by a polynomial of degree 6 times its Gaussian.
    """
    p, d, total = np.zeros((_P, _P)), np.zeros((_P, _P)), np.empty((POWERS, POWERS))
    work = np.empty(ROOM, np.float32)
    for k in range(len(amplitude)):
        yy, yx, xx, a = precision[k, 0], precision[k, 1], precision[k, 2], amplitude[k]
        width = np.sqrt(2.0 / (yy + xx))
        _polynomial(1.0, 1.0, terms, width, p)
        _polynomial(a, 0.0, change_of_terms, width, d)
        ty, tx = yy * change[k, 1] + yx * change[k, 2], yx * change[k, 1] + xx * change[k, 2]
        wider = 0.25 * width * width * (change[k, 3] + change[k, 5])
        total[:] = 0.0
        for m in range(_P):
            for n in range(_P - m):
                c = a * p[m, n]
                total[m, n] += change[k, 0] * p[m, n] + d[m, n] + c * wider * (m + n)
                if c == 0.0:
                    continue
                total[m + 1, n] += c * ty
                total[m, n + 1] += c * tx
                if m > 0:
                    total[m - 1, n] -= c * m * change[k, 1]
                if n > 0:
                    total[m, n - 1] -= c * n * change[k, 2]
                total[m + 2, n] -= 0.5 * c * change[k, 3]
                total[m + 1, n + 1] -= c * change[k, 4]
                total[m, n + 2] -= 0.5 * c * change[k, 5]
        draw(image, positions[k, 0], positions[k, 1], precision[k], total, work)


@kernel
def _coarse(weight: Image, every: int) -> Image:
    """Sum an image over blocks of so many pixels a side."""
    rows, columns = -(-weight.shape[0] // every), -(-weight.shape[1] // every)
    out = np.zeros((rows, columns), np.float32)
    for row in range(weight.shape[0]):
        for column in range(weight.shape[1]):
            out[row // every, column // every] += weight[row, column]
    return out


@kernel(fastmath={"contract", "reassoc"})
def _differentiate(
    p: Floats, q: Floats, amplitude: float, dy: float, grid: tuple[float, float, int], out: Image
) -> None:
    """Write the derivatives (6, n) of a column by its parameters along a row of points: first dx, step, n."""
    yy, yx, xx = q[0], q[1], q[2]
    dx, every, n = grid
    q0 = p[0, 0] + dy * (p[1, 0] + dy * (p[2, 0] + dy * (p[3, 0] + dy * p[4, 0])))
    q1, q2, q3, q4 = p[0, 1] + dy * dy * p[2, 1], p[0, 2] + dy * (p[1, 2] + dy * p[2, 2]), p[0, 3], p[0, 4]
    y0 = p[1, 0] + dy * (2.0 * p[2, 0] + dy * (3.0 * p[3, 0] + dy * 4.0 * p[4, 0]))
    y1, y2 = 2.0 * dy * p[2, 1], p[1, 2] + 2.0 * dy * p[2, 2]
    value = np.exp(-0.5 * (yy * dy * dy + 2.0 * yx * dy * dx + xx * dx * dx))
    ratio, step = np.exp(-every * (xx * (dx + 0.5 * every) + yx * dy)), np.exp(-xx * every * every)
    for i in range(n):
        out[5, i] = value
        value *= ratio
        ratio *= step
    unit = 0.5 / (yy + xx)
    for i in range(n):
        x = dx + every * i
        g = np.float64(out[5, i])
        a = amplitude * g
        v = q0 + x * (q1 + x * (q2 + x * (q3 + x * q4)))
        along_x = q1 + x * (2.0 * q2 + x * (3.0 * q3 + x * 4.0 * q4))
        along_y = y0 + x * (y1 + x * y2)
        wider = unit * (dy * along_y + x * along_x)
        out[0, i] = g * v
        out[1, i] = a * ((yy * dy + yx * x) * v - along_y)
        out[2, i] = a * ((yx * dy + xx * x) * v - along_x)
        out[3, i] = a * (wider - 0.5 * dy * dy * v)
        out[4, i] = -a * dy * x * v
        out[5, i] = a * (wider - 0.5 * x * x * v)


@kernel(fastmath={"contract", "reassoc"})
def shaped_information(
    weight: Image,
    positions: Floats,
    amplitude: Floats,
    precision: Floats,
    terms: Floats,
    pairs: Integers32,
    blocks: Floats,
    beneath: Floats,
) -> None:
    """Sum the weights times the products of the derivatives of columns, of pairs of them, and of the background.

    Parameters
    ----------
    weight
        (y, x), 1 / variance; it varies as slowly as the columns do, so that not every pixel is needed.
    positions, amplitude, precision, terms
        Of n columns.
    pairs
        (p, 2), first each of the n columns with itself.
    blocks
        (p, 6, 6), written.
    beneath
        (n, 6, 1 or 3), written: with the background's value and slopes a px at the column.
    """
    widths = np.sqrt(2.0 / (precision[:, 0] + precision[:, 2]))
    every = max(1, int(_STEP * np.min(widths)))
    coarse, middle = _coarse(weight, every), 0.5 * (every - 1)
    p, other = np.zeros((_P, _P)), np.zeros((_P, _P))
    first, second = np.empty((6, _MOST), np.float32), np.empty((6, _MOST), np.float32)
    box = np.empty(4, np.int64)
    for pair in range(len(pairs)):
        k, m = pairs[pair, 0], pairs[pair, 1]
        blocks[pair] = 0.0
        if m == k:
            beneath[k] = 0.0
        box[0], box[1], box[2], box[3] = 0, coarse.shape[0], 0, min(coarse.shape[1], np.int64(2**30))
        for of in (k, m):
            reach = _INFORMS * widths[of] + every
            for axis in range(2):
                low, high = positions[of, axis] - reach - middle, positions[of, axis] + reach - middle
                box[2 * axis] = max(box[2 * axis], int(np.ceil(low / every)))
                box[2 * axis + 1] = min(box[2 * axis + 1], int(np.floor(high / every)) + 1)
        n = min(box[3] - box[2], _MOST)
        if n <= 0:
            continue
        _polynomial(1.0, 1.0, terms, widths[k], p)
        _polynomial(1.0, 1.0, terms, widths[m], other)
        for row in range(box[0], box[1]):
            y, x = row * every + middle, box[2] * every + middle
            dy, dx = y - positions[k, 0], x - positions[k, 1]
            _differentiate(p, precision[k], amplitude[k], dy, (dx, float(every), n), first)
            if m == k:
                second[:, :n] = first[:, :n]
            else:
                grid = (x - positions[m, 1], float(every), n)
                _differentiate(other, precision[m], amplitude[m], y - positions[m, 0], grid, second)
            for i in range(6):
                for c in range(n):
                    first[i, c] *= coarse[row, box[2] + c]
                if m == k:
                    s0 = s1 = np.float32(0.0)
                    for c in range(n):
                        s0 += first[i, c]
                        s1 += first[i, c] * np.float32(c)
                    beneath[k, i, 0] += s0
                    if beneath.shape[2] == 3:
                        beneath[k, i, 1] += s0 * dy
                        beneath[k, i, 2] += s0 * dx + s1 * every
                for j in range(6):
                    total = np.float32(0.0)
                    for c in range(n):
                        total += first[i, c] * second[j, c]
                    blocks[pair, i, j] += total
