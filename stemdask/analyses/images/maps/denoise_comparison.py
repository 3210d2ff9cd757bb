"""All ways of denoising the maps side by side: how far each is from the truth and what it takes from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stemdask.kernels.images.denoising.map_comparison import STEPS, Denoise, lost_steps, risk
from stemdask.kernels.images.denoising.map_denoiser import METHODS, Fields, MapMethod, fit_denoiser
from stemdask.kernels.images.denoising.map_layout import MapLayout
from stemdask.model import Array, Stack, Variable
from stemdask.units import amount

__all__ = ["VARIABLES", "Comparison", "Denoise", "compare", "refitting", "write"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What each method did to the sample; the first axis is that of `METHODS`."""

    risks: Array
    """(method,), estimated mean square error of u and v, pm²; it can come out slightly negative."""
    step_lost: Array
    """(method, 3), pm of an injected step."""
    denoised: Array
    """(method, 2, row, column), u and v of the first frame, pm."""
    residual: Array
    """(method, row, column), RMS over the frames of what was removed, pm."""
    best: MapMethod
    second: MapMethod

    @property
    def errors(self) -> Array:
        """(method,), estimated RMS error of u and v, pm."""
        errors: Array = np.sqrt(np.maximum(self.risks, 0.0))
        return errors

    def anchored(self, error: float) -> Comparison:
        """Return the comparison with a better estimate of the error of the best method.

        The estimated errors of all methods are wrong by the same square where the size of the noise is: what tells
        them apart doesn't depend on it.
        """
        if not np.isfinite(error):
            return self
        return replace(self, risks=self.risks + error**2 - self.risks[METHODS.index(self.best)])

    def reason(self, units: str) -> str:
        """Say why the best method was chosen; errors in the units of the store."""
        if not np.isfinite(self.errors).any():
            return "No cell has an error to compare with, so the displacements are as measured."
        best, second, none = (
            amount(f"{self.errors[METHODS.index(method)]:.2f}", units) for method in (self.best, self.second, "none")
        )
        return (
            f"{self.best} has the least estimated RMS error, {best}, before {self.second} with {second}; the "
            f"displacements as measured have {none}."
        )


def _of_methods(name: str, dims: tuple[str, ...], long_name: str) -> Variable:
    return Variable(f"comparison/{name}", ("method", *dims), "float32", "pm", long_name, stage="finish")


_GRID = ("cell_row", "cell_column")
METHOD = Variable(
    "comparison/method", ("method",), "int8", "1", "way of denoising", flags=dict(enumerate(METHODS)), stage="finish"
)
ESTIMATED_ERROR = _of_methods("estimated_error", (), "estimated RMS error of u and v against the truth")
STEP_LOST = _of_methods("step_lost", ("step",), "loss of an injected step in every frame, half of the frames, one")
U = _of_methods("u", _GRID, "denoised displacement of the first frame along +x")
V = _of_methods("v", _GRID, "denoised displacement of the first frame along +y (down)")
RESIDUAL = _of_methods("residual", _GRID, "RMS over the frames of what was removed")
VARIABLES = (METHOD, ESTIMATED_ERROR, STEP_LOST, U, V, RESIDUAL)


def refitting(
    method: MapMethod, sample: Fields, layout: MapLayout, rank: int | None, scale: float, seed: int
) -> Denoise:
    """Return a function that fits a method to maps as noisy as the sample, and denoises them."""
    noise = sample[1]

    def denoise(values: Array) -> Array:
        fields = values, noise
        return fit_denoiser(method, lambda: [fields], fields, layout, rank, scale, seed).apply(values, noise)[0]

    return denoise


def compare(
    sample: Fields,
    layout: MapLayout,
    rank: int,
    scale: float,
    step: float,
    seed: int,
    offered: Sequence[MapMethod] = METHODS,
) -> Comparison:
    """Denoise the sample in every way and choose, among those on offer, the one with the least estimated error."""
    values, noise = sample
    risks, lost, denoised, residual = [], [], [], []
    for method in METHODS:
        # Patch PCA counts its own components, once: the probes of the risk must all meet the same filter.
        fitted = fit_denoiser(method, lambda: [sample], sample, layout, None if method == "patch_pca" else rank, scale)
        own = fitted.n_components if method == "patch_pca" else rank
        refit = refitting(method, sample, layout, own, scale, seed)
        risks.append(risk(refit, values, scale * noise, seed))
        lost.append(lost_steps(refit, values, step))
        found = refit(values)
        denoised.append(np.where(np.isfinite(values), found, np.nan)[:1].sum(axis=0))
        residual.append(_rms_of_removed(values, found))
    found = np.array(risks)
    squares = np.nan_to_num(found, nan=np.inf)
    best, second = sorted(offered, key=lambda method: float(squares[METHODS.index(method)]))[:2]
    return Comparison(found, np.array(lost), np.array(denoised), np.array(residual), best, second)


def write(stack: Stack, comparison: Comparison) -> None:
    """Write a comparison to the store."""
    stack.write(METHOD.path, np.arange(len(METHODS), dtype=np.int8))
    for variable, array in (
        (ESTIMATED_ERROR, comparison.errors),
        (STEP_LOST, comparison.step_lost),
        (U, comparison.denoised[:, 0]),
        (V, comparison.denoised[:, 1]),
        (RESIDUAL, comparison.residual),
    ):
        stack.write(variable.path, array.astype(np.float32))
    stack.set_attributes(METHOD.group, {"methods": list(METHODS), "steps": list(STEPS), "best": comparison.best})


def _rms_of_removed(values: Array, denoised: Array) -> Array:
    present = np.isfinite(values)
    squares = np.where(present, values - denoised, 0.0) ** 2
    rms: Array = np.sqrt(squares.sum(axis=(0, 1)) / np.maximum(present.sum(axis=(0, 1)), 1))
    return np.where(present.any(axis=(0, 1)), rms, np.nan)
