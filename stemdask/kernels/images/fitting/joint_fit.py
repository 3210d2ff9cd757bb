"""All columns of an image fitted at once: each with the tails of its neighbours, widths and background shared.

Overlap, not noise, is what ruins the precision of columns that are fitted one by one: the tail of a neighbour pulls
each position, and a displacement comes out too large. Here one model image, a smooth background plus an elliptical
Gaussian for each column, is brought to agree with the measured one in all its pixels. Weights are 1/variance of the
model (Fisher scoring, which for counts is Poisson maximum likelihood); each step solves the normal equations of all
columns together.

The limits of localisation: R. J. Ober et al., Biophys. J. 86 (2004) 1185. Overlapping columns estimated together: A. De
Backer et al., Ultramicroscopy 171 (2016) 104.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import AnyFloats, Floats, Image
from stemdask.kernels.images.fitting.blocks import column_covariances, eliminate_neighbours
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, NOT_CONVERGED, OK, RAN_AWAY, ColumnFit
from stemdask.kernels.images.fitting.constraints import Constraints
from stemdask.kernels.images.fitting.fisher_scoring import FisherScoring
from stemdask.kernels.images.fitting.gaussian import axes_of, moments, render
from stemdask.kernels.images.fitting.local_inverse import position_covariances
from stemdask.kernels.images.fitting.noise import Noise, brightness_range, estimate_noise
from stemdask.kernels.images.fitting.normal_equations import NormalEquations
from stemdask.kernels.images.fitting.overlaps import tile_order
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance
from stemdask.kernels.images.fitting.profile import Profile, estimate_profile
from stemdask.kernels.images.fitting.scene import Scene, State, blank
from stemdask.kernels.images.fitting.smooth import SmoothBasis
from stemdask.kernels.images.fitting.starting_values import continued, guessed

Shape = Literal["gaussian", "empirical"]
Widths = Literal["shared", "map", "free"]
Background = Literal["constant", "spline"]
NoiseKind = Literal["auto", "poisson", "gaussian"]

#: Smallest side of a cell of a spline in mean distances between columns of a sublattice, and the most cells a side.
_BACKGROUND_CELL = (12.0, 8)
_WIDTH_CELL = (24.0, 3)
#: Steps with the first guess of the noise.
_FIRST_LOOK = 2
#: Rounds of profile and fit.
_MOST_PROFILES = 4


def fit_joint(
    image: AnyFloats,
    positions: ArrayLike,
    sublattice: ArrayLike,
    sigma: ArrayLike,
    *,
    noise: NoiseKind | Noise = "auto",
    shape: Shape = "gaussian",
    widths: Widths = "shared",
    background: Background = "spline",
    start: ColumnFit | None = None,
    max_iterations: int = 40,
) -> ColumnFit:
    """Fit all columns of an image together.

    Parameters
    ----------
    image
        (y, x); NaN pixels are left out. Any unit: the result follows a factor and an offset.
    positions
        (n, 2), px, (y, x): where to start, right to about half a width. Columns just outside the image should be
        given too: their tails reach into it. They stay where they are, with amplitudes like their neighbours'.
    sublattice
        (n,), number of each column's sublattice.
    sigma
        Width to start from, px: one, or one for each sublattice number from 0 up. Not used with `start`.
    noise
        "auto" reads from the image how the noise depends on the brightness, "poisson" and "gaussian" give its form, a
        :class:`Noise` gives it whole.
    shape
        "gaussian", or "empirical": a Gaussian and the deviation from it that a sublattice's columns have in common.
    widths
        "shared" by a sublattice, "map": a smooth field for each sublattice, "free": each column its own.
    background
        "constant", or "spline": a smooth field with knots some columns apart.
    start
        A fit of the frame before: its amplitudes, widths and background are the start. Same columns in the same order.
    max_iterations
        Steps after which columns that still move are flagged.

    Returns
    -------
    ColumnFit
        Columns that can't be fitted are flagged and never raise.

    Raises
    ------
    ValueError
        Where the arrays don't belong together.
    """
    fit = _JointFit(image, positions, sublattice, sigma, noise, widths, background, start)
    fit.scoring.run(_FIRST_LOOK)
    fit.renew_noise()
    fit.scoring.run(max_iterations - _FIRST_LOOK)
    if shape == "empirical":
        for _ in range(_MOST_PROFILES):
            if not fit.update_profiles():
                break
            fit.scoring.run(max_iterations)
    return fit.result()


class _JointFit:
    """One joint fit: the image in units of its own contrast, the columns in tile order."""

    def __init__(
        self,
        image: AnyFloats,
        positions: ArrayLike,
        sublattice: ArrayLike,
        sigma: ArrayLike,
        noise: NoiseKind | Noise,
        widths: Widths,
        background: Background,
        start: ColumnFit | None,
    ) -> None:
        given = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
        numbers = np.asarray(sublattice, dtype=np.int8).reshape(-1)
        if len(numbers) != len(given):
            raise ValueError(f"{len(given)} positions but {len(numbers)} sublattices")
        if start is not None and len(start) != len(given):
            raise ValueError(f"{len(given)} positions but a start of {len(start)} columns")
        if np.ndim(image) != 2 or not np.size(image):
            raise ValueError(f"an image has rows and columns of pixels, not the shape {np.shape(image)}")
        self.given, self.numbers, self.noise_kind = given, numbers, noise
        self.kinds, index = np.unique(numbers, return_inverse=True)
        usable = np.flatnonzero(np.isfinite(given).all(axis=1))
        self.order = usable[tile_order(given[usable])]
        self.n = len(self.order)

        self.offset, self.scale = brightness_range(image)
        flat = self.scale == 0.0
        self.scale = self.scale or 1.0
        scaled = ((np.asarray(image, dtype=np.float64) - self.offset) / self.scale).astype(np.float32)
        scaled[~np.isfinite(scaled)] = np.nan
        field = (scaled.shape[0], scaled.shape[1])
        spacing = float(np.sqrt(max(scaled.size, 1) * max(len(self.kinds), 1) / max(self.n, 1)))
        constant = SmoothBasis(field, (0, 0))
        ground = SmoothBasis.of(field, _BACKGROUND_CELL[0] * spacing, _BACKGROUND_CELL[1])
        map_ = SmoothBasis.of(field, _WIDTH_CELL[0] * spacing, _WIDTH_CELL[1])
        self.scene = Scene(
            scaled,
            index[self.order].astype(np.intp),
            max(len(self.kinds), 1),
            ground if background == "spline" else constant,
            {"shared": constant, "map": map_, "free": None}[widths],
            Noise(0.0, 1.0),
        )
        state = self._start(np.atleast_1d(np.asarray(sigma, dtype=np.float64)), start)
        covered = np.empty((self.n, 6))
        moments(np.isfinite(scaled).astype(np.float32), state.positions, state.precision, 2, True, covered)
        whole = 2.0 * np.pi / np.sqrt(np.linalg.det(state.precision[:, [0, 1, 1, 2]].reshape(-1, 2, 2)))
        held = Constraints.of(
            state.positions,
            state.width,
            covered[:, 0] / whole,
            self.scene.sublattice,
            self.order,
            field,
            6 if widths == "free" else 3,
        )
        if flat:
            held.give_up(np.ones(self.n, dtype=bool), NO_SIGNAL)
            state.amplitude[:] = 0.0
        state.amplitude[held.dropped] = 0.0
        self.scoring = FisherScoring(self.scene, held, state)
        self.scene.set_noise(self._noise(None))
        # Beside a column that isn't there to be fitted the pixels say nothing but that it's not quite where it was put.
        blank(self.scene.image, state.positions[held.ghosts], 0.5 * held.spacing[held.ghosts])

    def _start(self, sigma: Floats, start: ColumnFit | None) -> State:
        positions = self.given[self.order].copy()
        if start is not None and len(start):
            return continued(self.scene, positions, start, self.order, self.offset, self.scale)
        kinds = self.kinds[self.scene.sublattice] if self.n else np.zeros(0, dtype=np.int8)
        return guessed(self.scene, positions, sigma[np.clip(kinds, 0, len(sigma) - 1)])

    def _noise(self, model: Image | None) -> Noise:
        """Return the noise in units of the scaled image."""
        if isinstance(self.noise_kind, Noise):
            noise = self.noise_kind
        else:
            sigma = float(np.median(self.scoring.state.width)) if self.n else 3.0
            lift = np.float32(self.offset / self.scale)  # counts start at 0, not at the dark level
            lifted = None if model is None else model + lift
            found = estimate_noise(self.scene.image + lift, lifted, kind=self.noise_kind, sigma=sigma)
            return Noise(found.gain, found.readout + found.gain * float(lift), found.correlation)
        readout = (noise.gain * self.offset + noise.readout) / self.scale**2
        return Noise(noise.gain / self.scale, readout, noise.correlation)

    def renew_noise(self) -> None:
        """Estimate the noise anew from what the present model leaves over."""
        self.scene.set_noise(self._noise(self.scene.model))

    def update_profiles(self) -> bool:
        """Estimate each sublattice's deviation from the Gaussian anew; return whether it changed by more than 0.1 %."""
        scene, state, changed = self.scene, self.scoring.state, False
        self.scoring.fields_held = (
            True  # the profiles are found for these widths and this background, and could replace them
        )
        residual, columns = np.nan_to_num(scene.image - scene.model), np.zeros_like(scene.image)
        render(columns, state.positions, state.amplitude, state.precision)
        good = self.scoring.held.inside & (self.scoring.held.flag == OK)
        for s, of in enumerate(scene.of):
            used = of[good[of]]
            if len(used) < 20:
                continue
            reach = 3.5 * float(np.mean(state.width[used]))
            table = estimate_profile(
                residual,
                scene.weight,
                columns,
                state.positions[used],
                state.amplitude[used],
                state.precision[used],
                reach,
            ).table
            old = scene.profiles.get(s)
            if old is not None and old.table.shape == table.shape:
                changed |= bool(np.max(np.abs(table)) > 1e-3)
                table = old.table + table
            else:
                changed = True
            scene.profiles[s] = Profile(table)
        return changed

    def result(self) -> ColumnFit:
        """Return the columns in the order given, in units of the image, with their errors."""
        scoring, scene, n = self.scoring, self.scene, self.n
        state, held = scoring.state, scoring.held
        deviation, chi2 = np.full((n, 3), np.nan), np.full(n, np.nan)
        noise = scene.noise
        together = PositionCovariance.independent(deviation[:, 1:])
        if n and scoring.equations is not None:
            chi2 = scene.reduced_chi2(state.positions, 2.0 * state.width)
            blocks, together = covariances(scoring.equations)
            with np.errstate(invalid="ignore"):
                deviation = np.sqrt(blocks[:, :3, :3].diagonal(axis1=1, axis2=2) * noise.correlation)
            deviation[~held.free[:, :3] | ~(deviation > 0.0)] = np.nan
            weak = held.free[:, 0] & ~(state.amplitude > deviation[:, 0])
            weak |= held.free[:, 1] & ~np.isfinite(deviation).all(axis=1)
            held.flag[weak & (held.flag != RAN_AWAY)] = NO_SIGNAL
            held.flag[(scoring.moved > 0.2) & (held.flag == OK)] = NOT_CONVERGED
        known = np.where(np.isfinite(deviation).all(axis=1), self.order, -1)
        together = together.transformed(np.sqrt(noise.correlation) * np.eye(2)).renumbered(known, len(self.given))
        major, minor, rotation = axes_of(state.precision)
        ground = state.coefficients[: scene.background.size]

        def spread(values: Floats) -> Floats:
            out = np.full((len(self.given), *values.shape[1:]), np.nan)
            out[self.order] = values
            return out

        positions, flag = self.given.copy(), np.full(len(self.given), NO_SIGNAL, dtype=np.int8)
        positions[self.order], flag[self.order] = state.positions, held.flag
        return ColumnFit(
            positions=positions,
            errors=spread(deviation[:, 1:]),
            fitted_covariance=together,
            amplitude=spread(state.amplitude * self.scale),
            amplitude_err=spread(deviation[:, 0] * self.scale),
            sigma_major=spread(major),
            sigma_minor=spread(minor),
            rotation=spread(rotation),
            background=spread(scene.background.values(ground, state.positions) * self.scale + self.offset),
            reduced_chi2=spread(chi2),
            flag=flag,
            noise=Noise(
                noise.gain * self.scale,
                noise.readout * self.scale**2 - noise.gain * self.scale * self.offset,
                noise.correlation,
            ),
            iterations=scoring.iterations,
            sublattice=self.numbers,
            background_basis=scene.background,
            background_coefficients=ground * self.scale + self.offset,
            profiles={int(self.kinds[s]): profile for s, profile in scene.profiles.items()},
        )


def covariances(equations: NormalEquations) -> tuple[Floats, PositionCovariance]:
    """Return each column's block of the inverse of the matrix, and the covariance of the positions."""
    pairs, coupling, reduced = equations.pairs, equations.coupling, equations.own.copy()
    absorbed = np.zeros((len(pairs), 2, *reduced.shape[1:]))
    eliminate_neighbours(equations.inverse, pairs, coupling, reduced, absorbed)
    blocks = np.empty_like(reduced)
    column_covariances(reduced, equations.border, equations.patch, equations.field_covariance(), blocks)
    alone, between = np.empty((len(reduced), 2, 2)), np.empty((len(pairs), 2, 2))
    position_covariances(reduced, absorbed, pairs, coupling, alone, between)
    return blocks, PositionCovariance(alone, pairs.astype(np.intp), between)
