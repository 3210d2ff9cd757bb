"""One joint fit of an image by one model: the image in units of its own contrast, the columns in tile order."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import AnyFloats, Floats, Image, Indices
from stemdask.kernels.images.fitting.aberrations import N_TERMS
from stemdask.kernels.images.fitting.blocks import column_covariances, eliminate_neighbours
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, NOT_CONVERGED, OK, RAN_AWAY, WEAK, ColumnFit
from stemdask.kernels.images.fitting.column_model import ColumnModel, KnownShape, NoiseKind
from stemdask.kernels.images.fitting.constraints import Constraints
from stemdask.kernels.images.fitting.ellipses import axes_of
from stemdask.kernels.images.fitting.fisher_scoring import FisherScoring
from stemdask.kernels.images.fitting.gaussian import moments
from stemdask.kernels.images.fitting.ground import unevenness
from stemdask.kernels.images.fitting.halo import SPREAD
from stemdask.kernels.images.fitting.local_inverse import position_covariances
from stemdask.kernels.images.fitting.noise import Noise, brightness_range, estimate_noise
from stemdask.kernels.images.fitting.normal_equations import NormalEquations
from stemdask.kernels.images.fitting.overlaps import tile_order
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance
from stemdask.kernels.images.fitting.scene import Scene, State, blank
from stemdask.kernels.images.fitting.smooth import SmoothBasis
from stemdask.kernels.images.fitting.starting_values import continued, guessed

#: Smallest side of a cell of a spline in mean distances between columns of a sublattice, and the most cells a side.
_BACKGROUND_CELL, _FINE_CELL = (12.0, 8), (1.5, 12)
_WIDTH_CELL = (24.0, 3)
#: Steps after which columns that still move are flagged.
_MOST_STEPS = 40
#: How often at most an image is asked for the shape of its columns, step by step.
_MOST_LOOKS = 4
#: A column is weak below this part of the median amplitude of so many columns of its sublattice around it.
_WEAK, _AROUND = 0.5, 16
#: How often a fit is brought to rest at the most, while it changes which pixels it doubts.
_ROUNDS = 3
#: By how much chi² must fall, in units of what chance makes of it, for columns to be taken as other than Gaussians.
_EVIDENCE = 40.0
#: A halo is taken where it's more than so many standard errors; it holds this part at the most.
_CLEAR, _MOST_HALO = 1.5, 0.3
#: How often columns and halo are brought to agree, each time by a factor of about the halo's part.
_SPREADS = 2
#: They agree where the fit is at rest after so many steps.
_AT_REST = 2
#: Pixels that are trusted less than this are doubted; where they are more than this part of the image, a level that is
#: this uneven is in question.
_TRUSTED, _MUCH, _IN_QUESTION = 0.99, 0.1, 0.6
#: Trust in pixels at the border where the halo is looked for.
_RIM_TRUST = 1e-3


class ImageFit:
    """One joint fit: the image in units of its own contrast, the columns in tile order."""

    def __init__(
        self,
        image: AnyFloats,
        positions: ArrayLike,
        sublattice: ArrayLike,
        sigma: ArrayLike,
        noise: NoiseKind | Noise,
        model: ColumnModel,
        start: ColumnFit | None,
        held: ArrayLike | None,
    ) -> None:
        self._arguments = (image, positions, sublattice, sigma, noise), (start, held)
        self.given = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
        self.numbers = np.asarray(sublattice, dtype=np.int16).reshape(-1)
        if len(self.numbers) != len(self.given):
            raise ValueError(f"{len(self.given)} positions but {len(self.numbers)} sublattices")
        if start is not None and len(start) != len(self.given):
            raise ValueError(f"{len(self.given)} positions but a start of {len(start)} columns")
        self.held = np.zeros(len(self.given), dtype=bool) if held is None else np.asarray(held, dtype=bool).reshape(-1)
        if len(self.held) != len(self.given):
            raise ValueError(f"{len(self.given)} positions but {len(self.held)} that are held or not")
        if np.ndim(image) != 2 or not np.size(image):
            raise ValueError(f"an image has rows and columns of pixels, not the shape {np.shape(image)}")
        self.model, self.noise, self.near = model, noise, start is not None
        self.uneven = model.uneven or (start is not None and start.uneven)
        self.has_no_halo, self.halo_err = start is not None and not start.halo, np.nan
        usable = np.flatnonzero(np.isfinite(self.given).all(axis=1))
        self.order = usable[tile_order(self.given[usable])]
        self.n = len(self.order)
        self.offset, contrast = brightness_range(image)
        self.scale = contrast or 1.0
        if isinstance(model.shape, KnownShape):
            self.scene = self._scene(image, shaped=False, known=model.shape.terms)
        else:
            before = start is not None and bool(start.shape_terms.any())
            shaped = model.shape == "empirical" or (model.shape == "auto" and before)
            self.scene = self._scene(image, shaped, np.zeros(N_TERMS))
        state = self._start(np.atleast_1d(np.asarray(sigma, dtype=np.float64)), start)
        constraints = self._constraints(state)
        if contrast == 0.0:
            constraints.give_up(np.ones(self.n, dtype=bool), NO_SIGNAL)
            state.amplitude[:] = 0.0
        state.amplitude[constraints.dropped] = 0.0
        self.scoring = FisherScoring(self.scene, constraints, state)
        self.scene.set_noise(self._noise(None))
        # Beside a column that isn't there to be fitted the pixels say nothing but that it's not quite where it was put.
        ghosts = constraints.ghosts
        blank(self.scene.image, state.positions[ghosts], 0.5 * constraints.spacing[ghosts])
        self.scoring.begin()

    def anew(self, model: ColumnModel) -> ImageFit:
        """Return the same fit with another model, from its start."""
        before, after = self._arguments
        return ImageFit(*before, model, *after)

    def run(self) -> None:
        """Bring the model to the image."""
        if not self.near:
            self.approach()
        if isinstance(self.model.shape, KnownShape) and self.model.shape.halo:
            self.scene.halo = self.model.shape.halo
            self.scene.draw_halo(self.scoring.state)
            self.scoring.begin()
        self.renew_noise()
        self.doubt()
        for _ in range(_ROUNDS):
            before = self.scoring.iterations
            self.scoring.run(_MOST_STEPS)
            at_its_end = self.scoring.iterations - before == _MOST_STEPS or self.scene.unlike(self.scoring.state)
            if at_its_end or not (self.doubt() | self.scoring.carry_held()):
                break
        self.find_halo()
        self.scoring.conclude()

    def find_halo(self) -> None:
        """Let a part of the columns' counts be in their halo, that which the image asks for or that is known."""
        model, scene = self.model, self.scene
        if isinstance(model.shape, KnownShape) and model.shape.halo is not None:
            self._spread(model.shape.halo)
            return
        even = model.background == "spline" and not self.follows_cells and not scene.unlike(self.scoring.state)
        if model.shape == "gaussian" or not even or not self.n or self.has_no_halo:
            return  # the tails of columns can't be told from contamination between them
        part, error = self._halo_lacking()
        self.halo_err = error
        # What asks for more than a halo can hold is none: nothing that this model knows.
        if _CLEAR * error < part < _MOST_HALO + _CLEAR * error:
            self._spread(part / (1.0 + (error / SPREAD) ** 2))

    def _halo_lacking(self) -> tuple[float, float]:
        """Return by how much the halo is too small, and the standard error, as pixels away from the border tell it.

        Columns beyond the border, whose tails reach in, are hardly known.
        """
        scene, scoring = self.scene, self.scoring
        spacing = scoring.constraints.spacing[scoring.constraints.inside]
        if not np.isfinite(spacing).any():
            return 0.0, np.inf
        rim = int(np.median(spacing[np.isfinite(spacing)]))
        trust = scene.trust
        scene.trust = np.float32(_RIM_TRUST) * trust
        away = (slice(rim, -rim), slice(rim, -rim))
        scene.trust[away] = trust[away]
        scoring.begin()
        found = scoring.lacking(scene.redistributed(scoring.state))
        scene.trust = trust
        scoring.begin()
        return found

    def _spread(self, part: float) -> None:
        """Bring the columns to the image with this part of their counts in their halo."""
        if not part:
            return
        self.scene.halo = part
        for _ in range(_SPREADS):
            before = self.scoring.iterations
            self.scene.draw_halo(self.scoring.state)
            self.scoring.begin()
            self.scoring.run(_MOST_STEPS)
            if self.scoring.iterations - before <= _AT_REST:
                break
        self.scene.draw_halo(self.scoring.state)
        self.scoring.begin()

    def approach(self) -> None:
        """Take the first steps, after which it's decided whether the columns share a shape."""
        # What columns share replaces one another as long as they aren't in their places.
        self.scoring.run(1, alone=True)
        self.renew_noise()
        self.doubt()
        for _ in range(_MOST_LOOKS):
            decided = self.choose_shape()
            self.scoring.run(1)
            if decided or self.scene.unlike(self.scoring.state):
                break
        self.near = True

    def _scene(self, image: AnyFloats, shaped: bool, known: Floats) -> Scene:
        """Scale the image and lay fields over it whose cells hold some columns each."""
        scaled = ((np.asarray(image, dtype=np.float64) - self.offset) / self.scale).astype(np.float32, order="C")
        scaled[~np.isfinite(scaled)] = np.nan
        field = (scaled.shape[0], scaled.shape[1])
        self.kinds, index = np.unique(self.numbers, return_inverse=True)
        self.kind = index[self.order].astype(np.intp)
        n_sublattices = max(len(self.kinds), 1)
        spacing = float(np.sqrt(max(scaled.size, 1) * n_sublattices / max(self.n, 1)))
        alike = self.model.widths == "alike"
        constant = SmoothBasis(field, (0, 0))
        map_ = SmoothBasis.of(field, _WIDTH_CELL[0] * spacing, _WIDTH_CELL[1])
        return Scene(
            scaled,
            np.zeros_like(self.kind) if alike else self.kind,
            1 if alike else n_sublattices,
            self._ground(scaled, spacing),
            {"shared": constant, "alike": constant, "map": map_, "free": None}[self.model.widths],
            Noise(0.0, 1.0),
            shaped,
            known,
        )

    def _ground(self, image: Image, spacing: float) -> SmoothBasis:
        """Return splines of the background, with knots as near as the level between the columns asks for."""
        field = (image.shape[0], image.shape[1])
        is_constant = self.model.background == "constant"
        wide = SmoothBasis.of(field, _BACKGROUND_CELL[0] * spacing, _BACKGROUND_CELL[1])
        wide = SmoothBasis(field, (0, 0)) if is_constant else wide
        self.unevenness = unevenness(image, self.given[self.order], spacing, wide)
        self.uneven |= self.unevenness > 1.0
        self.follows_cells = self.uneven and not is_constant
        return SmoothBasis.of(field, _FINE_CELL[0] * spacing, _FINE_CELL[1]) if self.follows_cells else wide

    def _constraints(self, state: State) -> Constraints:
        """Return what holds the columns; how much of each is visible follows from the pixels that count."""
        covered = np.empty((self.n, 6))
        counts = np.isfinite(self.scene.image).astype(np.float32)
        moments(counts, state.positions, state.precision, 2, True, covered)
        whole = 2.0 * np.pi / np.sqrt(np.linalg.det(state.precision[:, [0, 1, 1, 2]].reshape(-1, 2, 2)))
        return Constraints.from_columns(
            state.positions,
            state.width,
            covered[:, 0] / whole,
            self.kind,
            self.order,
            self.scene.background.shape,
            6 if self.model.widths == "free" else 3,
            self.held[self.order],
        )

    def _start(self, sigma: Floats, start: ColumnFit | None) -> State:
        positions = self.given[self.order].copy()
        if start is not None and len(start):
            return continued(self.scene, positions, start, self.order, self.offset, self.scale)
        kinds = self.kinds[self.kind] if self.n else np.zeros(0, dtype=np.int16)
        return guessed(self.scene, positions, sigma[np.clip(kinds, 0, len(sigma) - 1)])

    def _noise(self, model: Image | None) -> Noise:
        """Return the noise in units of the scaled image."""
        noise = self.noise
        if not isinstance(noise, Noise):
            sigma = float(np.median(self.scoring.state.width)) if self.n else 3.0
            lift = np.float32(self.offset / self.scale)  # counts start at 0, not at the dark level
            lifted = None if model is None else model + lift
            kind: NoiseKind = "gaussian" if lifted is None else noise
            found = estimate_noise(self.scene.undoubted() + lift, lifted, kind=kind, sigma=sigma)
            return Noise(found.gain, found.readout + found.gain * float(lift), found.correlation)
        readout = (noise.gain * self.offset + noise.readout) / self.scale**2
        return Noise(noise.gain / self.scale, readout, noise.correlation)

    def renew_noise(self) -> None:
        """Estimate the noise anew from what the present model leaves over."""
        self.scene.set_noise(self._noise(self.scene.model))
        self.scoring.begin()

    def doubt(self) -> bool:
        """Let pixels count for less that the present model doesn't explain; tell whether that is news."""
        of, near = self._fitted()
        if not np.isfinite(near) or not self.scene.doubt(self.scoring.state.positions[of], near):
            return False
        self.renew_noise()
        return True

    def _fitted(self) -> tuple[Indices, float]:
        """Return which columns move within the image, and how far they usually are from the next one, px."""
        constraints = self.scoring.constraints
        of = np.flatnonzero(constraints.inside & ~constraints.held)
        return of, float(np.median(constraints.spacing[of])) if len(of) else np.inf

    @property
    def doubted(self) -> float:
        """Part of the pixels that aren't trusted."""
        return float(np.mean(self.scene.trust < _TRUSTED))

    @property
    def may_be_uneven(self) -> bool:
        """Whether much is doubted where a smooth level is in question, but was taken."""
        in_question = self.unevenness > _IN_QUESTION and self.model.background == "spline"
        return in_question and not self.uneven and self.doubted > _MUCH

    def choose_shape(self) -> bool:
        """Let the columns share a shape if the image says clearly that they aren't Gaussians; tell if it's decided."""
        if not self.n or self.model.shape != "auto" or self.scene.shaped or self.follows_cells:
            return True  # the tails of columns can't be told from contamination between them
        return self.scoring.choose_shape(_EVIDENCE)

    def _errors(self) -> tuple[Floats, PositionCovariance]:
        """Return standard errors of amplitude, y and x (n, 3), in units of the scaled image, and their covariance."""
        constraints, correlation = self.scoring.constraints, self.scene.noise.correlation
        if not self.n or self.scoring.equations is None:
            unknown = np.full((self.n, 3), np.nan)
            return unknown, PositionCovariance.independent(unknown[:, 1:])
        blocks, covariance = covariances(self.scoring.equations)
        # What lies in its halo tells hardly anything of where a column is.
        factor = float(np.sqrt(correlation)) / (1.0 - self.scene.halo)
        with np.errstate(invalid="ignore"):
            errors = factor * np.sqrt(blocks[:, :3, :3].diagonal(axis1=1, axis2=2))
        errors[~constraints.free[:, :3] | ~(errors > 0.0)] = np.nan
        # Next to what the model doesn't know, noise is not what moves columns most.
        more, (of, near) = np.ones(self.n), self._fitted()
        if np.isfinite(near):
            more[of] = np.sqrt(self.scene.misfit(self.scoring.state, of, near))
        errors[:, 1:] *= more[:, None]
        return errors, covariance.transformed(factor * np.eye(2)).times(more)

    def _flag(self, errors: Floats) -> None:
        """Flag columns without signal, those that still moved, and weak ones."""
        scoring, constraints = self.scoring, self.scoring.constraints
        blind = constraints.free[:, 0] & ~(scoring.state.amplitude > errors[:, 0])
        blind |= constraints.free[:, 1] & ~np.isfinite(errors).all(axis=1)
        constraints.flag[blind & (constraints.flag != RAN_AWAY)] = NO_SIGNAL
        constraints.flag[(scoring.moved > 0.2) & (constraints.flag == OK)] = NOT_CONVERGED
        ended = np.flatnonzero((constraints.flag == OK) & ~constraints.held)
        typical = _around(scoring.state, self.kind, ended)
        most = scoring.state.amplitude[ended] + 2.0 * errors[ended, 0]
        constraints.flag[ended[most < _WEAK * typical]] = WEAK

    def result(self) -> ColumnFit:
        """Return the columns in the order given, in units of the image, with their errors."""
        scene, state, chi2 = self.scene, self.scoring.state, np.full(self.n, np.nan)
        errors, covariance = self._errors()
        if self.n and self.scoring.equations is not None:
            chi2 = scene.reduced_chi2(state.positions, 2.0 * state.width)
            self._flag(errors)
        positions, flag = self.given.copy(), np.full(len(self.given), NO_SIGNAL, dtype=np.int8)
        asymmetry = scene.asymmetry(state)
        fitted = np.asarray(np.isfinite(errors).all(axis=1))
        positions[self.order] = state.positions + asymmetry
        flag[self.order] = self.scoring.constraints.flag
        known = np.where(fitted, self.order, -1)
        major, minor, rotation = axes_of(state.precision)
        ground, noise = state.coefficients[: scene.background.size], scene.noise

        def spread(values: Floats) -> Floats:
            out = np.full((len(self.given), *values.shape[1:]), np.nan)
            out[self.order] = values
            return out

        return ColumnFit(
            positions=positions,
            errors=spread(errors[:, 1:]),
            amplitude=spread(state.amplitude * self.scale),
            amplitude_err=spread(errors[:, 0] * self.scale),
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
            iterations=self.scoring.iterations,
            sublattice=self.numbers,
            background_basis=scene.background,
            background_coefficients=ground * self.scale + self.offset,
            uneven=self.uneven,
            shape_terms=scene.shape(state).copy(),
            halo=scene.halo,
            halo_err=self.halo_err,
            asymmetry=asymmetry,
            fitted_covariance=covariance.renumbered(known, len(self.given)),
        )


def _around(state: State, sublattice: Indices, of: Indices) -> Floats:
    """Return the median amplitude (m,) of those columns `of` (m,) that are next to each of them on its sublattice."""
    typical = np.empty(len(of))
    for s in np.unique(sublattice[of]):
        like = np.flatnonzero(sublattice[of] == s)
        places = state.positions[of[like]]
        _, near = cKDTree(places).query(places, k=np.arange(1, min(_AROUND, len(like)) + 1))
        typical[like] = np.median(state.amplitude[of[like]][near], axis=1)
    return typical


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
