"""The model image of a joint fit: what it is for some parameters, how it differs from the data, its derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stemdask.kernels.arrays import Floats, Image, Indices
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting import fisher
from stemdask.kernels.images.fitting.assembly import Information
from stemdask.kernels.images.fitting.constraints import Constraints
from stemdask.kernels.images.fitting.gaussian import moments, render
from stemdask.kernels.images.fitting.noise import Noise
from stemdask.kernels.images.fitting.normal_equations import Fields, NormalEquations
from stemdask.kernels.images.fitting.overlaps import overlapping_pairs
from stemdask.kernels.images.fitting.profile import Profile
from stemdask.kernels.images.fitting.smooth import Patches, SmoothBasis

#: Columns further apart than this many of their widths don't share information.
_PAIR_REACH = 6.0
#: What is known of the second differences of the background from knot to knot: their standard deviation as a part of
#: the image's contrast, and a stiffness as a part of what the pixels of a cell would tell without columns. Loose, but
#: where columns overlap, and in the corners of an image, hardly anything else tells the background from the columns.
_ROUGHNESS, _STIFFNESS = 0.1, 3e-3
#: The variance is never taken below this part of that at the mean brightness.
_DARK = 0.02


@dataclass
class State:
    """What a joint fit varies: n columns and the coefficients of the fields (background, then widths)."""

    positions: Floats
    amplitude: Floats
    precision: Floats
    coefficients: Floats

    @property
    def width(self) -> Floats:
        """(n,), px."""
        return mean_width(self.precision)


def mean_width(precision: Floats) -> Floats:
    """Return the width (n,) of a round column of the same mean precision."""
    width: Floats = np.sqrt(2.0 / (precision[:, 0] + precision[:, 2]))
    return width


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
    profiles
        For some sublattices the deviation from the Gaussian.
    """

    image: Image
    sublattice: Indices
    n_sublattices: int
    background: SmoothBasis
    widths: SmoothBasis | None
    noise: Noise
    profiles: dict[int, Profile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model, self.weight, self.weighted = (np.zeros_like(self.image) for _ in range(3))
        bases = [self.background] if self.widths is None else [self.background, self.widths]
        self.patches = Patches.of(self.background.shape, *bases)
        ground = self.patches.fields(self.background)
        self.bases = [ground]
        if self.widths is not None:
            self.bases += [self.patches.fields(self.widths)] * (3 * self.n_sublattices)
        self.bases.append(ground)
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

    def precision(self, positions: Floats, coefficients: Floats) -> Floats:
        """Return the precisions (n, 3) that shared width fields give to columns (n, 2)."""
        assert self.widths is not None
        out = np.empty((len(positions), 3))
        fields = coefficients[self.background.size :].reshape(self.n_sublattices, 3, self.widths.size)
        for s, of in enumerate(self.columns_of):
            for j in range(3):
                out[of, j] = self.widths.values(fields[s, j], positions[of])
        return out

    def draw(self, state: State) -> None:
        """Bring the model image up to date."""
        self.model[:] = self.background.image(state.coefficients[: self.background.size])
        render(self.model, state.positions, state.amplitude, state.precision)
        for s, profile in self.profiles.items():
            profile.render(self.model, state.positions[self.columns_of[s]], state.amplitude[self.columns_of[s]])

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
            self.weight,
            self.weighted,
            gain,
            readout,
            max(floor, 1e-14),
        )
        ground = state.coefficients[: self.background.size]
        prior = float(ground @ self.stiffness @ ground)
        return before + prior, after + prior

    def gradient(self, state: State, constraints: Constraints) -> tuple[Floats, Floats]:
        """Return the score of the columns' free parameters (n, P) and of the fields' coefficients."""
        n = len(state.amplitude)
        moment, score = np.empty((n, 6)), np.empty((n, 6))
        moments(self.weighted, state.positions, state.precision, 2, False, moment)
        fisher.score(state.amplitude, state.precision, moment, score)
        ground = state.coefficients[: self.background.size]
        parts = [self.background.project(self.weighted) - self.stiffness @ ground]
        if self.widths is not None:
            for of in self.columns_of:
                parts += [self.widths.weighted_sums(score[of, 3 + j], state.positions[of]) for j in range(3)]
        score[constraints.ghosts, 0] += constraints.expected_weight * (
            constraints.expected - state.amplitude[constraints.ghosts]
        )
        return np.where(constraints.free, score[:, : constraints.free.shape[1]], 0.0), np.concatenate(parts)

    def reduced_chi2(self, positions: Floats, radius: Floats) -> Floats:
        """Return the mean of residual²/variance (n,) within radii (n,), px, of positions (n, 2); NaN without pixels."""
        out = np.empty(len(positions))
        _reduced_chi2(self.weighted, self.weight, positions, radius**2, out)
        return out

    def equations(self, state: State, constraints: Constraints) -> NormalEquations:
        """Return the Fisher information of all parameters with the weights of the last :meth:`weigh`."""
        n, width = len(state.amplitude), state.width
        reach = np.where(state.amplitude > 0.0, 0.5 * _PAIR_REACH * width, 0.0)
        pairs = overlapping_pairs(state.positions, reach)
        both = np.concatenate([np.repeat(np.arange(n, dtype=np.int32)[:, None], 2, axis=1), pairs])
        centre, product, height = np.empty((len(both), 2)), np.empty((len(both), 3)), np.empty(len(both))
        fisher.products(state.positions, state.precision, both, centre, product, height)

        moment, blocks = np.empty((len(both), 15)), np.empty((len(both), 6, 6))
        moments(self.weight, centre, product, 4, True, moment)
        fisher.information(state.positions, state.amplitude, state.precision, both, centre, height, moment, blocks)
        under, beneath = np.empty((n, 15)), np.empty((n, 6, self.bases[0].shape[1]))
        moments(self.weight, state.positions, state.precision, 4, True, under)
        fisher.coupling_to_background(state.amplitude, state.precision, under, beneath)
        blocks[constraints.ghosts, 0, 0] += constraints.expected_weight
        fields = Fields(
            self.patches,
            self.bases,
            self.n_sublattices,
            self.weight,
            self.stiffness,
            None if self.widths is None else _STIFFNESS * self.widths.roughness(),
        )
        return NormalEquations.build(
            Information(blocks, pairs, beneath), constraints.free, self.sublattice, state.positions, fields
        )


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
    image: Image, model: Image, weight: Image, weighted: Image, gain: float, readout: float, floor: float
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
            renewed = np.float32(1.0) / variance if counts else np.float32(0.0)
            before += weight[row, column] * residual * residual
            after += renewed * residual * residual
            weight[row, column] = renewed
            weighted[row, column] = renewed * residual
        old += float(before)
        new += float(after)
    return old, new


@kernel
def _reduced_chi2(weighted: Image, weight: Image, positions: Floats, reach2: Floats, out: Floats) -> None:
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
