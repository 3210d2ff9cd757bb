"""Displacement maps denoised: one fit for a stack, applied to any of its frames, with standard errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.denoising import patch_pca
from stemdask.kernels.images.denoising.cross_validation import held_out_errors
from stemdask.kernels.images.denoising.decompositions import Decomposition, Method, decompose
from stemdask.kernels.images.denoising.low_rank import fill
from stemdask.kernels.images.denoising.map_layout import MapLayout
from stemdask.kernels.images.denoising.noise_propagation import error_scale, noise_of_columns, projected_errors
from stemdask.kernels.noise_stream import noise_stream

#: Maps and the standard errors of their entries, both (frame, 2, row, column), pm; NaN is missing.
Fields = tuple[Floats, Floats]
FieldBlocks = Callable[[], Iterable[Fields]]
MapMethod = Literal["none", Method, "patch_pca"]

METHODS: tuple[MapMethod, ...] = (
    "none", "pca", "svd", "sparse_pca", "kernel_pca", "incremental_pca", "nmf", "robust_pca", "ica", "patch_pca",
)  # fmt: skip
#: Repeats of the noise from which the errors of a method without a closed form are taken; pooled over the frames.
REPEATS = 6


@dataclass(frozen=True, slots=True)
class MapDenoiser:
    """A fitted denoiser of maps."""

    method: MapMethod
    layout: MapLayout
    scale: float = 1.0
    """Factor on the stated errors, from the scatter about the fit."""
    decomposition: Decomposition | None = None
    patches: patch_pca.PatchPCA | None = None
    columns: Floats | None = None
    """Noise of the columns of a linear fit, as `noise_of_columns` returns it."""
    ratio: Floats | None = None
    """(p,), error after over error before, of a fit that isn't linear."""

    @property
    def n_components(self) -> int:
        """Components in use beyond the mean."""
        if self.patches is not None:
            return len(self.patches.components)
        return self.decomposition.model.rank if self.decomposition is not None else 0

    def apply(self, values: Floats, noise: Floats) -> Fields:
        """Denoise maps, and return them with their standard errors.

        Missing cells come back filled in; cells that too few frames hold come back as they were.

        Parameters
        ----------
        values, noise
            (frame, 2, row, column), pm.
        """
        shape = values.shape[2:]
        if self.patches is not None:
            return self.patches.apply(values), self.patches.errors(self.scale * noise)
        if self.decomposition is None or len(values) == 0:
            return values, noise
        rows = self.layout.rows(values)
        denoised = self.layout.fields(self.decomposition.apply(rows), shape)
        known = known_noise(rows, self.layout.rows(noise)) * self.scale
        if self.columns is not None:
            errors = projected_errors(
                self.decomposition.model, fill(self.decomposition.model, rows), known, self.columns
            )
        else:
            errors = known * (1.0 if self.ratio is None else self.ratio)
        kept = ~np.isnan(denoised)
        return np.where(kept, denoised, values), np.where(kept, self.layout.fields(errors, shape), self.scale * noise)


def fit_denoiser(
    method: MapMethod,
    blocks: FieldBlocks,
    sample: Fields,
    layout: MapLayout,
    rank: int | None,
    scale: float = 1.0,
    seed: int = 0,
) -> MapDenoiser:
    """Fit a denoiser to the maps of a stack.

    Parameters
    ----------
    method
        Which one; "none" leaves the maps as they are.
    blocks
        All maps with their errors, anew at each call.
    sample
        Maps spread evenly over the stack, for the methods that need all their data in memory.
    layout
        How maps become rows.
    rank
        Components beyond the mean; None lets patch PCA count its own.
    scale
        Factor on the stated errors.
    seed
        Of the methods that start at random.
    """
    if method == "none" or layout.width == 0:
        return MapDenoiser("none", layout)
    if method == "patch_pca":
        return MapDenoiser(method, layout, scale, patches=patch_pca.fit(sample[0], scale * sample[1], rank))
    rows, noise = layout.rows(sample[0]), layout.rows(sample[1])
    some = np.isfinite(rows).any(axis=1)
    rows, noise = rows[some], noise[some]
    typical = scale * typical_noise(noise)
    decomposition = decompose(method, _rows(blocks, layout), rows, typical, rank or 0, seed)
    fitted = MapDenoiser(method, layout, scale, decomposition)
    if decomposition.linear:
        return MapDenoiser(method, layout, scale, decomposition, columns=_columns(blocks, fitted))
    ratio = _bootstrap_ratio(decomposition, method, rows, scale * noise, rank or 0, seed)
    return MapDenoiser(method, layout, scale, decomposition, ratio=ratio)


