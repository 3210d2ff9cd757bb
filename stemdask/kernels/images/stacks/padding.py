"""Borders of one value, with which an image that was turned or shifted was filled up to its rectangle."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Array, Booleans

#: The part of the image that pixels of the border's value may cut into its rim: some of it may have that value, too.
_NICKS = 0.01
#: Beside a border so many of the pixels are as far from its value as the farthest quarter of all: it cuts through
#: columns. At the rim of a vacuum that is clipped, or rounded to a few levels, the image begins gently.
_FARTHEST, _SOME = 75.0, 0.05


def find_padding(image: Array) -> Booleans | None:
    """Find the border that isn't image: pixels of one value from the corners on, around an area without a dent.

    A background that is clipped to one value winds around the columns; a vacuum that is clipped ends where the image
    begins gently. Neither is a border.

    Parameters
    ----------
    image
        (ny, nx); NaN where a pixel is missing.

    Returns
    -------
    (ny, nx), true where a pixel is of the border; None where there is none.

    Examples
    --------
    >>> image = np.pad(np.random.default_rng(0).normal(100, 5, (60, 60)), ((0, 4), (10, 0)))
    >>> int(find_padding(image).sum())
    880
    """
    values = {image[corner].item() for corner in _flat_corners(image)}
    if not values:
        return None
    from scipy import ndimage  # hardly any image needs it, and workers start without it

    border = np.zeros(image.shape, np.bool_)
    for value in values:
        parts, _ = ndimage.label(image == value)
        border |= np.isin(parts, [parts[corner] for corner in _CORNERS if parts[corner]])
    if np.count_nonzero(border) < min(image.shape):
        return None
    area = ~border
    whole = _without_dents(area)
    if not area.any() or np.count_nonzero(whole & border) > _NICKS * np.count_nonzero(area):
        return None
    value = float(np.median(image[border]))
    beside = np.abs(image[area & ndimage.binary_dilation(border)] - value)
    every = np.abs(image[area] - value)
    beside, every = beside[np.isfinite(beside)], every[np.isfinite(every)]
    cuts = len(beside) and np.mean(beside >= np.percentile(every, _FARTHEST)) >= _SOME
    return np.asarray(~whole) if cuts else None


_CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))


def _flat_corners(image: Array) -> list[tuple[int, int]]:
    """Return the corners from which the image goes on with the same value, along one of its edges at least."""
    flat = []
    for y, x in _CORNERS:
        along_x, along_y = image[y, :3] if x == 0 else image[y, -3:], image[:3, x] if y == 0 else image[-3:, x]
        if (along_x == image[y, x]).all() or (along_y == image[y, x]).all():
            flat.append((y, x))
    return flat


def _without_dents(area: Booleans) -> Booleans:
    """Return an area with all that lies between two of its pixels in a row, and between two in a column."""

    def between(axis: int) -> Booleans:
        forward = np.logical_or.accumulate(area, axis)
        return np.asarray(forward & np.flip(np.logical_or.accumulate(np.flip(area, axis), axis), axis))

    return between(0) & between(1)
