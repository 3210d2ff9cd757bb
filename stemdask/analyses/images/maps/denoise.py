"""Denoised displacement maps: the collective movement of the cells, with errors and with what denoising takes away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.images.maps import denoise_comparison
from stemdask.analyses.images.maps.displacement_maps import MapStack
from stemdask.kernels.images.denoising.assessment import assess
from stemdask.kernels.images.denoising.cross_validation import error_of_mean
from stemdask.kernels.images.denoising.map_comparison import STEPS, lost_steps
from stemdask.kernels.images.denoising.map_denoiser import (
    METHODS,
    Fields,
    MapDenoiser,
    MapMethod,
    choose_rank,
    fit_denoiser,
    scatter_scale,
)
from stemdask.kernels.images.denoising.map_layout import MapLayout, by_frames, by_lattice_rows
from stemdask.kernels.images.domains import directions
from stemdask.model import Analysis, Array, Params, Stack, Variable
from stemdask.units import amount

#: Fewest frames whose own components can be told from noise, and whose scatter can be told from structure.
_LEAST_FRAMES = 4
#: Methods that a sentence writes otherwise than a config.
_NAMES = {
    "pca": "PCA",
    "svd": "SVD",
    "ica": "ICA",
    "nmf": "NMF",
    **{f"{kind}_pca": f"{kind} PCA" for kind in ("incremental", "robust", "sparse", "kernel", "patch")},
}
#: Methods that don't take the lattice rows of a map for repeats of one another.
_WITHOUT_ROWS: tuple[MapMethod, ...] = ("none", "patch_pca")


class DenoiseParams(Params):
    """How the displacement maps are denoised."""

    method: Literal[MapMethod, "compare"] = "pca"
    """Decomposition; `compare` tries all and uses the one with the smallest estimated error."""
    n_components: Literal["auto"] | Annotated[int, Field(ge=0, le=64)] = "auto"
    """Components beyond the mean map; `auto` takes the number that predicts held-out cells best."""
    max_components: int = Field(12, ge=1, le=64)
    """Largest number of components tried and stored."""
    injected_step: float = Field(20.0, gt=0, le=1000)
    """Step in pm that is added to the maps to measure how much of it the denoising loses."""
    seed: int = Field(0, ge=0)
    """Random seed: folds, probes, and methods with a random start."""


def _cell(name: str, units: str, long_name: str, error: str | None = None) -> Variable:
    return Variable(f"denoised/{name}", ("frame", "cell"), "float32", units, long_name, error, stage="finish")


def _component(name: str, dims: tuple[str, ...], units: str, long_name: str) -> Variable:
    return Variable(f"components/{name}", dims, "float32", units, long_name, stage="finish")


_GRID = ("component", "cell_row", "cell_column")
U = _cell("u", "pm", "denoised displacement along +x", "denoised/u_err")
V = _cell("v", "pm", "denoised displacement along +y (down)", "denoised/v_err")
U_ERR = _cell("u_err", "pm", "standard error of u, noise and what denoising removes")
V_ERR = _cell("v_err", "pm", "standard error of v, noise and what denoising removes")
MAGNITUDE = _cell("magnitude", "pm", "length of the denoised displacement")
ANGLE = _cell("angle", "degree", "direction of the denoised displacement, counter-clockwise from +x")
COMPONENT_U = _component("u", _GRID, "1", "component along +x, on the grid of cells")
COMPONENT_V = _component("v", _GRID, "1", "component along +y (down), on the grid of cells")
SCORE = _component("score", ("frame", "component"), "pm", "score of the frame")
EXPLAINED_VARIANCE = _component("explained_variance", ("component",), "pm^2", "variance along the component")
HELD_OUT_ERROR = _component(
    "held_out_error", ("n_components",), "pm", "RMS error of predicted held-out cells, from 0 components on"
)
STEP_LOST = _component(
    "step_lost", ("step",), "pm", "loss of an injected step in every frame, half of the frames, one frame"
)


def outputs(params: DenoiseParams) -> tuple[Variable, ...]:
    """Declare the denoised maps, the components and, where methods are compared, the comparison."""
    maps = (U, V, U_ERR, V_ERR, MAGNITUDE, ANGLE)
    components = (COMPONENT_U, COMPONENT_V, SCORE, EXPLAINED_VARIANCE, HELD_OUT_ERROR, STEP_LOST)
    return maps + components + (denoise_comparison.VARIABLES if params.method == "compare" else ())


def finish(stack: Stack, params: DenoiseParams) -> None:
    """Denoise the maps of a stack, block by block.

    Memory is a block, the sample (`displacement_maps.SAMPLE_BYTES`) and, for PCA, the Gram matrix of the shorter
    side: min(frames, 2 · cells)² × 8 bytes; it doesn't grow with the frames beyond twice the number of cells.
    """
    maps, units = MapStack(stack), stack.units(U)

    def blocks() -> Iterator[Fields]:
        return ((block.values, block.noise) for _, block in maps.blocks())

    sample = maps.sample()
    fits = _fits(maps, sample, params)
    chosen = min(fits, key=lambda fit: float(np.nan_to_num(fit.error, nan=np.inf)))
    layout, held_out = chosen.layout, chosen.held_out
    scree = fit_denoiser("pca", blocks, sample, layout, min(params.max_components, max(len(held_out) - 1, 1)))
    scale, doubt = 1.0, 0.0
    if fits[0].layout.by_frame:
        best = int(np.argmin(fits[0].held_out))
        scale, doubt = scatter_scale(fit_denoiser("pca", lambda: [sample], sample, fits[0].layout, best), sample)
    stripes = _stripes(sample, fits, units)
    attributes: dict[str, object] = {}
    comparison: denoise_comparison.Comparison | None = None
    method: MapMethod
    if params.method == "compare":
        comparison = denoise_comparison.compare(
            sample, layout, chosen.rank, scale, params.injected_step, params.seed, _WITHOUT_ROWS if stripes else METHODS
        )
        method = comparison.best
    else:
        method = params.method
    rank = None if method == "patch_pca" and params.n_components == "auto" else chosen.rank
    fitted = fit_denoiser(method, blocks, sample, layout, rank, scale, params.seed)
    own = fitted.n_components if method == "patch_pca" else chosen.rank
    refit = denoise_comparison.refitting(method, sample, layout, own, scale, params.seed)
    sampled = fitted
    if len(sample[0]) < len(maps.frames):
        sampled = fit_denoiser(method, lambda: [sample], sample, layout, rank, scale, params.seed)
    errors = _errors(fitted, sampled, refit, sample, doubt, params.seed)
    useless = stripes if method not in _WITHOUT_ROWS else ""
    useless = useless or _no_better(errors.total, fitted, sample, units)
    if useless and params.method != "compare" and params.n_components == "auto":
        method, fitted = "none", fit_denoiser("none", blocks, sample, layout, 0)
        refit = denoise_comparison.refitting("none", sample, layout, 0, 1.0, params.seed)
        errors = _Errors(_rms(sample[1]))
    lost = lost_steps(refit, sample[0], params.injected_step)
    if comparison is not None:
        comparison = comparison.anchored(errors.total)
        denoise_comparison.write(stack, comparison)
        attributes["reason"] = comparison.reason(units) + (f" {stripes}" if stripes else "")
    _write_maps(maps, fitted, errors)
    _write_components(maps, fitted, scree, layout, held_out, lost, params)
    said = statement(method, fitted.n_components, lost, params.injected_step, errors.total, units)
    if not maps.frames.size:
        said = "No displacement is known in any frame, so that there is nothing to denoise."
    attributes |= {
        "method": method,
        "n_components": fitted.n_components,
        "layout": "frames" if layout.by_frame else "lattice rows",
        "estimated_error": _number(errors.total),
        "removed_truth": _number(errors.removed),
        "error_scale": scale,
        "held_out_error": _number(float(np.min(held_out))) if len(held_out) else None,
        "cells_left_raw": _left_raw(maps, layout) if method != "none" else 0,
        "statement": f"{said} {useless}" if useless and params.method != "compare" else said,
    }
    stack.set_attributes(U.group, attributes)


def statement(method: str, n_components: int, lost: Array, step: float, total: float, units: str) -> str:
    """Say in words what the denoising did to the maps.

    Parameters
    ----------
    method, n_components
        What was done.
    lost
        How much of the step was lost, as `map_comparison.lost_steps` returns it.
    step
        What was injected.
    total
        Estimated RMS error of the denoised displacement.
    units
        Of the three before, as the store has them.
    """
    if method == "none":
        return "The displacements are as measured."
    found = [
        f"{amount(f'{loss:.1f}', units)} if it is in {place}"
        for place, loss in zip(STEPS, lost, strict=True)
        if np.isfinite(loss)
    ]
    parts = f"{n_components} component{'s' if n_components != 1 else ''}"
    said = f"Denoised by {_NAMES.get(method, method.replace('_', ' '))} with {parts}."
    if np.isfinite(total):
        said += f" Estimated RMS error of u and v: {amount(f'{total:.2f}', units)}."
    if found:
        said += f" Of an injected step of {amount(f'{step:g}', units)} it loses {', '.join(found)}."
    return said


@dataclass(frozen=True, slots=True)
class _Fit:
    """A layout and the number of components that suits it."""

    layout: MapLayout
    rank: int
    held_out: Array
    """RMS errors of held-out cells with 0, 1, ... components."""

    @property
    def error(self) -> float:
        """Error of the held-out cells with this number of components."""
        return float(self.held_out[min(self.rank, len(self.held_out) - 1)])


@dataclass(frozen=True, slots=True)
class _Errors:
    """What the errors that a fit propagates lack."""

    total: float
    """RMS error of the denoised maps."""
    removed: float = 0.0
    """RMS of the truth that was removed."""
    where: Array | float = 0.0
    """(2, row, column), the same place by place."""
    fitted: Array | float = 0.0
    """(2, 1, 1), RMS of the noise in u and v that the fit itself is fitted to."""


def _fits(maps: MapStack, sample: Fields, params: DenoiseParams) -> list[_Fit]:
    """Return the layouts that are possible, that of frames first; the rank is the one asked for, or the best."""
    counts = maps.counts()
    layouts = [by_lattice_rows(counts)]
    if len(maps.frames) >= _LEAST_FRAMES:
        layouts.insert(0, by_frames(counts, len(maps.frames)))
    fits = []
    for layout in layouts:
        rank, held_out = choose_rank(sample, layout, params.max_components, params.seed)
        fits.append(_Fit(layout, rank if params.n_components == "auto" else params.n_components, held_out))
    return fits


def _stripes(sample: Fields, fits: list[_Fit], units: str) -> str:
    """Say why the lattice rows of a map have nothing in common, or nothing where they have."""
    if fits[0].layout.by_frame:
        return ""
    mean, rows = error_of_mean(*sample), float(np.min(fits[0].held_out))
    if not np.isfinite(rows) or rows < mean:
        return ""
    return (
        f"The lattice rows of these maps have nothing in common: cells that were held out are predicted to "
        f"{amount(f'{rows:.2f}', units)} by the other rows and to {amount(f'{mean:.2f}', units)} by the mean of the "
        f"map, so that stripes would be drawn."
    )


def _no_better(total: float, fitted: MapDenoiser, sample: Fields, units: str) -> str:
    """Say that denoised maps are no nearer to the truth than those measured, or nothing where they are."""
    measured = fitted.scale * _rms(sample[1])
    if fitted.method == "none" or not total >= measured:
        return ""
    return (
        f"With {fitted.method} the estimated RMS error would be {amount(f'{total:.2f}', units)}, no less than the "
        f"{amount(f'{measured:.2f}', units)} of the displacements as measured."
    )


def _errors(
    fitted: MapDenoiser,
    sampled: MapDenoiser,
    refit: denoise_comparison.Denoise,
    sample: Fields,
    doubt: float,
    seed: int,
) -> _Errors:
    """Assess a denoiser on the sample, which another one may be fitted to; NaN where errors are unknown."""
    if fitted.method == "none":
        return _Errors(_rms(sample[1]))
    found = assess(refit, sample[0], fitted.scale * sample[1], doubt, seed)
    if not np.isfinite(found.total):
        return _Errors(np.nan)
    propagated, on_sample = (_mean_squares(sample, denoiser) for denoiser in (fitted, sampled))
    fitted_noise = np.maximum(found.passed**2 - on_sample, 0.0)
    total = float(np.sqrt(np.mean(propagated + fitted_noise) + found.removed**2))
    return _Errors(total, found.removed, found.where, np.sqrt(fitted_noise)[:, None, None])


def _mean_squares(sample: Fields, denoiser: MapDenoiser) -> Array:
    """Mean square of the propagated errors of u and of v, (2,)."""
    errors = np.where(np.isfinite(sample[0]), denoiser.apply(*sample)[1], np.nan)
    return np.array([_rms(errors[:, axis]) ** 2 for axis in range(2)])


def _write_maps(maps: MapStack, fitted: MapDenoiser, added: _Errors) -> None:
    for block, read in maps.blocks():
        values, errors = fitted.apply(read.values, read.noise)
        u, v = read.cells(values)
        u_err, v_err = read.cells(np.sqrt(errors**2 + added.fitted**2 + added.where**2))
        known = np.isfinite(u) & np.isfinite(v) & np.isfinite(read.cells(read.values)[0])
        found = {
            U: u,
            V: v,
            U_ERR: u_err,
            V_ERR: v_err,
            MAGNITUDE: np.hypot(u, v),
            ANGLE: directions.angle(u, v),
        }
        for variable, array in found.items():
            maps.stack.write(variable.path, np.where(known, array, np.nan).astype(np.float32), block)


def _write_components(
    maps: MapStack,
    fitted: MapDenoiser,
    scree: MapDenoiser,
    layout: MapLayout,
    held_out: Array,
    lost: Array,
    params: DenoiseParams,
) -> None:
    """Write the leading components: those of the method, where it has its own, otherwise those of PCA."""
    most, (rows, columns) = params.max_components, maps.shape
    leading = scree.decomposition.model if scree.decomposition is not None else None
    parts = fitted.decomposition.shown[:most] if fitted.decomposition is not None else np.zeros((0, layout.width))
    if leading is not None and len(parts) == 0:
        parts = leading.components
    fields = np.full((most, 2, rows, columns), np.nan)
    if layout.by_frame:
        fields[: len(parts)] = layout.fields(parts, maps.shape)
    elif columns:
        # A component of the lattice rows is a profile along them; every row of the picture shows it.
        wide = np.full((len(parts), 2 * columns), np.nan)
        wide[:, layout.kept] = parts
        fields[: len(parts)] = wide.reshape(-1, 2, 1, columns)
    variance = np.full(most, np.nan)
    if leading is not None:
        variance[: leading.rank] = leading.singular_values**2 / max(leading.n_rows - 1, 1)
    errors = np.full(most + 1, np.nan)
    errors[: len(held_out)] = held_out
    stack = maps.stack
    once = {
        COMPONENT_U: fields[:, 0],
        COMPONENT_V: fields[:, 1],
        EXPLAINED_VARIANCE: variance,
        HELD_OUT_ERROR: errors,
        STEP_LOST: lost,
    }
    for variable, array in once.items():
        stack.write(variable.path, array.astype(np.float32))
    for block, read in maps.blocks():
        scores = np.full((len(read.values), most), np.nan)
        if layout.by_frame and len(parts):
            wide = layout.rows(read.values)
            centred = np.where(np.isfinite(wide), wide - _fitted_mean(fitted, scree), 0.0)
            scores[:, : len(parts)] = centred @ parts.T
            scores[~np.isfinite(wide).any(axis=1)] = np.nan
        stack.write(SCORE.path, scores.astype(np.float32), block)
    stack.set_attributes(SCORE.group, {"steps": list(STEPS), "injected_step": params.injected_step})


def _fitted_mean(fitted: MapDenoiser, scree: MapDenoiser) -> Array | float:
    """Return the mean that scores refer to."""
    for denoiser in (fitted, scree):
        if denoiser.decomposition is not None:
            return denoiser.decomposition.model.mean
    return 0.0


def _left_raw(maps: MapStack, layout: MapLayout) -> int:
    if not layout.by_frame:
        return 0
    held = maps.counts().ravel() > 0
    return int(np.sum(held & ~layout.kept[: len(held)]))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.nanmean(values**2))) if np.isfinite(values).any() else float("nan")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


ANALYSIS = Analysis(
    name="denoise",
    kind="images",
    summary="Displacement maps denoised over the stack, with errors and the loss of a known step",
    params=DenoiseParams,
    outputs=outputs,
    shows="stemdask.figures.images.denoise",
    needs=("displacement",),
    after=("registration",),
    finish=finish,
)
