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
from numba import njit
from numpy.typing import ArrayLike, NDArray

from stemdask.kernels.images.fitting.blocks import column_covariances
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, NOT_CONVERGED, OK, RAN_AWAY, ColumnFit
from stemdask.kernels.images.fitting.constraints import Constraints
from stemdask.kernels.images.fitting.gaussian import axes_of, moments, render
from stemdask.kernels.images.fitting.noise import Noise, brightness_range, estimate_noise
from stemdask.kernels.images.fitting.normal_equations import NormalEquations
from stemdask.kernels.images.fitting.overlaps import tile_order
from stemdask.kernels.images.fitting.profile import Profile, estimate_profile
from stemdask.kernels.images.fitting.scene import Scene, State, blank
from stemdask.kernels.images.fitting.smooth import SmoothBasis

Float = NDArray[np.float64]
Image = NDArray[np.float32]

Shape = Literal["gaussian", "empirical"]
Widths = Literal["shared", "map", "free"]
Background = Literal["constant", "spline"]
NoiseKind = Literal["auto", "poisson", "gaussian"]

#: Smallest side of a cell of a spline in mean distances between columns of a sublattice, and the most cells a side.
_BACKGROUND_CELL = (12.0, 8)
_WIDTH_CELL = (24.0, 3)
#: The fit ends when steps are this small against the standard errors (or px), but for one column in a thousand.
_TOLERANCE = (0.03, 1e-4)
#: Steps with the first guess of the noise.
_FIRST_LOOK = 2
#: Rounds of profile and fit.
_MOST_PROFILES = 4
#: Where the model can't describe the image (reduced chi² and RMS residual, as a part of the contrast, above these)
#: widths and background have no sharp optimum: once so many steps have not lowered chi² by more than this part of it
#: they are held, and the columns alone are brought to rest.
_MISFIT, _RESIDUAL, _PATIENCE, _STALL = 2.0, 0.01, 2, 5e-3
#: The Fisher information is renewed when the columns have moved this far since, as a part of their width.
_RENEW = 0.02


