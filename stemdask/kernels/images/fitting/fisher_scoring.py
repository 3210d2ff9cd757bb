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
#: A run ends when steps that are damped this much still make the fit worse.
_HOPELESS = 1e6


class FisherScoring:
    """Brings the state of a scene to its best agreement with the image.

    Attributes
    ----------
    scene, constraints, state
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

    def __init__(self, scene: Scene, constraints: Constraints, state: State) -> None:
        self.scene, self.constraints, self.state = scene, constraints, state
        self.origin = state.positions.copy()
        self.iterations = 0
        self.moved = np.full(len(state.amplitude), np.inf)
        self.fields_held = False
        self.equations: NormalEquations | None = None
        self._misfit = 1.0  # reduced chi²

    def run(self, max_iterations: int) -> None:
        """Iterate to the fixed point."""
        self._begin()
        for _ in range(max_iterations if len(self.moved) else 0):
            self.iterations += 1
            if self._travelled > _RENEW and not self._renew_equations():
                continue
            solution = self._solve()
            if solution is None:
                self._damp_all()
                continue
            before, length = self.state, self._step(*solution)
            if not self._accept(length):
                self._step_back(before)
                if self._damping > _HOPELESS:
                    break
            elif self._at_rest(length):
                break
            elif self._stalled >= _PATIENCE:
                self._hold_fields()

    def _begin(self) -> None:
        """Forget the damping of another run, and compare the state with the image."""
        n = len(self.moved)
        self._local, self._damping = np.zeros(n), 0.0  # by which the diagonal of columns, and of all, is raised
        self._travelled, self._errors = np.inf, np.zeros(n)  # since the equations were renewed; px
        self._stalled = 0  # steps one after another that hardly changed chi²
        self.constraints.expect_amplitudes(self.state.amplitude)
        _, self._chi2 = self._compare(self.state)

    def _renew_equations(self) -> bool:
        """Take the Fisher information of the present state; give up columns that no pixel sees, and say if none was."""
        self.equations = self.scene.equations(self.state, self.constraints)
        if self.fields_held:
            self.equations = self.equations.with_fields_held()
        blind = ~(self.equations.own[:, 0, 0] > 0.0) & self.constraints.free[:, 0]
        if blind.any():
            self.constraints.give_up(blind, NO_SIGNAL)
            return False
        self._errors = np.sqrt(0.5 * (self.equations.inverse[:, 1, 1] + self.equations.inverse[:, 2, 2]))
        self._travelled = 0.0
        return True

    def _solve(self) -> tuple[Floats, Floats] | None:
        """Return the step of columns and fields; None where the matrix isn't positive definite: widths are far off."""
        assert self.equations is not None
        columns, fields = self.scene.gradient(self.state, self.constraints)
        if self.fields_held:
            fields = np.zeros_like(fields)
        step = self.equations.damped(self._local + self._damping, self._damping).solve(columns, fields)
        return None if columns.any() and not step[0].any() else step

    def _damp_all(self) -> None:
        self._damping = max(10.0 * self._damping, 1e-3)

    def _accept(self, length: Floats) -> bool:
        """Tell whether a step (n,), px, has not made the fit worse; if so, reckon from its state on."""
        merit, renewed = self._compare(self.state)
        if not merit <= self._chi2 * (1.0 + 1e-6) + 0.1:
            return False
        self._misfit = renewed / max(int(np.count_nonzero(self.scene.weight)), 1)
        slow = self._chi2 - renewed < _STALL * renewed and self._misfits()
        self._stalled = self._stalled + 1 if slow else 0
        self._chi2 = renewed - self.constraints.penalty(self.state.amplitude)
        self.constraints.expect_amplitudes(self.state.amplitude)
        self._chi2 += self.constraints.penalty(self.state.amplitude)
        inside = self.constraints.inside
        if inside.any():
            self._travelled += float(np.sqrt(np.mean((length[inside] / self.state.width[inside]) ** 2)))
        return True

    def _at_rest(self, length: Floats) -> bool:
        """Tell whether the last step (n,), px, was small for all but a few columns, and damp the next one less."""
        self.moved = length * (1.0 + self._local) / np.maximum(self._errors, _TOLERANCE[1] / _TOLERANCE[0])
        self.moved /= np.sqrt(max(self._misfit, 1.0))
        undamped = self._damping < 0.1
        self._damping = 0.3 * self._damping if self._damping > 1e-5 else 0.0
        self._local = np.where(self._local > 1e-3, 0.3 * self._local, 0.0)
        inside = self.constraints.inside
        restless = np.count_nonzero(self.moved[inside] > _TOLERANCE[0])
        return bool(undamped and restless <= 1e-3 * np.count_nonzero(inside))

    def _hold_fields(self) -> None:
        if not self.fields_held:
            self.fields_held, self._travelled = True, np.inf

    def _compare(self, state: State) -> tuple[float, float]:
        """Draw the model and return chi² with the weights before and with those of the new model."""
        self.scene.draw(state)
        before, after = self.scene.weigh(state)
        known = self.constraints.penalty(state.amplitude)
        return before + known, after + known

    def _misfits(self) -> bool:
        """Tell whether the model can't describe the image."""
        if self._misfit < _MISFIT:
            return False
        every = max(1, len(self.scene.image) // 64)
        residual = self.scene.image[::every] - self.scene.model[::every]
        return float(np.nanmean(residual**2)) > _RESIDUAL**2

    def _step_back(self, before: State) -> None:
        """Return to the state before a step that made the fit worse; damp the columns that it got worse at.

        Where they are many, everything is damped.
        """
        scene, reach = self.scene, 1.5 * before.width
        worse = scene.reduced_chi2(before.positions, reach)
        self.state = before
        _, self._chi2 = self._compare(before)
        better = scene.reduced_chi2(before.positions, reach)
        bad = worse > better * (1.0 + 1e-3)
        self._local[bad] = np.clip(10.0 * self._local[bad], 0.1, 1e6)
        if np.mean(bad) > 0.05 or not bad.any():
            self._damp_all()
        self._travelled = np.inf
        self._stalled += self._misfits()
        self.fields_held |= self._stalled >= _PATIENCE

    def _step(self, columns: Floats, fields: Floats) -> Floats:
        """Take a step, held to half a width in position and a third in width; return its length in px (n,)."""
        before, constraints, scene = self.state, self.constraints, self.scene
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
        strayed = np.hypot(*(positions - self.origin).T) > constraints.limit
        if strayed.any():
            constraints.flag[strayed] = RAN_AWAY
            constraints.free[strayed, 1:] = False
            positions[strayed] = self.origin[strayed]
        self.state = State(positions, amplitude, precision, coefficients)
        return np.where(constraints.free[:, 1], np.hypot(move[:, 0], move[:, 1]), 0.0)


def _held_part(change: Floats, precision: Floats) -> Floats:
    """Return the part (n,) of changes of the precision (n, 3) that stays within a third of its smaller eigenvalue."""
    mean, half = 0.5 * (precision[:, 0] + precision[:, 2]), 0.5 * (precision[:, 0] - precision[:, 2])
    smaller = mean - np.hypot(half, precision[:, 1])
    size = np.abs(0.5 * (change[:, 0] + change[:, 2])) + np.hypot(0.5 * (change[:, 0] - change[:, 2]), change[:, 1])
    part: Floats = np.minimum(1.0, 0.33 * smaller / np.maximum(size, 1e-300))
    return part
