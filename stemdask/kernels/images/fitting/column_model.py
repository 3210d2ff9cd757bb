"""What the columns of an image and the background under them may look like."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.fitting.aberrations import N_TERMS
from stemdask.kernels.images.fitting.column_fit import ColumnFit

Shape = Literal["auto", "gaussian", "empirical"]
Widths = Literal["shared", "alike", "map", "free"]
Background = Literal["constant", "spline"]
NoiseKind = Literal["auto", "poisson", "gaussian"]


class KnownShape(NamedTuple):
    """How all columns deviate from Gaussians."""

    kurtosis: float
    coma_y: float
    coma_x: float
    halo: float | None = 0.0
    """The part of their counts that lies in their halo; None where only the image can tell."""

    @classmethod
    def of(cls, columns: ColumnFit) -> KnownShape:
        """Return the shape of columns that were fitted."""
        kurtosis, coma_y, coma_x = columns.shape_terms.tolist()
        return cls(kurtosis, coma_y, coma_x, columns.halo)

    @property
    def terms(self) -> Floats:
        """(3,), without the halo."""
        return np.array(self[:N_TERMS])


class ColumnModel(NamedTuple):
    """What the columns of an image and the background under them may look like."""

    shape: Shape | KnownShape = "auto"
    """A Gaussian, "empirical": with the deviation from it that all columns have in common, "auto": which of the two
    the image asks for, or what is known of them."""
    widths: Widths = "shared"
    """One ellipse, wider or narrower by one factor for each further sublattice, or "alike" for all; "map": it varies
    smoothly over the image; or "free": each column its own."""
    background: Background = "spline"
    """A smooth field with knots many columns apart, or as near as the level between columns asks for; or "constant"."""
    uneven: bool = False
    """Whether the level between columns is known to vary from cell to cell; else the image is asked."""


USUAL = ColumnModel()
