"""All columns of an image fitted at once: each with the tails of its neighbours, widths and background shared.

Overlap, not noise, is what ruins the precision of columns that are fitted one by one: the tail of a neighbour pulls each
position, and a displacement comes out too large. Here one model image, a smooth background plus an elliptical Gaussian a
column, is brought to agree with the measured one in all its pixels. Weights are 1/variance of the model (Fisher scoring,
which for counts is Poisson maximum likelihood); each step solves the normal equations of all columns together.

Source of the statistics: R. J. Ober et al., Biophys. J. 86 (2004) 1185 (limits of localisation); of the approach: A. De
Backer et al., Ultramicroscopy 171 (2016) 104 (model-based estimation with overlapping columns).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from stemdask.kernels.images import fisher
from stemdask.kernels.images.column_fit import AT_BORDER, NO_SIGNAL, NOT_CONVERGED, OK, RAN_AWAY, ColumnFit
from stemdask.kernels.images.gaussian import axes_of, moments, render
from stemdask.kernels.images.noise import Noise, estimate_noise
from stemdask.kernels.images.normal_equations import (
    NormalEquations,
    assemble,
    column_covariances,
    factorise,
    invert_blocks,
)
from stemdask.kernels.images.overlaps import overlapping_pairs, tile_order
from stemdask.kernels.images.profile import Profile, estimate_profile
from stemdask.kernels.images.smooth import SmoothBasis, patches_of

Float = NDArray[np.float64]
Image = NDArray[np.float32]

Shape = Literal["gaussian", "empirical"]
Widths = Literal["shared", "map", "free"]
Background = Literal["constant", "spline"]

#: Columns further apart than this many of their widths don't share information.
_PAIR_REACH = 6.0
#: Smallest side of a cell of the background's spline and of the width map: mean distances between columns, parts of the image.
_BACKGROUND_CELL = (8.0, 16)
_WIDTH_CELL = (24.0, 4)
#: The fit ends when steps are this small against the standard errors (or px), but for one column in a thousand.
_TOLERANCE = (0.03, 1e-5)
#: Relative standard deviation of the amplitude of a column beyond the border about those next to it.
_GHOST_SPREAD = 0.2


def fit_joint(
    image: NDArray[np.floating],
    positions: ArrayLike,
    sublattice: ArrayLike,
    sigma: ArrayLike,
    *,
    noise: str | Noise = "auto",
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
        given too: their tails reach into it. They stay where they are, and their amplitude stays like their neighbours'.
    sublattice
        (n,), number of each column's sublattice.
    sigma
        Width to start from, px: one, or one for each sublattice number from 0 up. Not used with `start`.
    noise
        "auto" reads the dependence of the noise on the brightness from the image, "poisson" and "gaussian" give its
        form, a :class:`Noise` gives it whole.
    shape
        "gaussian", or "empirical": a Gaussian and the deviation from it that the columns of a sublattice have in common.
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
    fit.run(max_iterations)
    if shape == "empirical":
        for _ in range(6):
            if not fit.update_profiles():
                break
            fit.run(max_iterations)
    return fit.result()


@dataclass
class _State:
    """What the fit varies."""

    positions: Float
    amplitude: Float
    precision: Float
    coefficients: Float


class _JointFit:
    """One joint fit: the image in units of its own contrast, the columns in tile order."""

    def __init__(
        self,
        image: NDArray[np.floating],
        positions: ArrayLike,
        sublattice: ArrayLike,
        sigma: ArrayLike,
        noise: str | Noise,
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
        if np.ndim(image) != 2:
            raise ValueError(f"an image has 2 dimensions, not {np.ndim(image)}")
        self.given, self.numbers = given, numbers
        self.kinds = np.unique(numbers)
        self.usable = np.isfinite(given).all(axis=1)
        chosen = np.flatnonzero(self.usable)
        self.order = chosen[tile_order(given[chosen])]
        self.sublattice = np.searchsorted(self.kinds, numbers[self.order])
        self.n, self.n_sub = len(self.order), max(len(self.kinds), 1)

        self.offset, self.scale = _range_of(image)
        self.image = ((np.asarray(image, dtype=np.float64) - self.offset) / self.scale).astype(np.float32)
        self.noise_kind = noise
        self.shape = (self.image.shape[0], self.image.shape[1])
        spacing = np.sqrt(self.image.size / max(self._inside(given[self.order]).sum() / self.n_sub, 1))
        self.basis = SmoothBasis(
            self.shape, _cells(self.shape, spacing, _BACKGROUND_CELL) if background == "spline" else (0, 0)
        )
        self.free_widths = widths == "free"
        self.width_basis = SmoothBasis(
            self.shape, _cells(self.shape, spacing, _WIDTH_CELL) if widths == "map" else (0, 0)
        )
        rows, columns, centres = patches_of(
            self.shape, tuple(max(a, b) for a, b in zip(self.basis.cells, self.width_basis.cells, strict=True))
        )
        self.patch_edges, self.patch_centres = (rows, columns), centres
        self.profiles: dict[int, Profile] = {}
        self.iterations = 0
        self.flag = np.zeros(self.n, dtype=np.int8)
        self.state = self._start(np.atleast_1d(np.asarray(sigma, dtype=np.float64)), start)
        self.origin = self.state.positions.copy()
        self._constrain()
        self.weight = np.zeros_like(self.image)
        self.weighted = np.zeros_like(self.image)
        self.model = np.zeros_like(self.image)
        self.noise = self._noise(None)

    # -- start -------------------------------------------------------------------------------------------------------

    def _inside(self, positions: Float) -> NDArray[np.bool_]:
        return np.all((positions > -0.5) & (positions < np.array(self.shape) - 0.5), axis=1)

    def _start(self, sigma: Float, start: ColumnFit | None) -> _State:
        positions = self.given[self.order].copy()
        if start is not None and len(start):
            precision = start.precision[self.order]
            amplitude = start.amplitude[self.order] / self.scale
            level = (start.background[self.order] - self.offset) / self.scale
            good = np.isfinite(level)
            field = self.basis.fit(level[good], positions[good])
        else:
            kinds = np.clip(self.kinds[self.sublattice] if self.n else np.zeros(0, int), 0, len(sigma) - 1)
            precision = np.zeros((self.n, 3))
            precision[:, 0] = precision[:, 2] = 1.0 / sigma[kinds] ** 2
            # The image was scaled so that its dark part is at 0 and its bright part at 1.
            moment = np.empty((self.n, 6))
            moments(np.nan_to_num(self.image), positions, precision, 2, moment)
            amplitude = moment[:, 0] * np.sqrt(precision[:, 0] * precision[:, 2]) / (2.0 * np.pi)
            covered = np.empty((self.n, 6))
            moments(np.isfinite(self.image).astype(np.float32), positions, precision, 2, covered)
            with np.errstate(divide="ignore", invalid="ignore"):
                amplitude = np.where(covered[:, 0] > 0.0, 1.5 * moment[:, 0] / covered[:, 0], np.nan)
            field = np.zeros(self.basis.size)
        for s in range(self.n_sub):
            of = self.sublattice == s
            good = of & np.isfinite(amplitude) & (amplitude > 0.0)
            middle = float(np.median(amplitude[good])) if good.any() else 1.0
            amplitude[of & ~good] = middle
            amplitude[of] = np.maximum(amplitude[of], 0.05 * middle)
            wide = np.isfinite(precision).all(axis=1)
            precision[of & ~wide] = np.median(precision[of & wide], axis=0) if (of & wide).any() else 1.0
        if self.free_widths:
            return _State(positions, amplitude, precision, field)
        width_fields = [np.zeros(0)]
        for s in range(self.n_sub):
            of = self.sublattice == s
            for j in range(3):
                width_fields.append(self.width_basis.fit(precision[of, j], positions[of]))
        state = _State(positions, amplitude, precision, np.concatenate([field, *width_fields]))
        state.precision = self._precision(state)
        return state

    def _precision(self, state: _State) -> Float:
        """Return the precisions (n, 3) that the shared width fields give to the columns."""
        precision = np.empty((self.n, 3))
        size = self.width_basis.size
        fields = state.coefficients[self.basis.size :].reshape(self.n_sub, 3, size)
        for s in range(self.n_sub):
            of = self.sublattice == s
            for j in range(3):
                precision[of, j] = (
                    fields[s, j, 0] if size == 1 else self.width_basis.values(fields[s, j], state.positions[of])
                )
        return precision

    def _constrain(self) -> None:
        """Say which parameters are free: not those of columns outside, of twins, of columns without pixels."""
        state = self.state
        width = np.sqrt(2.0 / (state.precision[:, 0] + state.precision[:, 2]))
        self.inside = self._inside(state.positions)
        self.free = np.ones((self.n, 6 if self.free_widths else 3), dtype=bool)
        self.free[~self.inside, 1:] = False
        near = np.min(
            np.stack([state.positions + 0.5, np.array(self.shape) - 0.5 - state.positions], -1),
            axis=(1, 2),
            initial=np.inf,
        )
        self.flag[near < width] = AT_BORDER
        self.limit = np.minimum(1.5 * width, np.inf)
        if self.n > 1:
            tree = cKDTree(state.positions)
            distance, _ = tree.query(state.positions, k=2)
            self.limit = np.minimum(self.limit, np.maximum(0.6 * distance[:, 1], 0.5 * width))
            twins = tree.query_pairs(0.7 * float(width.max(initial=0.0)), output_type="ndarray")
            twins = twins[np.argsort(self.order[twins].max(axis=1), kind="stable")] if len(twins) else twins
            for a, b in twins:
                a, b = (a, b) if self.order[a] < self.order[b] else (b, a)
                close = np.hypot(*(state.positions[a] - state.positions[b])) < 0.7 * min(width[a], width[b])
                if close and self.flag[a] != NO_SIGNAL:
                    self._give_up(np.array([b]), NO_SIGNAL)
        ghosts = np.flatnonzero(~self.inside)
        self.ghosts, self.beside = ghosts, np.zeros((len(ghosts), 0), dtype=np.intp)
        real = np.flatnonzero(self.inside & (self.flag != NO_SIGNAL))
        if len(ghosts) and len(real):
            self.beside = np.zeros((len(ghosts), 3), dtype=np.intp)
            for s in range(self.n_sub):
                same, mine = real[self.sublattice[real] == s], self.sublattice[ghosts] == s
                pool = same if len(same) else real
                _, index = cKDTree(state.positions[pool]).query(state.positions[ghosts[mine]], k=min(3, len(pool)))
                index = index.reshape(int(mine.sum()), -1)
                self.beside[mine] = pool[
                    np.resize(index.T, (3, index.shape[0])).T if index.size else index.reshape(0, 3)
                ]

    def _give_up(self, columns: NDArray[np.intp], flag: int) -> None:
        """Take columns out of the fit: nothing of theirs is free any more."""
        self.flag[columns] = flag
        self.free[columns] = False
        self.state.amplitude[columns] = 0.0

    def _noise(self, model: Image | None) -> Noise:
        """Return the noise in units of the scaled image."""
        if isinstance(self.noise_kind, Noise):
            given = self.noise_kind
        else:
            sigma = (
                float(np.median(np.sqrt(2.0 / (self.state.precision[:, 0] + self.state.precision[:, 2]))))
                if self.n
                else 0.0
            )
            lift = self.offset / self.scale if self.noise_kind != "gaussian" else 0.0
            lifted = self.image + np.float32(lift)
            found = estimate_noise(
                lifted, None if model is None else model + np.float32(lift), kind=self.noise_kind, sigma=sigma
            )
            return Noise(found.gain, found.readout + found.gain * lift, found.correlation)
        return Noise(
            given.gain / self.scale,
            (given.gain * self.offset + given.readout) / self.scale**2,
            given.correlation,
        )

    # -- the iteration -----------------------------------------------------------------------------------------------

    def run(self, max_iterations: int) -> None:
        """Iterate to the fixed point."""
        self.moved = np.full(self.n, np.inf)
        if self.n == 0:
            self._draw()
            return
        damping, accepted, equations, since = 0.0, None, None, np.inf
        for _ in range(max_iterations):
            self.iterations += 1
            self._draw()
            merit, chi2 = self._weigh()
            if accepted is not None and not merit <= accepted[1] * (1.0 + 1e-6) + 0.1:
                self.state, chi2 = accepted
                damping = max(10.0 * damping, 0.01)
                since = np.inf
                self._draw()
                self._weigh()
                if damping > 1e6:
                    break
            elif damping:
                damping = damping / 10.0 if damping > 0.02 else 0.0
            before = self.state
            gradient, field_gradient = self._gradient()
            if equations is None or since > 0.02:
                equations = self._equations()
                errors = self._quick_errors(equations)
                since = 0.0
            columns, fields = equations.damped(damping).solve(gradient, field_gradient)
            step = self._step(columns, fields)
            accepted = (before, chi2)
            since += float(np.sqrt(np.mean(step[self.inside] ** 2))) if self.inside.any() else 0.0
            self.moved = step / np.maximum(errors, _TOLERANCE[1] / _TOLERANCE[0])
            if np.mean(self.moved[self.inside] > _TOLERANCE[0]) <= 1e-3 and damping == 0.0:
                break

    def _draw(self) -> None:
        state = self.state
        self.model[:] = self.basis.image(state.coefficients[: self.basis.size])
        render(self.model, state.positions, state.amplitude, state.precision)
        for s, profile in self.profiles.items():
            of = self.sublattice == s
            profile.render(self.model, state.positions[of], state.amplitude[of])

    def _weigh(self) -> tuple[float, float]:
        noise = self.noise
        floor = (
            noise.gain * 0.02 * abs(float(self.model.mean()) + noise.readout / noise.gain)
            if noise.counts
            else noise.readout
        )
        return _weigh(
            self.image,
            self.model,
            self.weight,
            self.weighted,
            np.float32(noise.gain),
            np.float32(noise.readout),
            np.float32(max(floor, 1e-14)),
        )

    def _ghost_target(self) -> Float:
        return self.state.amplitude[self.beside].mean(axis=1) if self.beside.shape[1] else np.zeros(0)

    def _gradient(self) -> tuple[Float, Float]:
        state = self.state
        moment, score = np.empty((self.n, 6)), np.empty((self.n, 6))
        moments(self.weighted, state.positions, state.precision, 2, moment)
        fisher.score(state.amplitude, state.precision, moment, score)
        parts = [self.basis.project(self.weighted)]
        if not self.free_widths:
            for s in range(self.n_sub):
                of = self.sublattice == s
                for j in range(3):
                    if self.width_basis.size == 1:
                        parts.append(np.array([score[of, 3 + j].sum()]))
                    else:
                        parts.append(self.width_basis.at(state.positions[of]).T @ score[of, 3 + j])
        if self.beside.shape[1]:
            target = self._ghost_target()
            score[self.ghosts, 0] += (target - state.amplitude[self.ghosts]) / (_GHOST_SPREAD * target) ** 2
        return np.where(self.free, score[:, : self.free.shape[1]], 0.0), np.concatenate(parts)

    def _equations(self) -> NormalEquations:
        state, n = self.state, self.n
        width = np.sqrt(2.0 / (state.precision[:, 0] + state.precision[:, 2]))
        active = state.amplitude > 0.0
        pairs = overlapping_pairs(state.positions, np.where(active, 0.5 * _PAIR_REACH * width, 0.0))
        self_and_pairs = np.concatenate([np.repeat(np.arange(n, dtype=np.int32)[:, None], 2, axis=1), pairs])
        count = len(self_and_pairs)
        centre, product, height = np.empty((count, 2)), np.empty((count, 3)), np.empty(count)
        fisher.products(state.positions, state.precision, self_and_pairs, centre, product, height)
        moment, blocks = np.empty((count, 15)), np.empty((count, 6, 6))
        moments(self.weight, centre, product, 4, moment)
        fisher.information(
            state.positions, state.amplitude, state.precision, self_and_pairs, centre, height, moment, blocks
        )
        under, beneath = np.empty((n, 6)), np.empty((n, 6))
        moments(self.weight, state.positions, state.precision, 2, under)
        fisher.score(state.amplitude, state.precision, under, beneath)
        if self.beside.shape[1]:
            blocks[self.ghosts, 0, 0] += 1.0 / (_GHOST_SPREAD * self._ghost_target()) ** 2
        blind = ~(blocks[:n, 0, 0] > 0.0) & self.free.any(axis=1)
        if blind.any():
            self._give_up(np.flatnonzero(blind), NO_SIGNAL)

        size = self.free.shape[1]
        n_fields = 1 + (0 if self.free_widths else 3 * self.n_sub)
        own, coupling = np.empty((n, size, size)), np.empty((len(pairs), size, size))
        border = np.empty((n, size, n_fields))
        patch = self._patch(state.positions)
        sums = np.zeros((len(self.patch_centres), n_fields + self.n_sub, n_fields + self.n_sub))
        assemble(blocks, pairs, beneath, self.free, self.sublattice, patch, own, coupling, border, sums)
        weights = np.add.reduceat(
            np.add.reduceat(self.weight, self.patch_edges[0], axis=0, dtype=np.float64), self.patch_edges[1], axis=1
        )
        sums[:, 0, 0] = weights.ravel()

        modes = self.basis.at(self.patch_centres)
        widths = [self.width_basis.at(self.patch_centres)] * (n_fields - 1)
        fields = np.concatenate([modes, *widths, *([modes] * self.n_sub)], axis=1)
        sizes = [modes.shape[1], *(w.shape[1] for w in widths), *([modes.shape[1]] * self.n_sub)]
        field_of = np.repeat(np.arange(n_fields + self.n_sub), sizes)
        coarse = np.zeros((len(field_of), len(field_of)))
        for f in range(n_fields + self.n_sub):
            for g in range(f + 1):
                rows, columns = field_of == f, field_of == g
                if np.any(sums[:, f, g]):
                    part = fields[:, rows].T @ (sums[:, f, g][:, None] * fields[:, columns])
                    coarse[np.ix_(rows, columns)] = part
                    coarse[np.ix_(columns, rows)] = part.T
        c = int(np.sum(field_of < n_fields))
        return NormalEquations(
            own=own,
            pairs=pairs,
            coupling=coupling,
            border=border,
            patch=patch,
            sublattice=self.sublattice,
            fields=fields[:, :c],
            field_of=field_of[:c],
            among_fields=coarse[:c, :c],
            coarse=coarse,
            modes=modes,
        )

    def _patch(self, positions: Float) -> NDArray[np.intp]:
        rows, columns = self.patch_edges
        row = np.clip(np.searchsorted(rows, positions[:, 0] + 0.5, side="right") - 1, 0, len(rows) - 1)
        column = np.clip(np.searchsorted(columns, positions[:, 1] + 0.5, side="right") - 1, 0, len(columns) - 1)
        return row * len(columns) + column

    def _quick_errors(self, equations: NormalEquations) -> Float:
        inverse = np.empty_like(equations.own)
        invert_blocks(equations.own, inverse)
        return np.sqrt(np.maximum(0.5 * (inverse[:, 1, 1] + inverse[:, 2, 2]), 0.0))

    def _step(self, columns: Float, fields: Float) -> Float:
        """Take a step, held to half a width in position and a third in width; return its length in px (n,)."""
        before = self.state
        state = _State(
            before.positions.copy(), before.amplitude.copy(), before.precision.copy(), before.coefficients + fields
        )
        width = np.sqrt(2.0 / (before.precision[:, 0] + before.precision[:, 2]))
        move = columns[:, 1:3]
        length = np.hypot(move[:, 0], move[:, 1])
        move = move * np.minimum(1.0, 0.5 * width / np.maximum(length, 1e-300))[:, None]
        state.positions += move
        state.amplitude = np.where(
            self.free[:, 0], np.maximum(before.amplitude + columns[:, 0], 0.2 * before.amplitude), before.amplitude
        )
        if self.free_widths:
            state.precision += _hold(columns[:, 3:], before.precision)
        else:
            state.precision = self._precision(state)
            change = state.precision - before.precision
            held = _hold(change, before.precision)
            largest = np.max(np.abs(change), initial=0.0)
            if largest > 0.0 and not np.array_equal(held, change):
                factor = float(np.min(np.abs(held).max(axis=1) / np.maximum(np.abs(change).max(axis=1), 1e-300)))
                start = self.basis.size
                state.coefficients[start:] = before.coefficients[start:] + factor * fields[start:]
                state.precision = self._precision(state)
        strayed = np.hypot(*(state.positions - self.origin).T) > self.limit
        if strayed.any():
            self.flag[strayed] = RAN_AWAY
            self.free[strayed, 1:] = False
            state.positions[strayed] = self.origin[strayed]
        self.state = state
        return np.hypot(move[:, 0], move[:, 1]) * self.free[:, 1]

    # -- after it ----------------------------------------------------------------------------------------------------

    def update_profiles(self) -> bool:
        """Estimate each sublattice's deviation from the Gaussian anew; return whether it changed by more than 0.1 %."""
        self._draw()
        self._weigh()
        good = self.inside & (self.flag == OK)
        changed = False
        for s in range(self.n_sub):
            of = good & (self.sublattice == s)
            if of.sum() < 20:
                continue
            residual = np.nan_to_num(self.image - self.model)
            width = np.sqrt(2.0 / (self.state.precision[of, 0] + self.state.precision[of, 2]))
            found = estimate_profile(
                residual, self.weight, self.state.positions[of], self.state.amplitude[of], 3.5 * float(width.mean())
            )
            if s in self.profiles and self.profiles[s].table.shape == found.table.shape:
                found = Profile(found.table + self.profiles[s].table)
            old = self.profiles.get(s)
            if old is None or old.table.shape != found.table.shape or np.max(np.abs(old.table - found.table)) > 1e-3:
                changed = True
            self.profiles[s] = found
        return changed

    def result(self) -> ColumnFit:
        """Return the columns in the order given, in units of the image, with their errors."""
        state, n = self.state, self.n
        self._draw()
        if n:
            self.noise = self._noise(self.model)
        self._weigh()
        errors, amplitude_err = np.full((n, 2), np.nan), np.full(n, np.nan)
        chi2 = np.full(n, np.nan)
        if n:
            covariance = self._covariance()
            variance = np.stack([covariance[:, a, a] for a in range(3)], axis=1) * self.noise.correlation
            with np.errstate(invalid="ignore"):
                deviation = np.sqrt(variance)
            errors = np.where(self.free[:, 1:3], deviation[:, 1:], np.nan)
            amplitude_err = np.where(self.free[:, 0], deviation[:, 0], np.nan)
            _reduced_chi2(
                self.weighted,
                self.weight,
                state.positions,
                4.0 / (state.precision[:, 0] + state.precision[:, 2]) * 2.0,
                chi2,
            )
            weak = self.free[:, 0] & (state.amplitude < amplitude_err)
            self.flag[weak & (self.flag != RAN_AWAY)] = NO_SIGNAL
            self.flag[(self.moved > 0.2) & (self.flag == OK)] = NOT_CONVERGED
        major, minor, rotation = axes_of(state.precision)
        level = self.basis.values(state.coefficients[: self.basis.size], state.positions) if n else np.zeros(0)

        def spread(values: Float, missing: float = np.nan) -> Float:
            out = np.full((len(self.given), *values.shape[1:]), missing)
            out[self.order] = values
            return out

        flag = np.full(len(self.given), NO_SIGNAL, dtype=np.int8)
        flag[self.order] = self.flag
        return ColumnFit(
            positions=np.where(self.usable[:, None], spread(state.positions), self.given),
            errors=spread(errors),
            amplitude=spread(state.amplitude * self.scale),
            amplitude_err=spread(amplitude_err * self.scale),
            sigma_major=spread(major),
            sigma_minor=spread(minor),
            rotation=spread(rotation),
            background=spread(level * self.scale + self.offset),
            reduced_chi2=spread(chi2),
            flag=flag,
            noise=Noise(
                self.noise.gain * self.scale,
                self.noise.readout * self.scale**2 - self.noise.gain * self.scale * self.offset,
                self.noise.correlation,
            ),
            iterations=self.iterations,
            sublattice=self.numbers,
            background_basis=self.basis,
            background_coefficients=state.coefficients[: self.basis.size] * self.scale + self.offset,
            profiles={int(self.kinds[s]): profile for s, profile in self.profiles.items()},
        )

    def _covariance(self) -> Float:
        equations = self._equations()
        inverse, covariance = np.empty_like(equations.own), np.empty_like(equations.own)
        invert_blocks(equations.own, inverse)
        n_fields = equations.border.shape[2]
        low, _ = factorise(equations.coarse)
        half = np.linalg.solve(low, np.eye(len(low)))
        of_fields = (half.T @ half)[: len(equations.field_of), : len(equations.field_of)]
        per_patch = np.zeros((len(self.patch_centres), n_fields, n_fields))
        for f in range(n_fields):
            for g in range(n_fields):
                rows, columns = equations.field_of == f, equations.field_of == g
                per_patch[:, f, g] = np.einsum(
                    "tc,cd,td->t",
                    equations.fields[:, rows],
                    of_fields[np.ix_(rows, columns)],
                    equations.fields[:, columns],
                    optimize=True,
                )
        column_covariances(
            equations.own,
            inverse,
            equations.pairs,
            equations.coupling,
            equations.border,
            equations.patch,
            per_patch,
            covariance,
        )
        return covariance


