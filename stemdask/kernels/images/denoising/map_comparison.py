"""How far each way of denoising is from the truth, and what it takes away from it, without knowing the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats
from stemdask.kernels.noise_stream import noise_stream

#: Fits to maps (frame, 2, row, column) and returns them denoised.
Denoise = Callable[[Floats], Floats]

#: Size of the probing noise over that of the data.
PROBE = 0.1
#: Entries probed in all; large maps need one probe.
PROBED = 20_000
#: Where a step is injected: in every frame, in the second half of them, in one of them.
STEPS = ("every frame", "half of the frames", "one frame")


def risk(denoise: Denoise, values: Floats, noise: Floats, seed: int = 0) -> float:
    """Estimate the mean square error of a denoiser against the truth, pm²; it can come out slightly negative.

    Stein's unbiased risk estimate: what the denoiser removes, less the noise, plus twice the noise that it lets
    through, which probing with small noise measures for any method (Stein 1981; Ramani, Blu & Unser 2008).

    Parameters
    ----------
    denoise
        Fits and applies.
    values, noise
        (frame, 2, row, column), pm; NaN is missing.
    seed
        Of the probes, which are the same for every denoiser.
    """
    random = noise_stream(seed)
    known = np.isfinite(values) & np.isfinite(noise) & (noise > 0)
    if not known.any():
        return float("nan")
    spread = np.where(known, noise, 0.0)
    repeats = max(1, min(8, PROBED // int(known.sum())))
    denoised = denoise(values)
    passed = 0.0
    for _ in range(repeats):
        probe = PROBE * spread * random.standard_normal(values.shape)
        passed += float(np.mean((probe * (denoise(values + probe) - denoised))[known])) / PROBE**2
    removed = float(np.mean((denoised - values)[known] ** 2))
    return removed - float(np.mean(spread[known] ** 2)) + 2 * passed / repeats


def lost_steps(denoise: Denoise, values: Floats, step: float) -> Floats:
    """Return how many pm of an injected step the denoiser loses, for each place in `STEPS`.

    All cells beyond a straight wall through the middle of the map are moved by `step` along the diagonal of u and v.
    The loss is `step` less the difference, between the two sides, of what the denoised maps gained.

    Parameters
    ----------
    denoise
        Fits and applies.
    values
        (frame, 2, row, column), pm; NaN is missing.
    step
        pm.

    Returns
    -------
    (3,), pm; NaN where the map has no two sides, or, for a step in half of the frames or in one, no second frame.
    """
    beyond = _beyond_wall(values.shape[2:])
    before = denoise(values)
    n = len(values)
    frames = [np.ones(n, dtype=bool), np.arange(n) >= n // 2, np.arange(n) == n // 2]
    lost = np.full(len(STEPS), np.nan)
    for k, injected in enumerate(frames):
        if n < 2 and k > 0:
            continue
        moved = values + injected[:, None, None, None] * beyond * step / np.sqrt(2)
        gained = (denoise(moved) - before).sum(axis=1) / np.sqrt(2)
        present = np.isfinite(values).all(axis=1) & injected[:, None, None]
        inside, outside = present & beyond, present & ~beyond
        if inside.any() and outside.any():
            lost[k] = step - (gained[inside].mean() - gained[outside].mean())
    return lost


def _beyond_wall(shape: tuple[int, ...]) -> Booleans:
    """Cells beyond a wall through the middle that runs along neither rows nor columns nor their diagonals."""
    row, column = np.indices(shape)
    middle = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    beyond: Booleans = (column - middle[1]) + 0.5 * (row - middle[0]) > 0
    return beyond