def choose_rank(sample: Fields, layout: MapLayout, max_rank: int, seed: int = 0) -> tuple[int, Floats]:
    """Return the number of components that predicts held-out cells best, and the RMS errors of 0, 1, ... (pm)."""
    rows, noise = layout.rows(sample[0]), layout.rows(sample[1])
    some = np.isfinite(rows).any(axis=1)
    if some.sum() < 3 or layout.width < 2:
        return 0, np.full(1, np.nan)
    errors = held_out_errors(rows[some], noise[some], layout.folds(sample[0].shape[2:]), max_rank, seed=seed)
    return int(np.argmin(errors)), errors


def scatter_scale(denoiser: MapDenoiser, sample: Fields) -> tuple[float, float]:
    """Return by how much the scatter about a linear fit exceeds the stated errors, at least 1.

    Returns
    -------
    The factor, and the relative standard error of its square.
    """
    denoised, errors = denoiser.apply(*sample)
    values, noise = sample
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.nan_to_num(1 - (errors / noise) ** 2)
    return error_scale(values - denoised, noise, left)


def typical_noise(noise: Floats) -> float:
    """Return the median standard error; 1 where none is known."""
    known = noise[np.isfinite(noise) & (noise > 0)]
    return float(np.median(known)) if known.size else 1.0


def known_noise(rows: Floats, noise: Floats) -> Floats:
    """Return the errors of the entries present, the typical one where unknown, 0 where the entry is missing."""
    typical = typical_noise(noise)
    return np.where(np.isfinite(rows), np.where(np.isfinite(noise) & (noise >= 0), noise, typical), 0.0)


def _rows(blocks: FieldBlocks, layout: MapLayout) -> Callable[[], Iterator[Floats]]:
    def rows() -> Iterator[Floats]:
        for values, _ in blocks():
            block = layout.rows(values)
            yield block[np.isfinite(block).any(axis=1)]

    return rows


def _columns(blocks: FieldBlocks, fitted: MapDenoiser) -> Floats:
    assert fitted.decomposition is not None
    model, layout = fitted.decomposition.model, fitted.layout

    def complete() -> Iterator[Fields]:
        for values, noise in blocks():
            rows = layout.rows(values)
            some = np.isfinite(rows).any(axis=1)
            yield fill(model, rows[some]), known_noise(rows[some], layout.rows(noise)[some])

    return noise_of_columns(complete(), model) * fitted.scale**2


def _bootstrap_ratio(
    decomposition: Decomposition, method: Method, rows: Floats, noise: Floats, rank: int, seed: int
) -> Floats:
    """Error after over error before, for each column: the fit repeated on the denoised rows with new noise."""
    random = noise_stream(seed)
    known, truth = known_noise(rows, noise), decomposition.apply(rows)
    squares = np.zeros(rows.shape[1])
    for _ in range(REPEATS):
        noisy = np.where(np.isfinite(rows), truth + known * random.standard_normal(rows.shape), np.nan)
        refit = decompose(method, lambda noisy=noisy: [noisy], noisy, typical_noise(noise), rank, seed)  # type: ignore[misc]
        squares += np.mean((refit.apply(noisy) - truth) ** 2, axis=0)
    ratio: Floats = np.sqrt(squares / REPEATS / np.maximum(np.mean(known**2, axis=0), 1e-300))
    return ratio