def _range_of(image: NDArray[np.floating]) -> tuple[float, float]:
    """Return (dark level, contrast) of an image from a part of its pixels."""
    step = max(1, int(np.sqrt(image.size / 250_000)))
    sample = np.asarray(image[::step, ::step], dtype=np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    low, high = np.quantile(sample, [0.02, 0.98])
    if not high > low:
        low, high = float(sample.min()), float(sample.max())
    return float(low), float(high - low) if high > low else 1.0


def _cells(shape: tuple[int, int], spacing: float, smallest: tuple[float, int]) -> tuple[int, int]:
    """Return the cells of a spline along y and x; 0, a constant, where the image is too small for one."""
    most = [int(min(size / (smallest[0] * spacing), smallest[1])) for size in shape]
    return (most[0], most[1]) if min(most) >= 1 else (0, 0)


def _hold(change: Float, precision: Float) -> Float:
    """Shorten changes of the precision (n, 3) that exceed a third of its smaller eigenvalue."""
    mean, half = (
        0.5 * (precision[:, 0] + precision[:, 2]),
        np.hypot(0.5 * (precision[:, 0] - precision[:, 2]), precision[:, 1]),
    )
    size = np.abs(0.5 * (change[:, 0] + change[:, 2])) + np.hypot(0.5 * (change[:, 0] - change[:, 2]), change[:, 1])
    return change * np.minimum(1.0, 0.33 * (mean - half) / np.maximum(size, 1e-300))[:, None]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _weigh(
    image: Image, model: Image, weight: Image, weighted: Image, gain: np.float32, readout: np.float32, floor: np.float32
) -> tuple[float, float]:
    """Renew weights and weighted residual; return chi² with the old weights and with the new ones."""
    old = new = 0.0
    for row in range(image.shape[0]):
        before = after = np.float32(0.0)
        for column in range(image.shape[1]):
            residual = image[row, column] - model[row, column]
            variance = max(gain * model[row, column] + readout, floor)
            counts = residual == residual
            residual = residual if counts else np.float32(0.0)
            renewed = np.float32(1.0) / variance if counts else np.float32(0.0)
            before += weight[row, column] * residual * residual
            after += renewed * residual * residual
            weight[row, column] = renewed
            weighted[row, column] = renewed * residual
        old += before
        new += after
    return old, new


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
