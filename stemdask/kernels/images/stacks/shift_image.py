"""An image moved by a fraction of a pixel without blurring its columns."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from stemdask.kernels.arrays import AnyFloats, Floats

_TAPS = 10
_KAISER = 6.0


def shift_image(image: AnyFloats, shift: tuple[float, float]) -> AnyFloats:
    """Move an image by (y, x) px; what comes from beyond its border is NaN.

    The fraction of a pixel is one short filter along each axis: a sinc of 10 taps in a Kaiser window. It keeps columns
    to 3e-3 of their height where σ is 1 px and to 5e-4 from 1.5 px on; a cubic spline keeps them to 13e-3 and 3e-3, in
    four times the time. A missing pixel spreads over the taps.

    Parameters
    ----------
    image
        (ny, nx); missing pixels are NaN.
    shift
        (y, x), px; positive values move it down and to the right.

    Returns
    -------
    numpy.ndarray
        (ny, nx), in the unit of the image.

    Examples
    --------
    >>> shift_image(np.array([[1.0, 2.0, 3.0]]), (0.0, 1.0))
    array([[nan,  1.,  2.]])
    """
    moved = image
    for axis, amount in enumerate(shift):
        whole = int(np.floor(amount))
        if amount != whole:
            moved = scipy.ndimage.correlate1d(moved, _taps(amount - whole), axis, mode="nearest", origin=0)
        target, source = _slices(image.shape[axis], whole, whole + (amount != whole))
        out = np.full_like(moved, np.nan)
        index: list[slice] = [slice(None)] * 2
        start = index.copy()
        index[axis], start[axis] = target, source
        out[tuple(index)] = moved[tuple(start)]
        moved = out
    return moved


def _slices(size: int, whole: int, reach: int) -> tuple[slice, slice]:
    start, stop = min(max(reach, 0), size), max(min(size + whole, size), 0)
    stop = max(start, stop)
    return slice(start, stop), slice(start - whole, stop - whole)


def _taps(fraction: float) -> Floats:
    """Return the filter whose result at pixel n is the image at n - fraction."""
    at = np.arange(-(_TAPS // 2), _TAPS // 2 + 1) + fraction
    inside = np.clip(1 - (at / (_TAPS / 2)) ** 2, 0, None)
    taps = np.sinc(at) * np.i0(_KAISER * np.sqrt(inside)) * (inside > 0)
    return taps / taps.sum()  # type: ignore[no-any-return]
