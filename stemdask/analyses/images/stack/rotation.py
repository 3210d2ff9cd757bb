"""Coordinates turned about the middle of an image, whose pixels stay as they were scanned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import AnyFloats, Floats
from stemdask.model import Variable

_FRAME = ("frame",)
#: Of runs whose coordinates are turned.
ANGLE = Variable(
    "preprocess/rotation",
    _FRAME,
    "float64",
    "degree",
    "turn of displacements and strain, counter-clockwise as displayed",
)
MIDDLE_Y = Variable("preprocess/middle_y", _FRAME, "float64", "nm", "point about which they are turned, along y")
MIDDLE_X = Variable("preprocess/middle_x", _FRAME, "float64", "nm", "point about which they are turned, along x")
TURN = (ANGLE, MIDDLE_Y, MIDDLE_X)


class Turn(NamedTuple):
    """A turn of coordinates (y, x), y downwards, about a point."""

    matrix: Floats
    """(2, 2)"""
    middle: Floats
    """(2,)"""

    @classmethod
    def by(cls, angle: float, y: float, x: float) -> Turn:
        """Return the turn by an angle, degree, counter-clockwise as displayed, about a point."""
        cos, sin = (round(float(f(np.deg2rad(angle))), 15) for f in (np.cos, np.sin))
        return cls(np.array([[cos, -sin], [sin, cos]]), np.array([y, x], float))

    def onto(self, places: AnyFloats) -> Floats:
        """Return places (n, 2) of the image in turned coordinates."""
        return np.asarray((places - self.middle) @ self.matrix.T + self.middle)

    def back(self, places: AnyFloats) -> Floats:
        """Return places (n, 2) of turned coordinates in the image."""
        return np.asarray((places - self.middle) @ self.matrix + self.middle)

    def spread(self, errors: AnyFloats) -> Floats:
        """Return errors (2,), y and x, of what is independent along both, along the turned ones."""
        return np.asarray(np.sqrt(self.matrix**2 @ np.square(errors)))
