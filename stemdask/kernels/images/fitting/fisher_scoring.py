"""Steps of a joint fit to its fixed point: how far each goes, which are taken back, when all are at rest."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, RAN_AWAY
from stemdask.kernels.images.fitting.constraints import Constraints
from stemdask.kernels.images.fitting.normal_equations import NormalEquations
from stemdask.kernels.images.fitting.scene import Scene, State

#: The fit ends when steps are this small against the standard errors (or px), but for one column in a thousand.
_TOLERANCE = (0.03, 1e-4)
#: Where the model can't describe the image (reduced chi² and RMS residual, as a part of the contrast, above these)
#: widths and background have no sharp optimum: once so many steps have not lowered chi² by more than this part of it
#: they are held, and the columns alone are brought to rest. Held later, they depend on where the columns started.
_MISFIT, _RESIDUAL, _PATIENCE, _STALL = 2.0, 0.01, 2, 2e-2
#: The Fisher information is renewed when the columns have moved this far since, as a part of their width.
_RENEW = 0.02


class FisherScoring:
    """Brings the state of a scene to its best agreement with the image.

    Attributes
    ----------
    scene, held, state
        The image, what holds the columns, and what is varied.
    origin
        (n, 2), px, where the columns started.
    iterations
        Steps up to now.
    moved
        (n,), length of the last step in standard errors.
    fields_held
        Whether background and shared widths stay as they are.
    equations
        Fisher information near the state; None before the first step.
    """

    def __init__(self, scene: Scene, held: Constraints, state: State) -> None:
        self.scene, self.held, self.state = scene, held, state
        self.origin = state.positions.copy()
        self.iterations = 0
        self.moved = np.full(len(state.amplitude), np.inf)
        self.fields_held = False
        self.equations: NormalEquations | None = None
        self._misfit = 1.0

    def run(self, max_iterations: int) -> None:
        """Iterate to the fixed point."""
        scene, held = self.scene, self.held
        held.aim(self.state.amplitude)
        _, chi2 = self._compare(self.state)
        n = len(self.state.amplitude)
        self._local, self._damping, since, errors = np.zeros(n), 0.0, np.inf, np.zeros(n)
        stalled = 0
        for _ in range(max_iterations if n else 0):
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
            solution = self.equations.damped(self._local + self._damping, self._damping).solve(columns, fields)
            if not solution[0].any() and columns.any():  # not positive definite: the widths are far off
                self._damping = max(10.0 * self._damping, 1e-3)
                continue
            step = self._step(*solution)
            merit, renewed = self._compare(self.state)
            if not merit <= chi2 * (1.0 + 1e-6) + 0.1:
                chi2, since = self._step_back(before), np.inf
                stalled += self._misfits()
                self.fields_held |= stalled >= _PATIENCE
                if self._damping > 1e6:
                    break
                continue
            self._misfit = renewed / max(int(np.count_nonzero(scene.weight)), 1)
            stalled = stalled + 1 if chi2 - renewed < _STALL * renewed and self._misfits() else 0
            chi2 = renewed - held.penalty(self.state.amplitude)
            held.aim(self.state.amplitude)
            chi2 += held.penalty(self.state.amplitude)
            self.moved = step * (1.0 + self._local) / np.maximum(errors, _TOLERANCE[1] / _TOLERANCE[0])
            undamped = self._damping < 0.1
            self._damping = 0.3 * self._damping if self._damping > 1e-5 else 0.0
            self._local = np.where(self._local > 1e-3, 0.3 * self._local, 0.0)
            if held.inside.any():
                since += float(np.sqrt(np.mean((step[held.inside] / self.state.width[held.inside]) ** 2)))
            self.moved /= np.sqrt(max(self._misfit, 1.0))
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
        if self._misfit < _MISFIT:
            return False
        every = max(1, len(self.scene.image) // 64)
        residual = self.scene.image[::every] - self.scene.model[::every]
        return float(np.nanmean(residual**2)) > _RESIDUAL**2

    def _step_back(self, before: State) -> float:
        """Return to the state before a step that made the fit worse; damp the columns that it got worse at.

        Where they are many, everything is damped. Returns chi² of that state.
        """
        scene, reach = self.scene, 1.5 * before.width
        worse = scene.reduced_chi2(before.positions, reach)
        self.state = before
        _, chi2 = self._compare(before)
        better = scene.reduced_chi2(before.positions, reach)
        bad = worse > better * (1.0 + 1e-3)
        self._local[bad] = np.clip(10.0 * self._local[bad], 0.1, 1e6)
        if np.mean(bad) > 0.05 or not bad.any():
            self._damping = max(10.0 * self._damping, 1e-3)
        return chi2

    def _step(self, columns: Floats, fields: Floats) -> Floats:
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


def _held_part(change: Floats, precision: Floats) -> Floats:
    """Return the part (n,) of changes of the precision (n, 3) that stays within a third of its smaller eigenvalue."""
    mean, half = 0.5 * (precision[:, 0] + precision[:, 2]), 0.5 * (precision[:, 0] - precision[:, 2])
    smaller = mean - np.hypot(half, precision[:, 1])
    size = np.abs(0.5 * (change[:, 0] + change[:, 2])) + np.hypot(0.5 * (change[:, 0] - change[:, 2]), change[:, 1])
    part: Floats = np.minimum(1.0, 0.33 * smaller / np.maximum(size, 1e-300))
    return part
