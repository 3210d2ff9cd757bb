"""Single pixels that are brighter than anything else by far, told without the noise: a quick look at any image."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import AnyFloats

#: A pixel is beyond all others that is this many times as far above them as they reach, and at most so many are.
_BEYOND, _FEW = 2.0, 0.01
#: Pixels along each side that tell how far values reach.
_SAMPLES = 512


def count_far_pixels(image: AnyFloats) -> int:
    """Return how many single pixels are brighter than anything else by far.

    Parameters
    ----------
    image
        (ny, nx); NaN where a pixel is missing.

    Returns
    -------
    Their number; 0 where they are so many that they are no single ones.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(100, 5, (64, 64))
    >>> image[20, 30] = 400
    >>> count_far_pixels(image)
    1
    """
    steps = tuple(max(1, side // _SAMPLES) for side in image.shape)
    sample = image[:: steps[0], :: steps[1]]
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        return 0
    low, high = np.percentile(sample, [0.5, 99.5])
    if high == low:  # hardly a pixel has counted anything: each is all that there is
        return 0
    limit = high + _BEYOND * (high - low)
    with np.errstate(invalid="ignore"):
        places = np.argwhere(image > limit)
    if not 0 < len(places) <= _FEW * image.size:
        return 0
    around = places[:, None] + np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
    inside = ((around >= 0) & (around < image.shape)).all(axis=2)
    around = np.where(inside[..., None], around, 0)
    beside = np.where(inside, image[around[..., 0], around[..., 1]], -np.inf)
    return int(np.count_nonzero(~(beside > limit).any(axis=1)))
