"""What a fit of columns returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Booleans, Codes, Floats, Image
from stemdask.kernels.images.fitting.aberrations import N_TERMS
from stemdask.kernels.images.fitting.ellipses import precision_of
from stemdask.kernels.images.fitting.halo import add_columns
from stemdask.kernels.images.fitting.noise import Noise
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance
from stemdask.kernels.images.fitting.smooth import SmoothBasis

#: Values of :attr:`ColumnFit.flag`, and what they mean.
OK, NOT_CONVERGED, RAN_AWAY, AT_BORDER, NO_SIGNAL, WEAK = 0, 1, 2, 3, 4, 5
FLAG_MEANINGS = ("ok", "not_converged", "ran_away", "at_border", "no_signal", "weak")


@dataclass(frozen=True)
class ColumnFit:
    """Columns of one image; n of them, in the order of the positions that the fit was given. Lengths in px.

    Attributes
    ----------
    positions, errors
        (n, 2), (y, x) and their standard errors.
    amplitude, amplitude_err
        (n,), height of the Gaussian above the background, in units of the image. A column of a shape is 1 + s times as
        high in its middle, s being the first of the terms, and lower by what is in its halo; its integral is that of
        the Gaussian.
    sigma_major, sigma_minor, rotation
        (n,), widths and the angle of the major axis in rad, counter-clockwise from +x as displayed.
    background
        (n,), the background under each column.
    reduced_chi2
        (n,), mean squared residual over its expectation within two widths of the centre.
    flag
        (n,) int8: 0 ok, 1 not converged, 2 ran away from its start (which is returned, moved as its like are), 3 at the
        border of the image or beyond it, 4 no signal (no positive amplitude, or no pixel that counts), 5 weak: as good
        as "ok", its error says how good, but less than half as high as columns of its sublattice around it (partly
        empty, thinner, or of another element).
    noise
        The noise that the errors follow from.
    iterations
        Steps of the fit.
    sublattice
        (n,), as given.
    background_basis, background_coefficients
        The background as a field of the whole image; without it each column's own background can't be drawn.
    uneven
        Whether the level between the columns, as by contamination, varies by more than a smooth background does, which
        then follows it from cell to cell; of a constant background, whether it varies by more than a little.
    shape_terms
        (3,), how all columns deviate from a Gaussian: see :mod:`aberrations`.
    halo
        The part of the counts of every column that lies in its halo: see :mod:`halo`.
    halo_err
        Its standard error; NaN where the image wasn't asked.
    asymmetry
        (2,), px, from the columns' centres of mass to where they are brightest, the same for all: coma moves all
        columns alike. Positions are where they are brightest.
    fitted_covariance
        Of the positions, px², where the fit knows more than the errors: see :attr:`covariance`.
    """

    positions: Floats
    errors: Floats
    amplitude: Floats
    amplitude_err: Floats
    sigma_major: Floats
    sigma_minor: Floats
    rotation: Floats
    background: Floats
    reduced_chi2: Floats
    flag: Codes
    noise: Noise
    iterations: int
    sublattice: AnyIntegers
    background_basis: SmoothBasis | None = None
    background_coefficients: Floats | None = None
    uneven: bool = False
    shape_terms: Floats = field(default_factory=lambda: np.zeros(N_TERMS))
    halo: float = 0.0
    halo_err: float = np.nan
    asymmetry: Floats = field(default_factory=lambda: np.zeros(2))
    fitted_covariance: PositionCovariance | None = None

    def __len__(self) -> int:
        return len(self.amplitude)

    @property
    def good(self) -> Booleans:
        """(n,), whether the fit of a column ended well; weak columns are columns."""
        return np.isin(self.flag, (OK, WEAK))

    @property
    def covariance(self) -> PositionCovariance:
        """Covariance of the positions, px²; NaN and no pairs where there are no errors.

        A joint fit gives that of columns that overlap too; its diagonal agrees with the errors to about 1 % (and is the
        more exact where columns overlap strongly). Columns fitted by themselves are independent.
        """
        known = self.fitted_covariance
        return PositionCovariance.independent(self.errors) if known is None else known

    @property
    def precision(self) -> Floats:
        """(n, 3), px⁻²: the widths as coefficients of dy², dy·dx and dx² (see :mod:`gaussian`)."""
        return precision_of(self.sigma_major, self.sigma_minor, self.rotation)

    def model(self, shape: tuple[int, int]) -> Image:
        """Return the fitted image; the residual image is the image minus this.

        Raises
        ------
        ValueError
            Where the background was fitted for other rows and columns than `shape`.
        """
        if self.background_basis is None or self.background_coefficients is None:
            known = self.background[np.isfinite(self.background)]
            image = np.full(shape, np.median(known) if len(known) else 0.0, dtype=np.float32)
        elif self.background_basis.shape != tuple(shape):
            raise ValueError(f"the fit is of an image of {self.background_basis.shape} pixels, not {tuple(shape)}")
        else:
            image = self.background_basis.image(self.background_coefficients)
        middle = self.positions - self.asymmetry
        add_columns(image, middle, self.amplitude, self.precision, self.shape_terms, self.halo)
        return image
