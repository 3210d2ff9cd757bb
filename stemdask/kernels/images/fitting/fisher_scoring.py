"""Steps of a joint fit to its fixed point: how far each goes, which are taken back, when all are at rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats, Image
from stemdask.kernels.images.fitting.aberrations import N_TERMS
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, RAN_AWAY
from stemdask.kernels.images.fitting.constraints import Constraints
from stemdask.kernels.images.fitting.ellipses import changed_precision, determinant, relative_determinant
from stemdask.kernels.images.fitting.normal_equations import NormalEquations
from stemdask.kernels.images.fitting.scene import Scene, State

#: The fit ends when steps are this small against the standard errors (or px), but for one column in a thousand.
_TOLERANCE = (0.03, 1e-4)
#: The Fisher information is renewed when the columns have moved this far since, as a part of their width.
_RENEW = 0.02
#: Columns that are held are moved when they should be by more than this part of their width.
_MOVED = 0.005
#: Standard error of a median times the root of the number, over the median deviation; what chance makes of its square
#: is taken away so many times.
_MEDIAN_SCATTER, _DOUBTED = 1.86, 4.0
#: Where a step makes the fit worse at more than this part of the columns it is shortened, down to this part of it.
_FEW, _LEAST_PART = 0.05, 0.03
#: A column that is damped by this factor stays where it is.
_STILL = 1e6
#: Less than this part of what chance makes of chi² by one parameter is no change; after two such steps the fit ends.
_SLIGHT = 0.1
#: Accuracy of the rough solutions, of single and last steps and of those on the way, and the most rough solutions that
#: are refined to one.
_ROUGH, _ACCURACY, _FAR_ACCURACY, _MOST_REFINEMENTS = 0.1, 0.03, 0.1, 25
#: Accuracy of what replaces an image of which little is left.
_EXACT = 3e-4
#: Parts of an image along each side that are asked what it lacks; those count that tell this part of what others do,
#: and are no more than so many standard errors from most.
_PARTS, _TELLS, _FAR_OFF = 6, 0.02, 3.0
#: A rough solution that is right to this is not refined.
_TRUST = 0.1
#: Damping of what is held.
_HELD = 1e9
#: The optimum is near where chi² can't fall by more than this part.
_NEAR = 0.05
#: Far from it chi² falls by more than this part to first order, and what a shape would add to that means nothing.
_FAR = 0.3
#: What a shape adds to a fall that is larger than that is believed beyond this part of it, and this much evidence.
_UNSURE, _PLENTY = 0.1, 10.0
#: At the least so much of a shape is told by the parts of the field that agree on it.
_MOST = 0.8
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
    equations
        Fisher information near the state; None before the first step.
    """

    def __init__(self, scene: Scene, constraints: Constraints, state: State) -> None:
        self.scene, self.constraints, self.state = scene, constraints, state
        self.origin = state.positions.copy()
        self.iterations = 0
        self.moved = np.full(len(state.amplitude), np.inf)
        self.equations: NormalEquations | None = None
        self._misfit = 1.0  # reduced chi²
        self._damping, self._travelled, self._best = 0.0, np.inf, 1.0

    def run(self, max_iterations: int, *, alone: bool = False) -> None:
        """Iterate to the fixed point; with `alone`, what the columns share is held."""
        self._held = _HELD if alone else 0.0
        self._single = max_iterations == 1
        for _ in range(max_iterations if len(self.moved) else 0):
            self.iterations += 1
            if self._travelled > _RENEW and not self._renew_equations():
                continue
            gradient = self.scene.gradient(self.state, self.constraints)
            solution = self._solve(*gradient)
            if solution is None:
                self._damp_all()
                continue
            self._promised = float(np.vdot(solution[0], gradient[0]) + solution[1] @ gradient[1])
            before, length = self.state, self._step(self._part * solution[0], self._part * solution[1])
            if not self._accept(length):
                self._step_back(before)
                if self._damping > _HOPELESS:
                    break
            elif self._at_rest(length) or self.scene.unlike(self.state):
                break

    def carry_held(self) -> bool:
        """Move the columns that are held along with the others of their sublattice; tell whether that is news.

        The maximum that a column was found by isn't its place in a model with coma, nor where tails of others bend it.
        """
        positions, held = self.state.positions.copy(), ~self.constraints.free[:, 1]
        for of in self.scene.columns_of:
            free, still = of[~held[of]], of[held[of]]
            if len(free):
                positions[still] = self.origin[still] + _common(positions[free] - self.origin[free])
        way = np.abs(positions - self.state.positions).max(axis=1, initial=0.0)
        if not (way > _MOVED * self.state.width).any():
            return False
        self.state = replace(self.state, positions=positions)
        _, self._chi2 = self._compare(self.state)
        self._slight = 0
        return True

    def lacking(self, image: Image) -> tuple[float, float]:
        """Return how much of an image the model lacks, and the standard error of that.

        To first order, and but for what all that is varied can replace. What is lacking everywhere is asked for in
        each of many parts of the field: those far from the others, as one with a spot of dirt, don't count, and where
        the others differ by more than chance the error says so.
        """
        if not self._renew_equations():
            return 0.0, np.inf
        assert self.equations is not None
        scene, state = self.scene, self.state
        sums = scene.sums(scene.weight * image, state, self.constraints)
        columns, fields = self._refined(self.equations, *sums, _EXACT, 3 * _MOST_REFINEMENTS)
        # What is left of the image is small against it: its sums with itself don't lose that in rounding.
        left = image.astype(np.float64) - scene.change(state, self.constraints, columns, fields)
        information, slope = _by_parts(scene.weight * left**2), _by_parts(scene.weighted * left)
        chance = max(self._misfit, 1.0) * scene.noise.correlation
        alike, differ = _alike(information, slope, chance)
        if not alike.any():
            return 0.0, np.inf
        total = float(information[alike].sum()) + scene.known(fields, fields)
        part = (float(slope[alike].sum()) + scene.known(fields, state.coefficients)) / total
        return part, float(np.sqrt(max(chance, differ) / total))

    def conclude(self) -> None:
        """Take the Fisher information of where the fit has ended, from which its errors follow.

        Steps do with that of a place nearby. Where columns overlap by much, errors from there were up to a sixth too
        large.
        """
        if self._travelled > 0.0 and len(self.moved):
            self._renew_equations()

    def choose_shape(self, evidence: float) -> bool:
        """Let the columns share a shape if chi² falls by more than `evidence`, in units of what chance makes of it.

        To first order, and beyond what it falls by with Gaussians: chi² of 3 degrees of freedom where they are that.
        Most parts of the field must tell it: columns that the model doesn't know make a shape of their rims. Returns
        whether that decides it: far from the optimum a no doesn't, nor does a yes by little.
        """
        if not self._renew_equations():
            return False
        before, gaussians = self.state, self.equations
        assert gaussians is not None
        shaped = replace(before, coefficients=np.append(before.coefficients, np.zeros(N_TERMS)))
        self._take(True, shaped, gaussians)
        with_shape = self.scene.with_shape(gaussians, shaped, self.constraints)
        n = max(int(np.count_nonzero(self.scene.weight)), 1)
        # Near the optimum a quick look does: the rough matrix takes what overlapping columns share for well known.
        for exact, rough in (
            (False, with_shape),
            (True, gaussians.with_shape(with_shape.terms_alone(N_TERMS), self.scene.fields_and_shape)),
        ):
            self._take(False, before, gaussians)
            fall, change = self._fall(exact)
            self._take(True, shaped, rough)
            more, change_with_shape = self._fall(exact)
            gain, chance = more - fall, self.scene.noise.correlation * max(1.0, (self._chi2 - more) / n)
            settled = exact or _NEAR * self._chi2 > more >= fall
            is_little = more < 2.0 * fall and gain <= max(_UNSURE * fall, _PLENTY * evidence * chance)
            if not settled:
                continue
            if gain <= evidence * chance or is_little:
                self._take(False, before, gaussians)
                return gain <= evidence * chance and more < _FAR * self._chi2
            if self._told_by_most(change_with_shape - change, chance) < _MOST:
                self._take(False, before, gaussians)
                return False
        self._take(True, shaped, with_shape)
        return True

    def _told_by_most(self, change: Image, chance: float) -> float:
        """Return how much of a change of the model the parts of the field that agree ask for, over what all do."""
        information, slope = _by_parts(self.scene.weight * change**2), _by_parts(self.scene.weighted * change)
        alike, _ = _alike(information, slope, chance)
        by_most = float(slope[alike].sum()) * float(information.sum())
        return by_most / (float(information[alike].sum()) * float(slope.sum())) if alike.any() else 0.0

    def _take(self, shaped: bool, state: State, equations: NormalEquations) -> None:
        """Go on from a state, of columns with a shape or without, by these equations."""
        self.scene.shaped, self.state, self.equations = shaped, state, equations
        self._trusted = False

    def _fall(self, exact: bool) -> tuple[float, Image]:
        """Return by how much chi² would fall in one step, and how the model image would change."""
        assert self.equations is not None
        columns, fields = self.scene.gradient(self.state, self.constraints)
        if exact:
            step = self._refined(self.equations, columns, fields, 0.1 * _ACCURACY, 3 * _MOST_REFINEMENTS)
        else:
            step = self.equations.solve(columns, fields, accuracy=0.1 * _ROUGH)
        fall = float(np.vdot(step[0], columns) + step[1] @ fields)
        return fall, self.scene.change(self.state, self.constraints, *step)

    def begin(self) -> None:
        """Forget what was known with other weights of the pixels, and compare the state with the image."""
        n = len(self.moved)
        self._slight = 0  # steps one after another that hardly changed chi²
        self._part = self._best = 1.0  # of the step that is taken, and that would be best
        self._promised = 0.0  # by how much chi² falls with the whole step, to first order
        self._local, self._damping = np.zeros(n), 0.0  # by which the diagonal of columns, and of all, is raised
        self._trusted = self._nearly_there = False
        self._travelled, self._errors = np.inf, np.zeros(n)  # since the equations were renewed; px
        self.constraints.expect_amplitudes(self.state.amplitude)
        _, self._chi2 = self._compare(self.state)

    def _renew_equations(self) -> bool:
        """Take the Fisher information of the present state; give up columns that no pixel sees, and say if none was."""
        self.equations = self.scene.equations(self.state, self.constraints)
        blind = ~(self.equations.own[:, 0, 0] > 0.0) & self.constraints.free[:, 0]
        if blind.any():
            self.constraints.give_up(blind, NO_SIGNAL)
            return False
        self._errors = np.sqrt(0.5 * (self.equations.inverse[:, 1, 1] + self.equations.inverse[:, 2, 2]))
        self._travelled, self._trusted = 0.0, False
        return True

    def _solve(self, columns: Floats, fields: Floats) -> tuple[Floats, Floats] | None:
        """Return the step of columns and fields; None where the matrix isn't positive definite: widths are far off."""
        assert self.equations is not None
        damped = self.equations.damped(self._local + self._damping, self._damping + self._held)
        if self._held:
            solution = damped.solve(columns, np.zeros_like(fields), accuracy=_ACCURACY)
        elif self._trusted and not self._nearly_there:
            solution = damped.solve(columns, fields, accuracy=_ROUGH)
        else:
            accuracy = _ACCURACY if self._single or self._nearly_there else _FAR_ACCURACY
            solution = self._refined(damped, columns, fields, accuracy, _MOST_REFINEMENTS)
        return solution if solution[0].any() or not columns.any() else None

    def _refined(
        self, rough: NormalEquations, columns: Floats, fields: Floats, accuracy: float, most: int
    ) -> tuple[Floats, Floats]:
        """Solve with the exact curvature, by conjugate gradients that the rough matrix preconditions.

        Width, background and amplitude can almost replace one another: in that direction the rough matrix, which takes
        fields as linear across a column, may be wrong by orders of magnitude.
        """
        assert self.equations is not None
        x, xf = np.zeros_like(columns), np.zeros_like(fields)
        r, rf = columns.copy(), fields.copy()
        d, df, old = np.zeros_like(columns), np.zeros_like(fields), 1.0
        first = None
        ad, adf = d, df
        for refinement in range(most):
            z, zf = rough.solve(r, rf, accuracy=_ROUGH)
            told = float(np.vdot(r, z) + rf @ zf)
            first = told if first is None else first
            if refinement == 1:
                self._trusted = 0.0 < told < _TRUST**2 * first
            if not told > 0.0 or told < accuracy**2 * first:
                break
            # Flexible: the rough solution isn't linear in what it solves for.
            beta = -float(np.vdot(z, ad) + zf @ adf) / old if old else 0.0
            d, df = z + beta * d, zf + beta * df
            ad, adf = self.scene.curvature(self.state, self.constraints, d, df)
            if rough is not self.equations:
                more, less = rough.apply(d, df), self.equations.apply(d, df)
                ad, adf = ad + more[0] - less[0], adf + more[1] - less[1]
            old = float(np.vdot(d, ad) + df @ adf)
            if not old > 0.0:
                break
            part = float(np.vdot(r, d) + rf @ df) / old
            x, xf = x + part * d, xf + part * df
            r, rf = r - part * ad, rf - part * adf
        return x, xf

    def _damp_all(self) -> None:
        self._damping = max(10.0 * self._damping, 1e-3)

    def _accept(self, length: Floats) -> bool:
        """Tell whether a step (n,), px, has not made the fit worse; if so, reckon from its state on."""
        merit, renewed = self._compare(self.state)
        # Chi² along the step as a parabola: what the model leaves over bends it more than the information tells.
        bend = merit - self._chi2 + 2.0 * self._part * self._promised
        self._best = self._part**2 * self._promised / bend if bend > 0.0 else 1.0
        chance = _SLIGHT * max(self._misfit, 1.0) * self.scene.noise.correlation
        if not merit <= self._chi2 * (1.0 + 1e-6) + chance:
            return False
        self._misfit = renewed / max(int(np.count_nonzero(self.scene.weight)), 1)
        self._slight = self._slight + 1 if self._chi2 - merit < chance else 0
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
        self.moved /= self._part
        undamped = self._damping < 0.1
        self._part = float(np.clip(self._best, self._part, 1.0))
        self._damping = 0.3 * self._damping if self._damping > 1e-5 else 0.0
        self._local = np.where(self._local > 1e-3, 0.3 * self._local, 0.0)
        inside = self.constraints.inside
        restless = np.count_nonzero(self.moved[inside] > _TOLERANCE[0])
        rest = undamped and (restless <= 1e-3 * np.count_nonzero(inside) or self._slight > 1)
        # In a direction that the rough matrix takes for better known than it is, its steps are too short.
        exact, self._nearly_there = self._nearly_there or not self._trusted, self._nearly_there or bool(rest)
        return bool(rest and exact)

    def _compare(self, state: State) -> tuple[float, float]:
        """Draw the model and return chi² with the weights before and with those of the new model."""
        self.scene.draw(state)
        before, after = self.scene.weigh(state)
        known = self.constraints.penalty(state.amplitude)
        return before + known, after + known

    def _step_back(self, before: State) -> None:
        """Return to the state before a step that made the fit worse; damp the columns that it got worse at.

        Where they are many, or don't move any more, it's what all share that went too far: the next step is shorter.
        """
        scene, reach = self.scene, 1.5 * before.width
        worse = scene.reduced_chi2(before.positions, reach)
        self.state = before
        _, self._chi2 = self._compare(before)
        better = scene.reduced_chi2(before.positions, reach)
        bad = worse > better * (1.0 + 1e-3)
        if 0.0 < np.mean(bad) <= _FEW and (self._local[bad] < _STILL).any():
            self._local[bad] = np.clip(10.0 * self._local[bad], 0.1, _STILL)
        elif self._part > _LEAST_PART:
            self._part = float(np.clip(self._best, _LEAST_PART, 0.5 * self._part))
        else:
            self._damp_all()
        if self._travelled:
            self._travelled = np.inf

    def _step(self, columns: Floats, fields: Floats) -> Floats:
        """Take a step, held to half a width in position and a third in width; return its length in px (n,)."""
        before, constraints, scene = self.state, self.constraints, self.scene
        if scene.widths is None:
            part = _held_part(columns[:, 3:], before.precision)[:, None]
            columns = columns * part
            coefficients = before.coefficients + fields
            wider = columns[:, 3:]
            precision = changed_precision(before.precision, wider)
        else:
            # Widths, background and amplitudes can almost replace one another: they are shortened together.
            wider = scene.precision_change(before, fields)
            whole = float(np.min(_held_part(wider, before.precision), initial=1.0))
            columns, wider = whole * columns, whole * wider
            coefficients = scene.changed(before.coefficients, whole * fields)
            precision = scene.precision(before.positions, coefficients)
        move = columns[:, 1:3]
        length = np.hypot(move[:, 0], move[:, 1])
        move = move * np.minimum(1.0, 0.5 * before.width / np.maximum(length, 1e-300))[:, None]
        positions = before.positions + move
        # What a column adds to the image's mean changes linearly: its volume, not its height.
        volume = before.amplitude * (1.0 - 0.5 * relative_determinant(before.precision, wider)) + columns[:, 0]
        taller = np.sqrt(determinant(precision) / determinant(before.precision))
        least = np.where(constraints.held, -np.inf, 0.2 * before.amplitude)
        amplitude = np.maximum(volume, least) * taller
        strayed = np.hypot(*(positions - self.origin).T) > constraints.limit
        if strayed.any():
            constraints.flag[strayed] = RAN_AWAY
            constraints.free[strayed, 1:] = False
            positions[strayed] = self.origin[strayed]
        self.state = State(positions, amplitude, precision, coefficients)
        return np.where(constraints.free[:, 1], np.hypot(move[:, 0], move[:, 1]), 0.0)


