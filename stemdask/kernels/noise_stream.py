"""Random numbers for noise that is added to data on purpose, to see what a method does to noise."""

from __future__ import annotations

import numpy as np

_STREAM = 0x70726F62


def noise_stream(seed: int) -> np.random.Generator:
    """Return random numbers that the noise of simulated data doesn't hold, though it was drawn with the same seed."""
    return np.random.default_rng((_STREAM, seed))
