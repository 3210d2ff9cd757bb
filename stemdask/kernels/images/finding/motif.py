"""What one cell of the lattice contains, from the mean of many cells.

Averaging over cells lifts a weak column out of the noise by the square root of their number, so columns that can't be
seen one by one are found in the mean cell, and then looked for where they should be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, optimize

from stemdask.kernels.arrays import Booleans, Floats, Image, Integers
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.finding.peaks import interpolate_cubic

_MAX_SAMPLES = 2_000_000
_FIT_SAMPLES = 32
#: How far the fit may move a column of the motif, in units of the cell.
_SLACK = 0.1
#: Lowest curvature of a column in the mean cell, in units of the highest, and in units of its standard error.
_MIN_CURVATURE = 0.012
_MIN_SIGNIFICANCE = 4.5
#: Lowest intensity of a column, in units of the highest: below it the shape of bright columns is not known well enough.
_MIN_HEIGHT = 0.03
#: Columns below this height, in units of the highest, are looked at with the width that the whole cell asks for, and by
#: this part less: beside wide columns a narrower Gaussian leaves less of them, and a wider one more.
_FAINT, _NARROWER = 0.12, 0.98

#: The scale of what is looked for is the shorter vector or, in a wide cell of many columns, so many times the side of
#: the square that each of them has, where that is finer by a tenth.
_ROOM, _FINER = 2.0, 0.9
#: What the columns of a cell leave of its contrast that asks for finer scales yet; and by how much less columns of
#: such a scale must leave to be believed. Columns that aren't Gaussians leave up to a quarter, and none of these does.
_EXPLAINED, _FINER_STILL, _CLEARLY_LESS = 0.1, (0.7, 0.5), 0.5
#: Maxima nearer than this to one of a sharper Laplacian are the same column, in units of the scale.
_MERGE = 0.2
#: Widths of the Gaussian under the Laplacian, in units of the scale, sharpest first.
_SMOOTHINGS = (0.06, 0.09, 0.13, 0.18)


@dataclass(frozen=True, slots=True)
class Motif:
    """The columns of one cell, brightest first."""

    fractions: Floats
    """(n, 2), positions along (a, b) relative to the corner of the cell, in -0.5 .. 0.5."""
    amplitudes: Floats
    """(n,), height of the Gaussian over the background, in the units of the image."""
    width: float
    """Standard deviation of the Gaussians in px."""

    def brightest(self, most: int) -> Motif:
        """Return the motif without all but its brightest columns."""
        return Motif(self.fractions[:most], self.amplitudes[:most], self.width)


@kernel
def _accumulate(image: Image, grid: Floats, cells: Integers, samples: tuple[int, int]) -> tuple[Floats, Floats, int]:
    na, nb = samples
    total = np.zeros((na, nb))
    square = np.zeros((na, nb))
    one = np.empty((na, nb))
    used = 0
    for k in range(len(cells)):
        i, j = cells[k]
        mean = 0.0
        for u in range(na):
            s = u / na
            for v in range(nb):
                t = v / nb
                y = (1 - s) * ((1 - t) * grid[i, j, 0] + t * grid[i, j + 1, 0]) + s * (
                    (1 - t) * grid[i + 1, j, 0] + t * grid[i + 1, j + 1, 0]
                )
                x = (1 - s) * ((1 - t) * grid[i, j, 1] + t * grid[i, j + 1, 1]) + s * (
                    (1 - t) * grid[i + 1, j, 1] + t * grid[i + 1, j + 1, 1]
                )
                one[u, v] = interpolate_cubic(image, y, x)
                mean += one[u, v]
        mean /= na * nb
        if not np.isfinite(mean):
            continue
        one -= mean
        total += one
        square += one * one
        used += 1
    return total, square, used


def mean_cell(
    image: Image, grid: Floats, samples: tuple[int, int], chosen: Booleans | None = None
) -> tuple[Floats, float]:
    """Average the image over its cells, each mapped onto the unit square by its four corners.

    Parameters
    ----------
    image
        (ny, nx).
    grid
        (ni, nj, 2), px, corners of the cells, NaN where one is missing.
    samples
        Number of samples along a and b.
    chosen
        (ni - 1, nj - 1), the cells to average; None for all.

    Returns
    -------
    cell
        `samples`, mean of 0, over cells spread evenly over the image, as many as 2 million samples allow; NaN where
        there is no complete cell.
    error
        Median over the cell of the standard error of the mean.
    """
    present = np.isfinite(grid[..., 0])
    complete = present[:-1, :-1] & present[1:, :-1] & present[:-1, 1:] & present[1:, 1:]
    cells = np.argwhere(complete if chosen is None else complete & chosen)
    most = _MAX_SAMPLES // (samples[0] * samples[1])
    if len(cells) > most:
        cells = cells[np.linspace(0, len(cells) - 1, most).astype(np.int64)]
    total, square, used = _accumulate(image, grid, cells, samples)
    if used == 0:
        return np.full(samples, np.nan), np.nan
    mean = total / used
    variance = np.maximum(square / used - mean**2, 0.0)
    return mean, float(np.sqrt(np.median(variance) / used))


def find_motif(cell: Floats, error: float, a: Floats, b: Floats) -> Motif:
    """Find the columns of a mean cell.

    A column is where the intensity is bent like a hill, even on the flank of a brighter one where it makes no maximum
    of its own: the tails of all columns are bent like a valley. So columns are the maxima of minus the Laplacian, and
    positive. The sharpest Laplacian resolves best and the smoothest sees the weakest column: what any of them shows
    counts. Gaussians fitted to the cell then give places, heights and widths.

    Parameters
    ----------
    cell
        (na, nb), mean cell, periodic.
    error
        Its standard error.
    a, b
        Lattice vectors in px.
    """
    if not np.isfinite(cell).all() or np.ptp(cell) == 0:
        return Motif(np.empty((0, 2)), np.empty(0), np.nan)
    scale = float(min(np.hypot(*a), np.hypot(*b)))
    found = _columns_at(scale, cell, error, a, b)
    # Columns that stand close together in a wide cell are one at its scale.
    while (finer := room(len(found), a, b)) < _FINER * scale:
        scale = finer
        found = _columns_at(scale, cell, error, a, b)
    if len(found) == 0:
        return Motif(np.empty((0, 2)), np.empty(0), np.nan)
    motif, left = _fit_gaussians(cell, found, a, b)
    for finer in _FINER_STILL:
        further = _columns_at(finer * scale, cell, error, a, b) if left > _EXPLAINED else found
        if len(further) > len(found):
            other, remaining = _fit_gaussians(cell, further, a, b)
            if remaining < _CLEARLY_LESS * left:
                motif, left, found = other, remaining, further
    return motif


def room(n: int, a: Floats, b: Floats) -> float:
    """Return the length in px at which n columns of a cell are looked for: its shorter vector unless they are many."""
    area = abs(float(np.linalg.det(np.stack([a, b]))))
    return min(float(np.hypot(*a)), float(np.hypot(*b)), _ROOM * float(np.sqrt(area / max(n, 1))))


def _columns_at(scale: float, cell: Floats, error: float, a: Floats, b: Floats) -> Floats:
    """Return the hills (n, 2) of a mean cell, in units of it, that any Laplacian of this scale in px shows."""
    found = np.empty((0, 2))
    for smoothing in _SMOOTHINGS:
        curvature, noise = bending(cell, error, a, b, smoothing * scale)
        least = max(_MIN_CURVATURE * float(curvature.max()), _MIN_SIGNIFICANCE * noise)
        for top in hills(curvature, least):
            away = (top - found - np.round(top - found)) @ np.stack([a, b])
            if len(found) == 0 or np.hypot(away[:, 0], away[:, 1]).min() > _MERGE * scale:
                found = np.concatenate([found, top[None]])
    return found


def hills(curvature: Floats, least: float) -> Floats:
    """Return the maxima (n, 2) of a periodic cell, in units of it, that are as high as `least`, and above passes."""
    tops, prominence = _prominent_maxima(curvature)
    tops = tops[(prominence >= least) & (curvature.ravel()[tops] >= least)]
    return np.stack(np.unravel_index(tops, curvature.shape), axis=1) / curvature.shape


def bending(cell: Floats, error: float, a: Floats, b: Floats, smoothing: float) -> tuple[Floats, float]:
    """Return minus the Laplacian of a mean cell under a Gaussian of `smoothing` px, and its standard error."""
    response = _laplacian_response(cell.shape, a, b, smoothing)
    impulse = fft.irfft2(response, s=cell.shape)
    return fft.irfft2(fft.rfft2(cell) * response, s=cell.shape), error * float(np.sqrt((impulse**2).sum()))


def _laplacian_response(shape: tuple[int, ...], a: Floats, b: Floats, smoothing: float) -> Floats:
    """Fourier response of minus the Laplacian of a Gaussian on a cell that needn't be square."""
    reciprocal = np.linalg.inv(np.stack([a, b]))
    h = fft.fftfreq(shape[0], 1.0 / shape[0])[:, None]
    k = fft.rfftfreq(shape[1], 1.0 / shape[1])[None, :]
    f2 = (reciprocal[0, 0] * h + reciprocal[0, 1] * k) ** 2 + (reciprocal[1, 0] * h + reciprocal[1, 1] * k) ** 2
    response: Floats = 4.0 * np.pi**2 * f2 * np.exp(-2.0 * (np.pi * smoothing) ** 2 * f2)
    return response


