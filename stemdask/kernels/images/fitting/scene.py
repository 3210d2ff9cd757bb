"""The model image of a joint fit: what it is for some parameters, how it differs from the data, its derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stemdask.kernels.arrays import Floats, Image, Indices, Integers32
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting import fisher
from stemdask.kernels.images.fitting.aberrations import (
    N_TERMS,
    SPREAD,
    brightest,
    render_change,
    render_shaped,
    shaped_information,
    shaped_score,
)
from stemdask.kernels.images.fitting.assembly import Information
from stemdask.kernels.images.fitting.constraints import Constraints
from stemdask.kernels.images.fitting.ellipses import changed_precision, mean_width
from stemdask.kernels.images.fitting.gaussian import moments
from stemdask.kernels.images.fitting.halo import add_columns, redistributed
from stemdask.kernels.images.fitting.misfit import as_moves
from stemdask.kernels.images.fitting.noise import Noise
from stemdask.kernels.images.fitting.normal_equations import Fields, NormalEquations, ShapeInformation
from stemdask.kernels.images.fitting.overlaps import overlapping_pairs
from stemdask.kernels.images.fitting.patch_fields import PatchFields
from stemdask.kernels.images.fitting.smooth import Patches, SmoothBasis
from stemdask.kernels.images.fitting.trust import trust_in

#: Columns further apart than this many of their widths don't share information.
_PAIR_REACH = 6.0
#: What is known of the second differences of the background from knot to knot: their standard deviation as a part of
#: the image's contrast, and a stiffness as a part of what the pixels of a cell would tell without columns. Loose, but
#: where columns overlap, and in the corners of an image, hardly anything else tells the background from the columns.
_ROUGHNESS, _STIFFNESS = 0.1, 3e-3
#: With terms of the shape below this the information of Gaussians does.
_NEARLY_GAUSSIAN = 0.02
#: Widths of the columns of a further sublattice in units of the first one's that can be true.
_NARROWER, _WIDER = 0.67, 1.4
#: The variance is never taken below this part of that at the mean brightness.
_DARK = 0.02
#: Pixels that are trusted this much more or less than before are worth another fit.
_CLEARLY = 0.2


@dataclass
class State:
    """What a joint fit varies: n columns, and the coefficients of what they share (background, widths, shape)."""

    positions: Floats
    amplitude: Floats
    precision: Floats
    coefficients: Floats

    @property
    def width(self) -> Floats:
        """(n,), px."""
        return mean_width(self.precision)


@dataclass
class Scene:
    """An image and everything about its columns that a fit doesn't vary.

    Attributes
    ----------
    image
        (y, x), NaN where a pixel doesn't count.
    sublattice
        (n,), from 0 up.
    n_sublattices
        Their number.
    background, widths
        Splines of the background and of the widths; `widths` is None where each column has its own.
    noise
        Of the image, in its units.
    shaped
        Whether the terms of the deviation from a Gaussian that all columns share are fitted.
    known_shape
        (3,), those terms where they aren't.
    trust
        (y, x), by which the weights of pixels are multiplied.
    halo
        The part of the columns' counts that lies in their halo; drawn anew only by :meth:`draw_halo`.
    """

    image: Image
    sublattice: Indices
    n_sublattices: int
    background: SmoothBasis
    widths: SmoothBasis | None
    noise: Noise
    shaped: bool = False
    known_shape: Floats = field(default_factory=lambda: np.zeros(N_TERMS))

    def __post_init__(self) -> None:
        self.model, self.weight, self.weighted = (np.zeros_like(self.image) for _ in range(3))
        self.trust = np.ones_like(self.image)
        self.halo, self._halo = 0.0, np.zeros_like(self.image)
        bases = [self.background] if self.widths is None else [self.background, self.widths]
        self.patches = Patches.of(self.background.shape, *bases)
        of_widths = [] if self.widths is None else [self.patches.fields(self.widths)] * (3 * self.n_sublattices)
        self.fields = PatchFields((self.patches.fields(self.background), *of_widths))
        self.fields_and_shape = self.fields.with_constants(N_TERMS)
        self.set_noise(self.noise)
        self.columns_of = [np.flatnonzero(self.sublattice == s) for s in range(self.n_sublattices)]

    def set_noise(self, noise: Noise) -> None:
        """Weigh the pixels by another noise from now on."""
        self.noise = noise
        sample = self.image[::8, ::8]
        mean = float(np.mean(sample[np.isfinite(sample)])) if np.isfinite(sample).any() else 0.0
        typical = max(noise.gain * mean + noise.readout, 1e-14)
        told = self.image.size / self.background.size / typical
        self.stiffness = self.background.roughness() * (1.0 / _ROUGHNESS**2 + _STIFFNESS * told)

    @property
    def _ratios(self) -> slice:
        """Where the coefficients hold the precision of the further sublattices in units of that of the first."""
        assert self.widths is not None
        start = self.background.size + 3 * self.widths.size
        return slice(start, start + self.n_sublattices - 1)

    def precision(self, positions: Floats, coefficients: Floats) -> Floats:
        """Return the precisions (n, 3) that the shared widths give to columns (n, 2)."""
        assert self.widths is not None
        ratio = np.concatenate([[1.0], coefficients[self._ratios]])[self.sublattice]
        ellipse = coefficients[self.background.size : self._ratios.start].reshape(3, -1)
        return np.stack([ratio * self.widths.values(part, positions) for part in ellipse], axis=1)

    def unlike(self, state: State) -> bool:
        """Tell whether columns of one sublattice are wider or narrower than those of another by more than they may be.

        They are images of one probe: in images of crystals it is by a fifth, rarely by a quarter. What the model of the
        background can't follow, as contamination some columns wide, may make it any factor.
        """
        if self.widths is None:
            return False
        width = state.coefficients[self._ratios] ** -0.5
        return bool(((width < _NARROWER) | (width > _WIDER)).any())

    def precision_change(self, state: State, coefficients: Floats) -> Floats:
        """Return how the columns' precisions (n, 3) change to first order with the coefficients."""
        assert self.widths is not None
        change, ground = np.empty((len(state.amplitude), 3)), self.background.size
        fields = (self.tie(state.coefficients) @ coefficients)[
            ground : ground + 3 * self.n_sublattices * self.widths.size
        ]
        for of, ellipse in zip(self.columns_of, fields.reshape(self.n_sublattices, 3, -1), strict=True):
            for j, part in enumerate(ellipse):
                change[of, j] = self.widths.values(part, state.positions[of])
        return change

    def changed(self, coefficients: Floats, change: Floats) -> Floats:
        """Return coefficients after a change, linear in what the image of all columns together is linear in.

        In the inverse of the precision, that is, and in the third and fourth cumulants of the shape: so steps along
        which width, height, shape and background nearly replace one another can be long.
        """
        new = coefficients + change
        if self.widths is None:
            return new
        of, ratios = slice(self.background.size, self._ratios.start), self._ratios
        before, by = coefficients[of].reshape(3, -1).T, change[of].reshape(3, -1).T
        after = changed_precision(before, by)
        new[of] = after.T.ravel()
        new[ratios] = coefficients[ratios] ** 2 / (coefficients[ratios] - change[ratios])
        if self.shaped:
            wider = np.mean(mean_width(after) ** 2) / np.mean(mean_width(before) ** 2)
            linearly = -np.mean(by[:, [0, 2]]) / np.mean(before[:, [0, 2]])
            power, terms = np.array([2.0, 1.5, 1.5]), coefficients[-N_TERMS:]
            new[-N_TERMS:] = (terms * (1.0 + power * linearly) + change[-N_TERMS:]) / wider**power
        return new

    def tie(self, coefficients: Floats) -> Floats:
        """Return the derivatives of fields of all sublattices' own by the coefficients: (c of theirs, c).

        All columns are images of one probe: those of another sublattice may be wider, but not turned against it.
        """
        n, size, ground = len(coefficients), self.n_sublattices, self.background.size
        if self.widths is None or size < 2:
            return np.eye(n)
        ratio = np.concatenate([[1.0], coefficients[self._ratios]])
        length = self._ratios.start - ground
        ties = np.zeros((n + (size - 1) * (length - 1), n))
        ties[:ground, :ground] = np.eye(ground)
        for s in range(size):
            of = slice(ground + s * length, ground + (s + 1) * length)
            ties[of, ground : ground + length] = ratio[s] * np.eye(length)
            if s:
                ties[of, self._ratios.start + s - 1] = coefficients[ground : ground + length]
        rest = n - self._ratios.stop
        if rest:
            ties[-rest:, -rest:] = np.eye(rest)
        return ties

    def shape(self, state: State) -> Floats:
        """Return the three terms by which the columns deviate from a Gaussian."""
        return state.coefficients[-N_TERMS:] if self.shaped else self.known_shape

    def asymmetry(self, state: State) -> Floats:
        """Return where a column is brightest, from what the model takes for its place: (y, x), px."""
        terms = self.shape(state)
        return brightest(terms) * float(np.median(state.width)) if terms.any() and len(state.amplitude) else np.zeros(2)

    def draw(self, state: State) -> None:
        """Bring the model image up to date."""
        self.model[:] = self.background.image(state.coefficients[: self.background.size])
        add_columns(self.model, state.positions, state.amplitude, state.precision, self.shape(state))
        if self.halo:
            self.model += self._halo

    def redistributed(self, state: State) -> Image:
        """Return what a halo adds to the image if all counts of the columns are in it."""
        return redistributed(
            self.background.shape, state.positions, state.amplitude, state.precision, self.shape(state)
        )

    def draw_halo(self, state: State) -> None:
        """Bring the halo up to date; it's held while the columns are fitted."""
        self._halo = np.float32(self.halo) * self.redistributed(state)

    def weigh(self, state: State) -> tuple[float, float]:
        """Bring weights and weighted residual up to date; return chi² with the weights before and with the new ones.

        Chi² here includes what is known of the background beforehand.
        """
        gain, readout = self.noise.gain, self.noise.readout
        mean = float(self.model[:: max(1, len(self.model) // 256)].mean())
        floor = _DARK * abs(gain * mean + readout) if gain else readout
        before, after = _weigh(
            self.image,
            self.model,
            self.trust,
            self.weight,
            self.weighted,
            gain,
            readout,
            max(floor, 1e-14),
        )
        prior = self.known(state.coefficients, state.coefficients)
        return before + prior, after + prior

    def known(self, one: Floats, other: Floats) -> float:
        """Return the product of two sets of coefficients by what is known of background and shape beforehand."""
        ground = self.background.size
        product = float(one[:ground] @ self.stiffness @ other[:ground])
        if self.shaped:
            product += float(np.sum(one[-N_TERMS:] * other[-N_TERMS:] / SPREAD**2))
        return product

    def doubt(self, positions: Floats, distance: float) -> bool:
        """Trust pixels around columns (n, 2), `distance` px apart, as much as the model explains them.

        Tells whether that is news; what changes little stays as it was.
        """
        trust = trust_in(
            self.image, self.model, np.divide(self.weight, self.trust), positions, distance, self.noise.correlation
        )
        if np.abs(trust - self.trust).max() <= _CLEARLY:
            return False
        self.trust = trust
        return True

    def misfit(self, state: State, of: Indices, distance: float) -> Floats:
        """Return what is left over that some columns, `distance` px apart, could take for moves: 1 is usual."""
        return as_moves(
            self.image,
            self.model,
            self.weight,
            state.positions[of],
            state.amplitude[of],
            self.sublattice[of],
            float(np.median(state.width)),
            distance,
        )

    def undoubted(self) -> Image:
        """Return the image without the pixels that are doubted."""
        return np.where(self.trust < 1.0, np.float32(np.nan), self.image)

    def gradient(self, state: State, constraints: Constraints) -> tuple[Floats, Floats]:
        """Return the score of the columns' free parameters (n, P) and of the fields' coefficients."""
        columns, shared = self.sums(self.weighted, state, constraints)
        ground, ghosts = state.coefficients[: self.background.size], constraints.ghosts
        shared[: len(ground)] -= self.stiffness @ ground
        if self.shaped:
            shared[-N_TERMS:] -= state.coefficients[-N_TERMS:] / SPREAD**2
        columns[ghosts, 0] += constraints.expected_weight * (constraints.expected - state.amplitude[ghosts])
        return np.where(constraints.free, columns, 0.0), shared

    def sums(self, image: Image, state: State, constraints: Constraints) -> tuple[Floats, Floats]:
        """Return the sums of an image with the derivatives by the columns' free parameters and by the coefficients."""
        score, told = self._score(image, state)
        fields = self._field_sums(image, state, score)
        shared = self.tie(state.coefficients).T @ np.concatenate([fields, told])
        return np.where(constraints.free, score[:, : constraints.free.shape[1]], 0.0), shared

    def _score(self, image: Image, state: State) -> tuple[Floats, Floats]:
        """Return the sums of an image with the derivatives by columns (n, 6), and by the terms of their shape."""
        score, moment = np.empty((len(state.amplitude), 6)), np.empty((len(state.amplitude), 6))
        terms = self.shape(state)
        if self.shaped or terms.any():
            told = shaped_score(image, state.positions, state.amplitude, state.precision, terms, score)
            return score, told if self.shaped else told[:0]
        moments(image, state.positions, state.precision, 2, False, moment)
        fisher.score(state.amplitude, state.precision, moment, score)
        return score, np.zeros(0)

    def _field_sums(self, image: Image, state: State, score: Floats) -> Floats:
        """Return the sums of an image with the derivatives by background and widths; `score` has those of columns."""
        parts = [self.background.project(image)]
        if self.widths is not None:
            for of in self.columns_of:
                parts += [self.widths.weighted_sums(score[of, 3 + j], state.positions[of]) for j in range(3)]
        return np.concatenate(parts)

    def curvature(
        self, state: State, constraints: Constraints, columns: Floats, coefficients: Floats
    ) -> tuple[Floats, Floats]:
        """Multiply the Fisher information with a change of columns (n, P) and coefficients (c,), pixel by pixel.

        Slower than the matrix of :meth:`equations`, and without its approximations.
        """
        free, ground, ghosts = constraints.free, self.background.size, constraints.ghosts
        gained = self.change(state, constraints, columns, coefficients)
        gained *= self.weight
        curved, shared = self.sums(gained, state, constraints)
        shared[:ground] += self.stiffness @ coefficients[:ground]
        if self.shaped:
            shared[-N_TERMS:] += coefficients[-N_TERMS:] / SPREAD**2
        curved[ghosts, 0] += constraints.expected_weight * np.where(free[ghosts, 0], columns[ghosts, 0], 0.0)
        # What is held stays where it is, as in the matrix.
        return np.where(free, curved, columns), shared

    def change(self, state: State, constraints: Constraints, columns: Floats, coefficients: Floats) -> Image:
        """Return how the model image changes to first order with columns (n, P) and coefficients (c,)."""
        terms, of_columns = self.shape(state), np.zeros((len(columns), 6))
        of_columns[:, : columns.shape[1]] = np.where(constraints.free, columns, 0.0)
        if self.widths is not None:
            of_columns[:, 3:] = self.precision_change(state, coefficients)
        image = self.background.image(coefficients[: self.background.size])
        of_terms = coefficients[-N_TERMS:] if self.shaped else np.zeros(N_TERMS)
        render_change(image, state.positions, state.amplitude, state.precision, terms, of_columns, of_terms)
        return image

    def _gaussian_information(self, state: State, pairs: Integers32, blocks: Floats, beneath: Floats) -> None:
        """Write the information of columns with themselves and others (p, 6, 6), and with the background."""
        centre, product, height = np.empty((len(pairs), 2)), np.empty((len(pairs), 3)), np.empty(len(pairs))
        fisher.products(state.positions, state.precision, pairs, centre, product, height)
        moment = np.empty((len(pairs), 15))
        moments(self.weight, centre, product, 4, True, moment)
        fisher.information(state.positions, state.amplitude, state.precision, pairs, centre, height, moment, blocks)
        under = np.empty((len(beneath), 15))
        moments(self.weight, state.positions, state.precision, 4, True, under)
        fisher.coupling_to_background(state.amplitude, state.precision, under, beneath)

    def with_shape(self, equations: NormalEquations, state: State, constraints: Constraints) -> NormalEquations:
        """Return the equations of columns with the terms of their shape, which the state has, but they don't."""
        free, tie = constraints.free, self.tie(state.coefficients)
        columns, shared = np.empty((*free.shape, N_TERMS)), []
        for t, term in enumerate(np.eye(N_TERMS)):
            weighted = np.zeros_like(self.image)
            render_shaped(weighted, state.positions, state.amplitude, state.precision, 0.0, term)
            weighted *= self.weight
            score, told = self._score(weighted, state)
            columns[:, :, t] = np.where(free, score[:, : free.shape[1]], 0.0)
            shared.append(tie.T @ np.concatenate([self._field_sums(weighted, state, score), told]))
        among = np.stack(shared, axis=1)
        among[-N_TERMS:] += np.diag(1.0 / SPREAD**2)
        return equations.with_shape(ShapeInformation(columns, among), self.fields_and_shape)

    def reduced_chi2(self, positions: Floats, radius: Floats) -> Floats:
        """Return the mean of residual²/variance (n,) within radii (n,), px, of positions (n, 2); NaN without pixels."""
        out = np.empty(len(positions))
        _reduced_chi2(self.weighted, self.weight, self.trust, positions, radius**2, out)
        return out

    def equations(self, state: State, constraints: Constraints) -> NormalEquations:
        """Return the Fisher information of all parameters with the weights of the last :meth:`weigh`."""
        n, width = len(state.amplitude), state.width
        reach = np.where(state.amplitude != 0.0, 0.5 * _PAIR_REACH * width, 0.0)
        pairs = overlapping_pairs(state.positions, reach)
        both = np.concatenate([np.repeat(np.arange(n, dtype=np.int32)[:, None], 2, axis=1), pairs])
        blocks, beneath = np.empty((len(both), 6, 6)), np.empty((n, 6, self.fields.length))
        terms = self.shape(state)
        if np.abs(terms).max() > _NEARLY_GAUSSIAN:
            shaped_information(
                self.weight, state.positions, state.amplitude, state.precision, terms, both, blocks, beneath
            )
        else:
            self._gaussian_information(state, both, blocks, beneath)
        blocks[constraints.ghosts, 0, 0] += constraints.expected_weight
        fields = Fields(
            self.patches,
            self.fields,
            self.n_sublattices,
            self.weight,
            self.stiffness,
            None if self.widths is None else _STIFFNESS * self.widths.roughness(),
        )
        of_fields = slice(None, -N_TERMS) if self.shaped else slice(None)
        equations = NormalEquations.build(
            Information(blocks, pairs, beneath),
            constraints.free,
            self.sublattice,
            state.positions,
            fields,
            self.tie(state.coefficients)[of_fields, of_fields],
        )
        return self.with_shape(equations, state, constraints) if self.shaped else equations


@kernel
def blank(image: Image, positions: Floats, radius: Floats) -> None:
    """Leave out the pixels within a radius (n,) of positions (n, 2): make them NaN."""
    height, width = image.shape
    for k in range(len(radius)):
        y, x, reach = positions[k, 0], positions[k, 1], radius[k]
        for row in range(max(0, int(np.ceil(y - reach))), min(height, int(np.floor(y + reach)) + 1)):
            for column in range(max(0, int(np.ceil(x - reach))), min(width, int(np.floor(x + reach)) + 1)):
                if (row - y) ** 2 + (column - x) ** 2 <= reach * reach:
                    image[row, column] = np.nan


@kernel(fastmath={"contract", "reassoc"})
def _weigh(
    image: Image,
    model: Image,
    trust: Image,
    weight: Image,
    weighted: Image,
    gain: float,
    readout: float,
    floor: float,
) -> tuple[float, float]:
    old = new = 0.0
    gain32, readout32, floor32 = np.float32(gain), np.float32(readout), np.float32(floor)
    for row in range(image.shape[0]):
        before = after = np.float32(0.0)
        for column in range(image.shape[1]):
            residual = image[row, column] - model[row, column]
            variance = max(gain32 * model[row, column] + readout32, floor32)
            counts = residual == residual
            residual = residual if counts else np.float32(0.0)
            renewed = trust[row, column] / variance if counts else np.float32(0.0)
            before += weight[row, column] * residual * residual
            after += renewed * residual * residual
            weight[row, column] = renewed
            weighted[row, column] = renewed * residual
        old += float(before)
        new += float(after)
    return old, new


@kernel
def _reduced_chi2(weighted: Image, weight: Image, trust: Image, positions: Floats, reach2: Floats, out: Floats) -> None:
    """Write the mean of residual²/variance within a radius whose square is `reach2`."""
    height, width = weight.shape
    for k in range(len(out)):
        y, x = positions[k, 0], positions[k, 1]
        reach = np.sqrt(reach2[k])
        total, count = 0.0, 0
        for row in range(max(0, int(np.ceil(y - reach))), min(height, int(np.floor(y + reach)) + 1)):
            for column in range(max(0, int(np.ceil(x - reach))), min(width, int(np.floor(x + reach)) + 1)):
                if (row - y) ** 2 + (column - x) ** 2 <= reach2[k] and weight[row, column] > 0.0:
                    total += np.float64(weighted[row, column]) ** 2 / np.float64(
                        weight[row, column] * trust[row, column]
                    )
                    count += 1
        out[k] = total / count if count else np.nan
