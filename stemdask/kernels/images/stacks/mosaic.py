"""What the frames of a drifting stack show together: their average, on a grid that grows with the drift."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import AnyFloats, Image
from stemdask.kernels.images.stacks.shift_image import shift_image

#: Fields that the grid may grow to: a drift that leads further isn't that of one area, and memory has an end.
_MOST_FIELDS = 16


class Mosaic:
    """The mean of aligned images wherever at least one of them has a value.

    Parameters
    ----------
    image
        (ny, nx), whose place is the origin; NaN where a pixel is missing.

    Examples
    --------
    >>> mosaic = Mosaic(np.array([[1.0, 2.0, 3.0]]))
    >>> mosaic.add(np.array([[4.0, 5.0, 6.0]]), (0.0, -1.0))
    >>> mosaic.mean(), mosaic.first
    (array([[1., 3., 4., 6.]], dtype=float32), (0, 0))
    """

    def __init__(self, image: AnyFloats) -> None:
        self.first = (0, 0)
        """Place (y, x) of the first pixel of the mean, px from that of the first image."""
        finite = np.isfinite(image)
        self._total = np.where(finite, image, 0.0).astype(np.float32)
        self._count = finite.astype(np.int32)

    def add(self, image: AnyFloats, shift: tuple[float, float]) -> None:
        """Add an image (ny, nx) whose content has drifted by `shift`, px, (y, x)."""
        whole = np.rint(shift).astype(np.int64)
        before = np.maximum(self.first + whole, 0)
        after = np.maximum(np.array(image.shape) - whole - self.first - self._total.shape, 0)
        if np.prod(before + self._total.shape + after) > _MOST_FIELDS * image.size:
            return
        if before.any() or after.any():
            room = np.column_stack([before, after])
            self._total, self._count = np.pad(self._total, room), np.pad(self._count, room)
            self.first = (self.first[0] - int(before[0]), self.first[1] - int(before[1]))
        moved = shift_image(image, (float(whole[0] - shift[0]), float(whole[1] - shift[1])))
        finite = np.isfinite(moved)
        at = tuple(slice(a, a + n) for a, n in zip(-whole - self.first, image.shape, strict=True))
        self._total[at] += np.where(finite, moved, 0.0).astype(np.float32)
        self._count[at] += finite

    def mean(self) -> Image:
        """Return the mean (ny, nx), NaN where no image has a value."""
        return np.where(self._count > 0, self._total / np.maximum(self._count, 1), np.nan).astype(np.float32)