def fit_joint(
    image: NDArray[np.floating],
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
    fit.run(_FIRST_LOOK)
    fit.renew_noise()
    fit.run(max_iterations - _FIRST_LOOK)
    if shape == "empirical":
        for _ in range(_MOST_PROFILES):
            if not fit.update_profiles():
                break
            fit.run(max_iterations)
    return fit.result()


class _JointFit:
    """One joint fit: the image in units of its own contrast, the columns in tile order."""

    def __init__(
        self,
        image: NDArray[np.floating],
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
        ground = SmoothBasis(field, _cells(field, spacing, _BACKGROUND_CELL) if background == "spline" else (0, 0))
        map_ = SmoothBasis(field, _cells(field, spacing, _WIDTH_CELL) if widths == "map" else (0, 0))
        self.scene = Scene(
            scaled,
            index[self.order].astype(np.intp),
            max(len(self.kinds), 1),
            ground,
            None if widths == "free" else map_,
            Noise(0.0, 1.0),
        )
        self.state = self._start(np.atleast_1d(np.asarray(sigma, dtype=np.float64)), start)
        self.origin = self.state.positions.copy()
        covered = np.empty((self.n, 6))
        moments(np.isfinite(scaled).astype(np.float32), self.origin, self.state.precision, 2, True, covered)
        whole = 2.0 * np.pi / np.sqrt(np.linalg.det(self.state.precision[:, [0, 1, 1, 2]].reshape(-1, 2, 2)))
        self.held = Constraints.of(
            self.origin,
            self.state.width,
            covered[:, 0] / whole,
            self.scene.sublattice,
            self.order,
            field,
            6 if widths == "free" else 3,
        )
        if flat:
            self.held.give_up(np.ones(self.n, dtype=bool), NO_SIGNAL)
            self.state.amplitude[:] = 0.0
        self.state.amplitude[self.held.dropped] = 0.0
        self.scene.set_noise(self._noise(None))
        # Beside a column that isn't there to be fitted the pixels say nothing but that it's not quite where it was put.
        ghosts = self.held.ghosts
        blank(self.scene.image, self.origin[ghosts], 0.5 * self.held.spacing[ghosts])
        self.iterations = 0
        self.moved = np.full(self.n, np.inf)
        self.misfit = 1.0
        self.fields_held = False
        self.equations: NormalEquations | None = None

    def _start(self, sigma: Float, start: ColumnFit | None) -> State:
        scene, positions = self.scene, self.given[self.order].copy()
        if start is not None and len(start):
            precision = start.precision[self.order]
            amplitude = start.amplitude[self.order] / self.scale
            level = (start.background[self.order] - self.offset) / self.scale
            known = np.isfinite(level)
            ground = scene.background.fit(level[known], positions[known])
        else:
            kinds = self.kinds[scene.sublattice] if self.n else np.zeros(0, dtype=np.int8)
            precision = np.zeros((self.n, 3))
            precision[:, 0] = precision[:, 2] = 1.0 / sigma[np.clip(kinds, 0, len(sigma) - 1)] ** 2
            # The image was scaled so that its dark part is at 0. The mean under a Gaussian is half the peak's height of
            # one like it, but neighbours and a little blur add to it.
            bright, covered = np.empty((self.n, 6)), np.empty((self.n, 6))
            moments(np.nan_to_num(scene.image), positions, precision, 2, True, bright)
            moments(np.isfinite(scene.image).astype(np.float32), positions, precision, 2, True, covered)
            with np.errstate(divide="ignore", invalid="ignore"):
                amplitude = 1.5 * bright[:, 0] / covered[:, 0]
            ground = np.zeros(scene.background.size)
        for of in scene.of:
            good = of[np.isfinite(amplitude[of]) & (amplitude[of] > 0.0)]
            middle = float(np.median(amplitude[good])) if len(good) else 1.0
            amplitude[of] = np.maximum(np.where(np.isfinite(amplitude[of]), amplitude[of], middle), 0.05 * middle)
            wide = of[np.isfinite(precision[of]).all(axis=1)]
            typical = np.median(precision[wide], axis=0) if len(wide) else np.array([1.0, 0.0, 1.0])
            precision[of] = np.where(np.isfinite(precision[of]), precision[of], typical)
        if scene.widths is None:
            return State(positions, amplitude, precision, ground)
        fields = [scene.widths.fit(precision[of, j], positions[of]) for of in scene.of for j in range(3)]
        coefficients = np.concatenate([ground, *fields])
        return State(positions, amplitude, scene.precision(positions, coefficients), coefficients)

    def _noise(self, model: Image | None) -> Noise:
        """Return the noise in units of the scaled image."""
        if isinstance(self.noise_kind, Noise):
            noise = self.noise_kind
        else:
            sigma = float(np.median(self.state.width)) if self.n else 3.0
            lift = np.float32(self.offset / self.scale)  # counts start at 0, not at the dark level
            lifted = None if model is None else model + lift
            found = estimate_noise(self.scene.image + lift, lifted, kind=self.noise_kind, sigma=sigma)
            return Noise(found.gain, found.readout + found.gain * float(lift), found.correlation)
        readout = (noise.gain * self.offset + noise.readout) / self.scale**2
        return Noise(noise.gain / self.scale, readout, noise.correlation)

    def renew_noise(self) -> None:
        """Estimate the noise anew from what the present model leaves over."""
        self.scene.set_noise(self._noise(self.scene.model))

    def run(self, max_iterations: int) -> None:
        """Iterate to the fixed point."""
        scene, held = self.scene, self.held
        held.aim(self.state.amplitude)
        _, chi2 = self._compare(self.state)
        self.local, self.damping, since, errors = np.zeros(self.n), 0.0, np.inf, np.zeros(self.n)
        stalled = 0
        for _ in range(max_iterations if self.n else 0):
            self.iterations += 1
            columns, fields = scene.gradient(self.state, held)
            if self.fields_held:
                fields = np.zeros_like(fields)
            if since > _RENEW:
                self.equations = scene.equations(self.state, held)
                if self.fields_held:
                    self.equations = self.equations.with_fields_held()
                blind = ~(self.equations.own[:, 0, 0] > 0.0) & held.free[:, 0]
                if blind.any():
                    held.give_up(blind, NO_SIGNAL)
                    continue
                errors = np.sqrt(0.5 * (self.equations.inverse[:, 1, 1] + self.equations.inverse[:, 2, 2]))
                since = 0.0
            assert self.equations is not None
            before = self.state
            solution = self.equations.damped(self.local + self.damping, self.damping).solve(columns, fields)
            if not solution[0].any() and columns.any():  # not positive definite: the widths are far off
                self.damping = max(10.0 * self.damping, 1e-3)
                continue
            step = self._step(*solution)
            merit, renewed = self._compare(self.state)
            if not merit <= chi2 * (1.0 + 1e-6) + 0.1:
                chi2, since = self._step_back(before), np.inf
                stalled += self._misfits()
                self.fields_held |= stalled >= _PATIENCE
                if self.damping > 1e6:
                    break
                continue
            self.misfit = renewed / max(int(np.count_nonzero(scene.weight)), 1)
            stalled = stalled + 1 if chi2 - renewed < _STALL * renewed and self._misfits() else 0
            chi2 = renewed - held.penalty(self.state.amplitude)
            held.aim(self.state.amplitude)
            chi2 += held.penalty(self.state.amplitude)
            self.moved = step * (1.0 + self.local) / np.maximum(errors, _TOLERANCE[1] / _TOLERANCE[0])
            undamped = self.damping < 0.1
            self.damping = 0.3 * self.damping if self.damping > 1e-5 else 0.0
            self.local = np.where(self.local > 1e-3, 0.3 * self.local, 0.0)
            if held.inside.any():
                since += float(np.sqrt(np.mean((step[held.inside] / self.state.width[held.inside]) ** 2)))
            self.moved /= np.sqrt(max(self.misfit, 1.0))
            restless = np.count_nonzero(self.moved[held.inside] > _TOLERANCE[0])
            if undamped and restless <= 1e-3 * np.count_nonzero(held.inside):
                break
            if stalled >= _PATIENCE and not self.fields_held:
                self.fields_held, since = True, np.inf

    def _compare(self, state: State) -> tuple[float, float]:
        """Draw the model and return chi² with the weights before and with those of the new model."""
        self.scene.draw(state)
        before, after = self.scene.weigh(state)
        known = self.held.penalty(state.amplitude)
        return before + known, after + known

    def _misfits(self) -> bool:
        """Tell whether the model can't describe the image."""
        if self.misfit < _MISFIT:
            return False
        every = max(1, len(self.scene.image) // 64)
        residual = self.scene.image[::every] - self.scene.model[::every]
        return float(np.nanmean(residual**2)) > _RESIDUAL**2

    def _step_back(self, before: State) -> float:
        """Return to the state before a step that made the fit worse; damp the columns that it got worse at.

        Where they are many, everything is damped. Returns chi² of that state.
        """
        scene, reach2 = self.scene, (1.5 * before.width) ** 2
        worse, better = np.empty(self.n), np.empty(self.n)
        _reduced_chi2(scene.weighted, scene.weight, before.positions, reach2, worse)
        self.state = before
        _, chi2 = self._compare(before)
        _reduced_chi2(scene.weighted, scene.weight, before.positions, reach2, better)
        bad = worse > better * (1.0 + 1e-3)
        self.local[bad] = np.clip(10.0 * self.local[bad], 0.1, 1e6)
        if np.mean(bad) > 0.05 or not bad.any():
            self.damping = max(10.0 * self.damping, 1e-3)
        return chi2

    def _step(self, columns: Float, fields: Float) -> Float:
        """Take a step, held to half a width in position and a third in width; return its length in px (n,)."""
        before, held, scene = self.state, self.held, self.scene
        if scene.widths is None:
            part = _held_part(columns[:, 3:], before.precision)[:, None]
            columns = columns * part
            precision = before.precision + columns[:, 3:]
            coefficients = before.coefficients + fields
        else:
            # Widths, background and amplitudes can almost replace one another: they are shortened together.
            wanted = scene.precision(before.positions, before.coefficients + fields)
            whole = float(np.min(_held_part(wanted - before.precision, before.precision), initial=1.0))
            columns, coefficients = whole * columns, before.coefficients + whole * fields
            precision = scene.precision(before.positions, coefficients)
        move = columns[:, 1:3]
        length = np.hypot(move[:, 0], move[:, 1])
        move = move * np.minimum(1.0, 0.5 * before.width / np.maximum(length, 1e-300))[:, None]
        positions = before.positions + move
        amplitude = np.maximum(before.amplitude + columns[:, 0], 0.2 * before.amplitude)
        strayed = np.hypot(*(positions - self.origin).T) > held.limit
        if strayed.any():
            held.flag[strayed] = RAN_AWAY
            held.free[strayed, 1:] = False
            positions[strayed] = self.origin[strayed]
        self.state = State(positions, amplitude, precision, coefficients)
        return np.where(held.free[:, 1], np.hypot(move[:, 0], move[:, 1]), 0.0)

    def update_profiles(self) -> bool:
        """Estimate each sublattice's deviation from the Gaussian anew; return whether it changed by more than 0.1 %."""
        scene, state, changed = self.scene, self.state, False
        self.fields_held = True  # the profiles are found for these widths and this background, and could replace them
        residual, columns = np.nan_to_num(scene.image - scene.model), np.zeros_like(scene.image)
        render(columns, state.positions, state.amplitude, state.precision)
        good = self.held.inside & (self.held.flag == OK)
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
        state, scene, held, n = self.state, self.scene, self.held, self.n
        deviation, chi2 = np.full((n, 3), np.nan), np.full(n, np.nan)
        noise = scene.noise
        if n and self.equations is not None:
            _reduced_chi2(scene.weighted, scene.weight, state.positions, (2.0 * state.width) ** 2, chi2)
            covariance = self._covariance(self.equations)[:, :3, :3].diagonal(axis1=1, axis2=2)
            with np.errstate(invalid="ignore"):
                deviation = np.sqrt(covariance * noise.correlation)
            deviation[~held.free[:, :3] | ~(deviation > 0.0)] = np.nan
            weak = held.free[:, 0] & ~(state.amplitude > deviation[:, 0])
            weak |= held.free[:, 1] & ~np.isfinite(deviation).all(axis=1)
            held.flag[weak & (held.flag != RAN_AWAY)] = NO_SIGNAL
            held.flag[(self.moved > 0.2) & (held.flag == OK)] = NOT_CONVERGED
        major, minor, rotation = axes_of(state.precision)
        ground = state.coefficients[: scene.background.size]

        def spread(values: Float) -> Float:
            out = np.full((len(self.given), *values.shape[1:]), np.nan)
            out[self.order] = values
            return out

        positions, flag = self.given.copy(), np.full(len(self.given), NO_SIGNAL, dtype=np.int8)
        positions[self.order], flag[self.order] = state.positions, held.flag
        return ColumnFit(
            positions=positions,
            errors=spread(deviation[:, 1:]),
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
            iterations=self.iterations,
            sublattice=self.numbers,
            background_basis=scene.background,
            background_coefficients=ground * self.scale + self.offset,
            profiles={int(self.kinds[s]): profile for s, profile in scene.profiles.items()},
        )

    def _covariance(self, equations: NormalEquations) -> Float:
        covariance = np.empty_like(equations.own)
        column_covariances(
            equations.own,
            equations.inverse,
            equations.pairs,
            equations.coupling,
            equations.border,
            equations.patch,
            equations.field_covariance(),
            covariance,
        )
        return covariance


def _cells(shape: tuple[int, int], spacing: float, smallest: tuple[float, int]) -> tuple[int, int]:
    """Return the cells of a spline along y and x; none, for a constant, where the image is too small for one."""
    cells = (
        int(min(shape[0] / (smallest[0] * spacing), smallest[1])),
        int(min(shape[1] / (smallest[0] * spacing), smallest[1])),
    )
    return cells if min(cells) >= 1 else (0, 0)


def _held_part(change: Float, precision: Float) -> Float:
    """Return the part (n,) of changes of the precision (n, 3) that stays within a third of its smaller eigenvalue."""
    mean, half = 0.5 * (precision[:, 0] + precision[:, 2]), 0.5 * (precision[:, 0] - precision[:, 2])
    smaller = mean - np.hypot(half, precision[:, 1])
    size = np.abs(0.5 * (change[:, 0] + change[:, 2])) + np.hypot(0.5 * (change[:, 0] - change[:, 2]), change[:, 1])
    part: Float = np.minimum(1.0, 0.33 * smaller / np.maximum(size, 1e-300))
    return part


@njit(cache=True, nogil=True, error_model="numpy")
def _reduced_chi2(weighted: Image, weight: Image, positions: Float, reach2: Float, out: Float) -> None:
    """Write the mean of residual²/variance within a radius whose square is `reach2`."""
    height, width = weight.shape
    for k in range(len(out)):
        y, x = positions[k, 0], positions[k, 1]
        reach = np.sqrt(reach2[k])
        total, count = 0.0, 0
        for row in range(max(0, int(np.ceil(y - reach))), min(height, int(np.floor(y + reach)) + 1)):
            for column in range(max(0, int(np.ceil(x - reach))), min(width, int(np.floor(x + reach)) + 1)):
                if (row - y) ** 2 + (column - x) ** 2 <= reach2[k] and weight[row, column] > 0.0:
                    total += np.float64(weighted[row, column]) ** 2 / np.float64(weight[row, column])
                    count += 1
        out[k] = total / count if count else np.nan
