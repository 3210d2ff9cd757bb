"""Where a joint fit starts: amplitudes, widths and background, from the frame before or from a look at the image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from stemdask.kernels.arrays import Floats, Indices
from stemdask.kernels.images.fitting.aberrations import N_TERMS
from stemdask.kernels.images.fitting.column_fit import ColumnFit
from stemdask.kernels.images.fitting.gaussian import moments, render
from stemdask.kernels.images.fitting.scene import Scene, State

#: So many columns tell the width to start from, in a window of at most so many px a side, within these factors.
_SAMPLE, _LARGEST_WINDOW, _FACTORS = 60, 240.0, (0.6, 1.6)


class _Look(NamedTuple):
    """What a first look tells: a factor of the widths, the background, the height per sublattice; NaN if unknown."""

    factor: float
    level: float
    height: Floats


def guessed(scene: Scene, positions: Floats, width: Floats) -> State:
    """Start columns (n, 2) of widths (n,), px; the image's dark part must be at 0."""
    look = _look(scene, positions, width)
    precision = np.zeros((len(positions), 3))
    precision[:, 0] = precision[:, 2] = 1.0 / (look.factor * width) ** 2
    bright, covered = np.empty((len(positions), 6)), np.empty((len(positions), 6))
    moments(np.nan_to_num(scene.image), positions, precision, 2, True, bright)
    moments(np.isfinite(scene.image).astype(np.float32), positions, precision, 2, True, covered)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = bright[:, 0] / covered[:, 0]
    # The mean under a Gaussian is half the peak's height of one like it, but neighbours and a little blur add to it.
    amplitude = 1.5 * mean
    for of, height in zip(scene.columns_of, look.height, strict=True):
        above = mean[of] - look.level
        typical = np.median(above[np.isfinite(above)]) if np.isfinite(above).any() else 0.0
        if height > 0.0 and typical > 0.0:
            amplitude[of] = height * above / typical
    ground = np.full(scene.background.size, look.level if np.isfinite(look.level) else 0.0)
    return _completed(scene, State(positions, amplitude, precision, ground), np.zeros(N_TERMS))


def _look(scene: Scene, positions: Floats, width: Floats) -> _Look:
    """Fit columns (n, 2) of widths (n,) that have one height per sublattice and one factor of the widths.

    Some columns in the middle of the image. With a height for each, widths and background could replace one another.
    """
    height = np.full(scene.n_sublattices, np.nan)
    unknown = _Look(1.0, np.nan, height)
    if not len(positions):
        return unknown
    middle = positions[np.argmin(np.hypot(*(positions - np.median(positions, axis=0)).T))]
    distance = np.max(np.abs(positions - middle), axis=1)
    reach = min(np.sort(distance)[:_SAMPLE][-1], 0.5 * _LARGEST_WINDOW)
    top, left = (max(int(low), 0) for low in middle - reach)
    window = scene.image[top : int(middle[0] + reach) + 1, left : int(middle[1] + reach) + 1]
    near = distance < reach + 4.0 * width.max()
    places, wide, kind = positions[near] - [top, left], width[near], scene.sublattice[near]
    kinds, counts = np.unique(kind[distance[near] <= reach]), np.isfinite(window)
    measured = window[counts].astype(np.float64)
    if len(measured) < _SAMPLE:
        return unknown

    def heights(logarithm: float) -> tuple[Floats, float]:
        """Return background and heights, and what they explain of the image."""
        parts: list[Floats] = [np.ones(len(measured))]
        for s in kinds:
            image, of = np.zeros_like(window), kind == s
            q = 1.0 / (np.exp(logarithm) * wide[of]) ** 2
            render(image, places[of], np.ones(len(q)), np.stack([q, np.zeros(len(q)), q], axis=1))
            parts.append(image[counts].astype(np.float64))
        design = np.stack(parts)
        right = design @ measured
        found = np.asarray(np.linalg.lstsq(design @ design.T, right, rcond=1e-10)[0], dtype=np.float64)
        return found, float(right @ found)

    best = minimize_scalar(
        lambda x: -heights(x)[1], bounds=np.log(_FACTORS), method="bounded", options={"xatol": 0.04}
    ).x
    level, *found = heights(best)[0]
    height[kinds] = found
    return _Look(float(np.exp(best)), float(level), height)


def continued(scene: Scene, positions: Floats, before: ColumnFit, order: Indices, offset: float, scale: float) -> State:
    """Start where another fit ended.

    Parameters
    ----------
    scene
        Its image is (image - offset) / scale.
    positions
        (n, 2), px.
    before
        A fit of the same columns.
    order
        (n,), which of its columns each one is.
    offset, scale
        Of the brightness.
    """
    level = (before.background[order] - offset) / scale
    known = np.isfinite(level)
    ground = scene.background.fit(level[known], positions[known])
    state = State(positions - before.asymmetry, before.amplitude[order] / scale, before.precision[order], ground)
    return _completed(scene, state, before.shape_terms)


def _completed(scene: Scene, state: State, terms: Floats) -> State:
    """Fill in what isn't known from other columns of the sublattice; let widths that are shared be so."""
    positions, amplitude, precision, ground = state.positions, state.amplitude, state.precision, state.coefficients
    for of in scene.columns_of:
        good = of[np.isfinite(amplitude[of]) & (amplitude[of] > 0.0)]
        middle = float(np.median(amplitude[good])) if len(good) else 1.0
        amplitude[of] = np.maximum(np.where(np.isfinite(amplitude[of]), amplitude[of], middle), 0.05 * middle)
        wide = of[np.isfinite(precision[of]).all(axis=1)]
        typical = np.median(precision[wide], axis=0) if len(wide) else np.array([1.0, 0.0, 1.0])
        precision[of] = np.where(np.isfinite(precision[of]), precision[of], typical)
    terms = terms if scene.shaped else terms[:0]
    if scene.widths is None:
        return State(positions, amplitude, precision, np.concatenate([ground, terms]))
    typical = np.array([np.median(precision[of][:, [0, 2]]) if len(of) else 1.0 for of in scene.columns_of])
    ratio = typical / typical[0]
    alike = precision / ratio[scene.sublattice][:, None]
    fields = [scene.widths.fit(alike[:, j], positions) for j in range(3)]
    coefficients = np.concatenate([ground, *fields, ratio[1:], terms])
    return State(positions, amplitude, scene.precision(positions, coefficients), coefficients)
