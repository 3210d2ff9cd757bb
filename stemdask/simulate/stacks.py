"""Stacks of simulated images: frames of one area that drifts under a scan that jitters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Floats, Image
from stemdask.simulate.images import Truth, perovskite


@dataclass(frozen=True)
class StackTruth:
    """What is in a simulated stack: the truth of the undrifted area and each frame's drift.

    Attributes
    ----------
    frame
        Truth of a frame without drift.
    shifts
        (frames, 2), px, (y, x): the content of frame k lies at ``frame.positions + shifts[k]``.
    """

    frame: Truth
    shifts: Floats


def stack(
    n_frames: int,
    *,
    drift: ArrayLike | float = 0.0,
    row_jitter: float = 0.0,
    seed: int = 0,
    image: Callable[..., tuple[Image, Truth]] = perovskite,
    **parameters: object,
) -> tuple[Image, StackTruth]:
    """Draw a series of frames of one area.

    Parameters
    ----------
    n_frames
        Number of frames.
    drift
        (frames, 2), px, (y, x) of each frame, or the RMS step in px of a random walk.
    row_jitter
        Standard deviation in px of the error of the scan from row to row, in y and x.
    seed
        Of the random numbers; each frame has its own.
    image
        :func:`perovskite` or :func:`lattice_image`, called with `parameters`; electrons and background are per frame.

    Returns
    -------
    frames
        (frames, y, x) float32.
    truth
        The truth of an undrifted frame, and the drift.

    Examples
    --------
    >>> from stemdask.simulate import stack
    >>> frames, truth = stack(3, drift=0.5, shape=(64, 64), spacing=13.5, seed=1)
    >>> frames.shape, truth.shifts.shape
    ((3, 64, 64), (3, 2))
    """
    rng = np.random.default_rng(seed)
    if np.ndim(drift) == 0:
        steps = rng.normal(0.0, float(np.asarray(drift)), (n_frames, 2))
        steps[0] = 0.0
        shifts = np.cumsum(steps, axis=0)
    else:
        shifts = np.asarray(drift, dtype=np.float64)
    common = {"margin": float(np.max(np.abs(shifts), initial=0.0)) + 1.0, **parameters, "seed": seed}
    _, frame = image(**{**common, "noise": None, "readout": 0.0})
    frames = np.empty((n_frames, *frame.expected.shape), dtype=np.float32)
    for k in range(n_frames):
        jitter = rng.normal(0.0, row_jitter, (frames.shape[1], 2)) if row_jitter else None
        noise_seed = int(rng.integers(2**62))
        frames[k], _ = image(**common, shift=tuple(shifts[k]), row_shift=jitter, noise_seed=noise_seed)
    return frames, StackTruth(frame=frame, shifts=shifts)