def _common(moves: Floats) -> Floats:
    """Return what moves (n, 2) have in common: their median, less what their scatter makes by chance."""
    median: Floats = np.median(moves, axis=0)
    scatter2 = np.sum((_MEDIAN_SCATTER * np.median(np.abs(moves - median), axis=0)) ** 2) / len(moves)
    return median * max(0.0, 1.0 - _DOUBTED * float(scatter2) / max(float(median @ median), 1e-300))


def _held_part(change: Floats, precision: Floats) -> Floats:
    """Return the part (n,) of changes of the precision (n, 3) that stays within a third of its smaller eigenvalue."""
    mean, half = 0.5 * (precision[:, 0] + precision[:, 2]), 0.5 * (precision[:, 0] - precision[:, 2])
    smaller = mean - np.hypot(half, precision[:, 1])
    size = np.abs(0.5 * (change[:, 0] + change[:, 2])) + np.hypot(0.5 * (change[:, 0] - change[:, 2]), change[:, 1])
    part: Floats = np.minimum(1.0, 0.33 * smaller / np.maximum(size, 1e-300))
    return part


def _by_parts(image: Image | Floats) -> Floats:
    """Return the sum of an image over each of its parts."""
    rows, columns = (np.unique(np.linspace(0, side, _PARTS, endpoint=False, dtype=np.intp)) for side in image.shape)
    return np.asarray(np.add.reduceat(np.add.reduceat(image, rows, axis=0), columns, axis=1).ravel(), np.float64)


def _alike(information: Floats, slope: Floats, chance: float) -> tuple[Booleans, float]:
    """Tell which parts of an image agree on how much it lacks, and how far these differ, in the units of chance."""
    told = np.flatnonzero(information > _TELLS * information.max(initial=0.0))
    each = slope[told] / information[told]
    near = information[told] * (each - np.median(each)) ** 2 <= _FAR_OFF**2 * chance if len(told) else told > 0
    kept = told[near]
    alike = np.zeros(len(information), np.bool_)
    alike[kept] = True
    if len(kept) < 2:
        return alike, 0.0
    mean = float(slope[kept].sum() / information[kept].sum())
    return alike, float(np.sum(information[kept] * (each[near] - mean) ** 2)) / (len(kept) - 1)