def _fit_gaussians(cell: Floats, fractions: Floats, a: Floats, b: Floats) -> tuple[Motif, float]:
    """Fit round Gaussians of one width (all columns share the probe) to the periodic cell, over a constant.

    Returns them, and what they leave of its contrast.
    """
    points = np.moveaxis(np.indices(cell.shape), 0, 2) / cell.shape
    thin = tuple(slice(None, None, -(-size // _FIT_SAMPLES)) for size in cell.shape)
    points, data = points[thin].reshape(-1, 2), cell[thin].ravel()
    basis = np.stack([a, b])
    width = _core_width(cell, fractions, a, b)

    def heights(unknowns: Floats, width: float) -> tuple[Floats, Floats]:
        design = _gaussians(points, unknowns.reshape(-1, 2), basis, width)
        solved = np.asarray(np.linalg.lstsq(design, data, rcond=None)[0], np.float64)
        return solved[:-1], np.asarray(design @ solved - data)

    def slopes(unknowns: Floats) -> Floats:
        """Return how what is left changes with the places; heights and level follow (Kaufman, BIT 15 (1975) 49)."""
        places = unknowns.reshape(-1, 2)
        design = _gaussians(points, places, basis, width)
        moved = _moved(points, places, basis, width, heights(unknowns, width)[0])
        known = np.linalg.qr(design)[0]
        return np.asarray(moved - known @ (known.T @ moved))

    start = fractions.ravel()
    fit = optimize.least_squares(
        lambda unknowns: heights(unknowns, width)[1],
        start,
        slopes,
        bounds=(start - _SLACK, start + _SLACK),
        xtol=1e-3,
        ftol=1e-4,
    )
    amplitudes, residual = heights(fit.x, width)
    least = amplitudes
    if len(amplitudes) > 1 and amplitudes.min() < _FAINT * amplitudes.max():
        whole = optimize.minimize_scalar(
            lambda width: float((heights(fit.x, width)[1] ** 2).sum()),
            bounds=(0.8 * width, 1.25 * width),
            method="bounded",
            options={"xatol": 0.005 * width},
        ).x
        least = heights(fit.x, _NARROWER * whole)[0]
    order = np.argsort(-amplitudes, kind="stable")
    order = order[least[order] > max(_MIN_HEIGHT * float(least.max()), 0.0)]
    at = fit.x.reshape(-1, 2)
    at -= np.round(at)
    return Motif(at[order], amplitudes[order], width), float(residual.std() / data.std())


@kernel
def _gaussians(points: Floats, places: Floats, basis: Floats, width: float) -> Floats:
    """Return (points, places + 1): Gaussians of unit height around places of a periodic cell, and a constant."""
    design = np.ones((len(points), len(places) + 1))
    for k in range(len(places)):
        for p in range(len(points)):
            s, t = points[p, 0] - places[k, 0], points[p, 1] - places[k, 1]
            s, t = s - np.round(s), t - np.round(t)
            total = 0.0
            for m in range(-1, 2):
                for n in range(-1, 2):
                    y = (s + m) * basis[0, 0] + (t + n) * basis[1, 0]
                    x = (s + m) * basis[0, 1] + (t + n) * basis[1, 1]
                    total += np.exp(-0.5 * (y * y + x * x) / (width * width))
            design[p, k] = total
    return design


@kernel
def _moved(points: Floats, places: Floats, basis: Floats, width: float, heights: Floats) -> Floats:
    """Return (points, 2 · places): derivatives of Gaussians of these heights by their places."""
    out = np.zeros((len(points), 2 * len(places)))
    for k in range(len(places)):
        scale = heights[k] / (width * width)
        for p in range(len(points)):
            s, t = points[p, 0] - places[k, 0], points[p, 1] - places[k, 1]
            s, t = s - np.round(s), t - np.round(t)
            for m in range(-1, 2):
                for n in range(-1, 2):
                    y = (s + m) * basis[0, 0] + (t + n) * basis[1, 0]
                    x = (s + m) * basis[0, 1] + (t + n) * basis[1, 1]
                    value = scale * np.exp(-0.5 * (y * y + x * x) / (width * width))
                    out[p, 2 * k] += value * (y * basis[0, 0] + x * basis[0, 1])
                    out[p, 2 * k + 1] += value * (y * basis[1, 0] + x * basis[1, 1])
    return out


def _core_width(cell: Floats, fractions: Floats, a: Floats, b: Floats) -> float:
    """Width of the highest column from its core, where neighbours and background add hardly more than a constant.

    A Gaussian over a constant is fitted to its mean heights over rings, each as good as it has points.
    """
    radii = 0.1 * shortest_distance(fractions, a, b) * np.arange(5.0)
    angle = np.arange(24) * (np.pi / 12)
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=1) @ np.linalg.inv(np.stack([a, b]))

    def value(at: Floats) -> Floats:
        return np.asarray(ndimage.map_coordinates(cell, (at * cell.shape).T, order=3, mode="grid-wrap"))

    top = fractions[int(np.argmax(value(fractions)))]
    profile = np.array([value(top + radius * circle).mean() for radius in radii])
    weight = np.sqrt(np.where(radii > 0, len(angle), 1.0))

    def residual(width: float) -> float:
        design = np.stack([np.exp(-0.5 * (radii / width) ** 2), np.ones(5)], axis=1) * weight[:, None]
        solved = np.linalg.lstsq(design, profile * weight, rcond=None)[0]
        return float(((design @ solved - profile * weight) ** 2).sum())

    # From a core within the first ring to one that is hardly bent out to the last.
    bounds = (0.36 * radii[2], 5.0 * radii[2])
    return float(optimize.minimize_scalar(residual, bounds=bounds, method="bounded").x)


def shortest_distance(fractions: Floats, a: Floats, b: Floats) -> float:
    """Return the shortest distance in px of two columns in a crystal of this motif."""
    shifts = np.array([(n, m) for n in (-1, 0, 1) for m in (-1, 0, 1)], float)
    difference = (fractions[:, None, None] - fractions[None, :, None] + shifts).reshape(-1, 2) @ np.stack([a, b])
    lengths = np.hypot(difference[:, 0], difference[:, 1])
    return float(lengths[lengths > 1e-6].min())


@kernel
def _prominent_maxima(cell: Floats) -> tuple[Integers, Floats]:
    """Maxima of a periodic image and how far each stands above the pass to a higher one."""
    na, nb = cell.shape
    flat = cell.ravel()
    order = np.argsort(-flat)
    parent = np.full(na * nb, -1, np.int64)
    tops = np.empty(na * nb, np.int64)
    prominence = np.empty(na * nb)
    n = 0
    for p in order:
        parent[p] = p
        u, v = p // nb, p % nb
        alone = True
        for du in range(-1, 2):
            for dv in range(-1, 2):
                q = ((u + du) % na) * nb + (v + dv) % nb
                if q == p or parent[q] < 0:
                    continue
                mine, other = p, q
                while parent[mine] != mine:
                    mine = parent[mine]
                while parent[other] != other:
                    other = parent[other]
                if mine == other:
                    continue
                if alone:
                    alone = False
                    parent[p] = other
                    continue
                low, high = (mine, other) if flat[mine] < flat[other] else (other, mine)
                # The lower of two hills that meet here ends: its root is its own top.
                tops[n] = low
                prominence[n] = flat[low] - flat[p]
                n += 1
                parent[low] = high
    for p in order[:1]:
        tops[n] = p
        prominence[n] = flat[p] - flat[order[-1]]
        n += 1
    return tops[:n].copy(), prominence[:n].copy()
