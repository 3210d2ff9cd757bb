"""Where a joint fit starts: amplitudes, widths and background, from the frame before or from a look at the image."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Indices
from stemdask.kernels.images.fitting.column_fit import ColumnFit
from stemdask.kernels.images.fitting.gaussian import moments
from stemdask.kernels.images.fitting.scene import Scene, State


def guessed(scene: Scene, positions: Floats, width: Floats) -> State:
    """Start columns (n, 2) of widths (n,), px, on no background; the image's dark part must be at 0."""
    precision = np.zeros((len(positions), 3))
    precision[:, 0] = precision[:, 2] = 1.0 / width**2
    # The mean under a Gaussian is half the peak's height of one like it, but neighbours and a little blur add to it.
    bright, covered = np.empty((len(positions), 6)), np.empty((len(positions), 6))
    moments(np.nan_to_num(scene.image), positions, precision, 2, True, bright)
    moments(np.isfinite(scene.image).astype(np.float32), positions, precision, 2, True, covered)
    with np.errstate(divide="ignore", invalid="ignore"):
        amplitude = 1.5 * bright[:, 0] / covered[:, 0]
    return _completed(scene, State(positions, amplitude, precision, np.zeros(scene.background.size)))


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
    return _completed(scene, State(positions, before.amplitude[order] / scale, before.precision[order], ground))


def _completed(scene: Scene, state: State) -> State:
    """Fill in what isn't known from other columns of the sublattice; let widths that are shared be so."""
    positions, amplitude, precision, ground = state.positions, state.amplitude, state.precision, state.coefficients
    for of in scene.columns_of:
        good = of[np.isfinite(amplitude[of]) & (amplitude[of] > 0.0)]
        middle = float(np.median(amplitude[good])) if len(good) else 1.0
        amplitude[of] = np.maximum(np.where(np.isfinite(amplitude[of]), amplitude[of], middle), 0.05 * middle)
        wide = of[np.isfinite(precision[of]).all(axis=1)]
        typical = np.median(precision[wide], axis=0) if len(wide) else np.array([1.0, 0.0, 1.0])
        precision[of] = np.where(np.isfinite(precision[of]), precision[of], typical)
    if scene.widths is None:
        return state
    fields = [scene.widths.fit(precision[of, j], positions[of]) for of in scene.columns_of for j in range(3)]
    coefficients = np.concatenate([ground, *fields])
    return State(positions, amplitude, scene.precision(positions, coefficients), coefficients)
