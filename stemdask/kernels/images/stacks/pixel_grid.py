"""Pixels that were cropped, turned or made finer, and where each of them lies in the image they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from stemdask.kernels.arrays import AnyFloats, Floats


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """The place of new pixels in their source: source = matrix @ new + origin; px, (y, x)."""

    matrix: Floats
    """(2, 2)"""
    origin: Floats
    """(2,)"""

    def to_source(self, points: AnyFloats) -> Floats:
        """Return points (n, 2) of the new pixels as points of the source."""
        placed: Floats = points @ self.matrix.T + self.origin
        return placed

    def from_source(self, points: AnyFloats) -> Floats:
        """Return points (n, 2) of the source as points of the new pixels."""
        placed: Floats = (points - self.origin) @ np.linalg.inv(self.matrix).T
        return placed


def crop(image: AnyFloats, box: tuple[int, int, int, int]) -> tuple[AnyFloats, PixelGrid]:
    """Cut out the rows and columns (top, left, bottom, right), the last two exclusive, as far as they exist."""
    top, left = (min(max(edge, 0), size) for edge, size in zip(box[:2], image.shape, strict=True))
    return image[top : max(box[2], top), left : max(box[3], left)], PixelGrid(np.eye(2), np.array([top, left], float))


def turn(image: AnyFloats, angle: float, upsample: int = 1) -> tuple[AnyFloats, PixelGrid]:
    """Turn an image and make its pixels finer, by cubic splines.

    Parameters
    ----------
    image
        (ny, nx); missing pixels are NaN.
    angle
        Degree, counter-clockwise as displayed (y down).
    upsample
        New pixels along each old one.

    Returns
    -------
    image
        Large enough for every corner, of the same dtype; NaN where the source has nothing.
    grid
        Where the new pixels lie.

    Notes
    -----
    An upright image keeps its own pixels: every `upsample`-th new one is an old one. Interpolated pixels aren't
    independent: a fit to them finds the same positions and states errors that are too small by about `upsample`.
    """
    cos, sin = (round(f(np.deg2rad(angle)), 15) for f in (np.cos, np.sin))
    back = np.array([[cos, sin], [-sin, cos]])
    last = np.array(image.shape, float) - 1
    corners = np.array([[0, 0], [0, last[1]], [last[0], 0], last]) @ back  # the turned corners: inverse of `back`
    size = np.floor(upsample * (corners.max(axis=0) - corners.min(axis=0)) + 1 + 1e-9).astype(int)
    matrix = back / upsample
    origin = back @ corners.min(axis=0)
    grid = PixelGrid(matrix, origin)
    finite = np.isfinite(image)
    filled = image if finite.all() else np.where(finite, image, image[finite].mean() if finite.any() else 0)
    options = {"offset": origin, "output_shape": tuple(size), "mode": "constant"}
    turned = scipy.ndimage.affine_transform(filled, matrix, order=3, cval=np.nan, output=image.dtype, **options)
    if not finite.all():
        turned[scipy.ndimage.affine_transform((~finite).astype(np.float32), matrix, order=1, **options) > 1e-3] = np.nan
    return turned, grid
