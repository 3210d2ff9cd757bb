"""What a fit of columns returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.images.fitting.gaussian import precision_of, render
from stemdask.kernels.images.fitting.noise import Noise
from stemdask.kernels.images.fitting.profile import Profile
from stemdask.kernels.images.fitting.smooth import SmoothBasis

Float = NDArray[np.float64]

#: Values of :attr:`ColumnFit.flag`, and what they mean.
OK, NOT_CONVERGED, RAN_AWAY, AT_BORDER, NO_SIGNAL = 0, 1, 2, 3, 4
FLAG_MEANINGS = ("ok", "not_converged", "ran_away", "at_border", "no_signal")


@dataclass(frozen=True)
class ColumnFit:
    """Columns of one image; n of them, in the order of the positions that the fit was given. Lengths in px.

    Attributes
    ----------
    positions, errors
        (n, 2), (y, x) and their standard errors.
    amplitude, amplitude_err
        (n,), height of the peak above the background, in units of the image.
    sigma_major, sigma_minor, rotation
        (n,), widths and the angle of the major axis in rad, counter-clockwise from +x as displayed.
    background
        (n,), the background under each column.
    reduced_chi2
        (n,), mean squared residual over its expectation within two widths of the centre.
    flag
        (n,) int8: 0 ok, 1 not converged, 2 ran away from its start (which is returned), 3 at the border of the image
        or beyond it, 4 no signal (no positive amplitude, or no pixel that counts).
    noise
        The noise that the errors follow from.
    iterations
        Steps of the fit.
    sublattice
        (n,), as given.
    background_basis, background_coefficients
        The background as a field of the whole image; without it each column's own background can't be drawn.
    profiles
        For each sublattice how its columns deviate from a Gaussian.
    """

    positions: Float
    errors: Float
    amplitude: Float
    amplitude_err: Float
    sigma_major: Float
    sigma_minor: Float
    rotation: Float
    background: Float
    reduced_chi2: Float
    flag: NDArray[np.int8]
    noise: Noise
    iterations: int
    sublattice: NDArray[np.int8]
    background_basis: SmoothBasis | None = None
    background_coefficients: Float | None = None
    profiles: dict[int, Profile] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.amplitude)

    @property
    def precision(self) -> Float:
        """(n, 3), px⁻²: the widths as coefficients of dy², dy·dx and dx² (see :mod:`gaussian`)."""
        return precision_of(self.sigma_major, self.sigma_minor, self.rotation)

    def model(self, shape: tuple[int, int]) -> NDArray[np.float32]:
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
        render(image, self.positions, self.amplitude, self.precision)
        for number, profile in self.profiles.items():
            of = self.sublattice == number
            profile.render(image, self.positions[of], self.amplitude[of])
        return image
