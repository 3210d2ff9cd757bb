"""The part of an image that holds most columns."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats, Integers


def densest_window(positions: Floats, shape: tuple[int, ...], n: int) -> tuple[Integers, int]:
    """Return the first pixel (2,) and the side of a square window with many columns.

    Parameters
    ----------
    positions
        (m, 2), px, (y, x).
    shape
        Of the image, px.
    n
        Columns that the window holds where they are as dense as in the whole image, fewer than there are.

    Examples
    --------
    >>> y, x = np.mgrid[100:200:5.0, 0:400:5.0]
    >>> low, side = densest_window(np.column_stack([y.ravel(), x.ravel()]), (200, 400), 100)
    >>> low.tolist(), side
    ([105, 0], 70)
    """
    side = min(int(np.sqrt(n * np.prod(shape) / len(positions))), *shape)
    # Of windows that overlap by half, each made of four cells.
    step = max(side // 2, 1)
    cells = np.clip(np.floor(positions / step).astype(np.intp), 0, np.array(shape) // step + 1)
    count = np.zeros(np.array(shape) // step + 2, dtype=np.intp)
    np.add.at(count, tuple(cells.T), 1)
    four = count[:-1, :-1] + count[1:, :-1] + count[:-1, 1:] + count[1:, 1:]
    low = step * np.array(np.unravel_index(np.argmax(four), four.shape))
    return np.clip(low, 0, np.array(shape) - side), side
