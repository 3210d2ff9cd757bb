"""How far each pixel is to be trusted: less where the model explains the image far worse than around most columns.

A column that the model doesn't know, contamination, or the edge of a hole would move what all columns share (width,
background, shape), and so the columns at the other end of the image. Misfits that are everywhere alike change nothing.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from stemdask.kernels.arrays import AnyFloats, Floats, Image
from stemdask.kernels.compiled import kernel

#: Pixels are doubted where the misfit is larger by this part than around most columns, and by so many standard
#: deviations of what chance makes of it; at the most this little is left of their weight.
_WORSE, _BEYOND_CHANCE, _LEAST = 0.5, 10.0, 1e-4


def trust_in(
    image: Image, model: Image, weight: Image, positions: Floats, distance: float, correlation: float
) -> Image:
    """Return by what the weights of pixels are to be multiplied.

    Parameters
    ----------
    image, model, weight
        (y, x): pixels above the dark level, what is known of them, and one over their variance; 0 where a pixel doesn't
        count.
    positions
        (n, 2), px, columns within the image: around half of them pixels are trusted.
    distance
        Between neighbouring columns, px. Misfits are averaged over squares of one and a half of it.
    correlation
        Of the noise: the variance of sums over that of as many independent pixels.

    Returns
    -------
    Image
        (y, x), in (0, 1]: the inverse square of how many times larger the misfit is than it may be, so that
        what isn't explained, however large, moves the fit less than what just is.
    """
    side = max(round(0.5 * distance), 2)
    if not weight.any():
        return np.ones_like(image)
    sums = np.zeros((3, *(-(-n // side) for n in image.shape)))
    _sum_tiles(image, model, weight, side, sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        total, signal, counts = (uniform_filter(part, 3, mode="constant") for part in sums)
        misfit, signal = total / counts, signal / counts
        row, column = np.clip(positions // side, 0, np.array(misfit.shape) - 1).astype(np.intp).T
        usual = usual_misfit(misfit[row, column], signal[row, column], signal)
        chance = np.sqrt(2.0 * correlation) / (3.0 * side)
        may_be = usual * (1.0 + max(_WORSE, _BEYOND_CHANCE * chance))
        worse = np.clip(np.nan_to_num(misfit / may_be, nan=1.0), 1.0, _LEAST**-0.5).astype(np.float32)
    if not (worse > 1.0).any():
        return np.ones_like(image)
    fine = np.repeat(np.repeat(worse, side, axis=0), side, axis=1)[: image.shape[0], : image.shape[1]]
    trust: Image = uniform_filter(fine, side, mode="nearest") ** -2
    return trust


def usual_misfit(around: Floats, height2: Floats, at: AnyFloats) -> AnyFloats:
    """Return the misfit that is usual where columns are as high as somewhere.

    Noise leaves as much over everywhere; what a wrong model does goes with the height of the columns.

    Parameters
    ----------
    around, height2
        (n,), misfit around columns, and the square of their height.
    at
        (...), squares of heights.
    """
    usual: AnyFloats = np.maximum(_median(around), _median(around / height2) * at)
    return usual


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


@kernel
def _sum_tiles(image: Image, model: Image, weight: Image, side: int, sums: Floats) -> None:
    """Add residual²/variance, model²/variance and the pixels that count to tiles of `side` px."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            if weight[row, column] > 0.0:
                residual = image[row, column] - model[row, column]
                sums[0, row // side, column // side] += residual * residual * weight[row, column]
                sums[1, row // side, column // side] += model[row, column] ** 2 * weight[row, column]
                sums[2, row // side, column // side] += 1.0
