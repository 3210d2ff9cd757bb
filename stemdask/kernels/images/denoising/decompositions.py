"""The decompositions of displacement maps, by name: fitted to rows, applied to rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.denoising.gram_pca import Blocks, pca, pca_with_missing, upright
from stemdask.kernels.images.denoising.low_rank import LowRank, fill, reconstruct
from stemdask.kernels.quiet import quiet

Method = Literal["pca", "svd", "incremental_pca", "sparse_pca", "ica", "robust_pca", "nmf", "kernel_pca"]

#: Residuals beyond this many standard errors count as outliers in robust PCA (the constant of Huber 1981 is 1.345 for
#: 95 % efficiency; 3 leaves Gaussian noise alone).
OUTLIER = 3.0
#: Times that outliers are pulled in.
PULLS = 10


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A fitted decomposition."""

    model: LowRank
    """Fills missing entries; for the linear methods also projects."""
    project: Callable[[Floats], Floats] | None = None
    """Complete rows to denoised rows, where that isn't the projection onto `model`."""
    parts: Floats | None = None
    """(k, p), the method's own components, where they differ from those of `model`."""
    reach: float = np.inf
    """Entries are pulled in to so far from the fit before they count."""

    @property
    def linear(self) -> bool:
        """True where `model` alone denoises, so that errors propagate in closed form."""
        return self.project is None

    @property
    def shown(self) -> Floats:
        """(k, p), components to look at."""
        return self.model.components if self.parts is None else self.parts

    def apply(self, rows: Floats) -> Floats:
        """Denoise rows (n, p); NaN is missing and comes back as its expectation."""
        complete = fill(self.model, rows)
        if self.project is None:
            fitted = reconstruct(self.model, complete)
            for _ in range(PULLS if np.isfinite(self.reach) else 0):
                fitted = reconstruct(self.model, pull_in(complete, fitted, self.reach))
            return fitted
        with quiet():
            return self.project(complete)


def decompose(method: Method, blocks: Blocks, sample: Floats, noise: float, rank: int, seed: int = 0) -> Decomposition:
    """Fit a decomposition.

    Parameters
    ----------
    method
        Which one.
    blocks
        All rows, anew at each call, block by block, (n_b, p); NaN is missing. Read by the methods of PCA and SVD.
    sample
        (n, p), rows for the other methods.
    noise
        Typical standard error of an entry; sets the scale of outliers and of the sparsity penalty.
    rank
        Number of components beyond the mean (`svd` and `nmf`, which have no mean, take one more).
    seed
        Of the methods that start at random.
    """
    p = sample.shape[1]
    with quiet():
        if method == "pca":
            return Decomposition(pca_with_missing(blocks, p, rank))
        if method == "robust_pca":
            return Decomposition(_robust(blocks, p, rank, noise), reach=OUTLIER * noise)
        if method == "svd":
            return Decomposition(_uncentred(blocks, p, rank + 1))
        if method == "incremental_pca":
            return Decomposition(_incremental(blocks, p, rank))
        filler = pca_with_missing(lambda: [sample], p, rank)
        if rank == 0:
            return Decomposition(filler)
        complete = fill(filler, sample)
        fit = {"sparse_pca": _sparse, "ica": _independent, "nmf": _non_negative, "kernel_pca": _kernel}[method]
        return fit(filler, complete, noise, rank, seed)


def _uncentred(blocks: Blocks, p: int, rank: int) -> LowRank:
    """SVD of the rows as they are."""
    start = pca_with_missing(blocks, p, rank - 1)

    def filled() -> Iterator[Floats]:
        return (fill(start, rows) for rows in blocks())

    return pca(filled, p, rank, centre=False)


def pull_in(rows: Floats, fitted: Floats, reach: float) -> Floats:
    """Move entries that lie further than `reach` from the fit to that distance."""
    return fitted + np.clip(rows - fitted, -reach, reach)


def _robust(blocks: Blocks, p: int, rank: int, noise: float) -> LowRank:
    """PCA with outliers pulled in to `OUTLIER` standard errors from the fit, until they rest (Huber 1981, ch. 7.8)."""
    model = pca_with_missing(blocks, p, rank)

    def pulled() -> Iterator[Floats]:
        for rows in blocks():
            complete = fill(model, rows)
            yield pull_in(complete, reconstruct(model, complete), OUTLIER * noise)

    for _ in range(PULLS):
        model = pca(pulled, p, rank)
    return model


def _incremental(blocks: Blocks, p: int, rank: int) -> LowRank:
    from sklearn.decomposition import IncrementalPCA

    model = pca_with_missing(blocks, p, 0)
    if rank == 0:
        return model
    for _ in range(2):  # the second time missing entries are filled by the first fit
        fit = IncrementalPCA(n_components=rank)
        for batch in _batches(blocks, model, least=max(rank, 8)):
            fit.partial_fit(batch)
        model = LowRank(
            np.asarray(fit.mean_),
            upright(fit.components_),
            fit.singular_values_,
            int(fit.n_samples_seen_),
            float(fit.noise_variance_),
        )
    return model


def _batches(blocks: Blocks, model: LowRank, least: int) -> Iterator[Floats]:
    """Blocks joined until each has at least `least` rows."""
    held = np.zeros((0, len(model.mean)))
    for rows in blocks():
        if len(held) >= 2 * least:
            yield held[:-least]
            held = held[-least:]
        held = np.concatenate([held, fill(model, rows)])
    yield held


def _sparse(filler: LowRank, rows: Floats, noise: float, rank: int, seed: int) -> Decomposition:
    """Projection onto the span of sparse components: the penalty chooses cells and doesn't shrink their amplitude."""
    from sklearn.decomposition import SparsePCA

    fit = SparsePCA(rank, alpha=1.0, method="cd", max_iter=30, tol=1e-4, random_state=seed).fit(
        (rows - filler.mean) / noise
    )
    return _spanned(filler, rows, fit.components_)


def _independent(filler: LowRank, rows: Floats, noise: float, rank: int, seed: int) -> Decomposition:
    from sklearn.decomposition import FastICA

    fit = FastICA(rank, whiten="unit-variance", whiten_solver="svd", max_iter=500, random_state=seed).fit(rows)
    return _spanned(filler, rows, fit.mixing_.T)


def _spanned(filler: LowRank, rows: Floats, parts: Floats) -> Decomposition:
    alive = parts[np.linalg.norm(parts, axis=1) > 0]
    basis = np.linalg.qr(alive.T)[0].T if len(alive) else np.zeros((0, rows.shape[1]))
    centred = rows - rows.mean(axis=0)
    scores = centred @ basis.T
    # Turned so that the scores are uncorrelated, as those of PCA are.
    turned, lengths, _ = np.linalg.svd(scores.T @ scores)
    basis = turned.T @ basis
    outside = float(np.sum(centred**2) - lengths.sum()) / max((len(rows) - 1) * (rows.shape[1] - len(basis)), 1)
    model = LowRank(rows.mean(axis=0), basis, np.sqrt(lengths), len(rows), max(outside, 0.0))
    norms = np.linalg.norm(alive, axis=1, keepdims=True)
    return Decomposition(model, parts=upright(alive / norms))


def _non_negative(filler: LowRank, rows: Floats, noise: float, rank: int, seed: int) -> Decomposition:
    """NMF of the rows above their columns' minima."""
    from sklearn.decomposition import NMF

    floor = rows.min(axis=0)
    fit = NMF(rank + 1, init="nndsvda", max_iter=500, tol=1e-5, random_state=seed).fit(rows - floor)
    parts = np.asarray(fit.components_)

    def project(complete: Floats) -> Floats:
        weights = fit.transform(np.maximum(complete - floor, 0.0))
        projected: Floats = weights @ parts + floor
        return projected

    norms = np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-300)
    return Decomposition(filler, project, parts / norms)


def _kernel(filler: LowRank, rows: Floats, noise: float, rank: int, seed: int) -> Decomposition:
    from sklearn.decomposition import KernelPCA

    spread = float(np.sum((rows - rows.mean(axis=0)) ** 2) / len(rows))
    fit = KernelPCA(
        rank,
        kernel="rbf",
        gamma=0.5 / max(spread, 1e-12),
        fit_inverse_transform=True,
        alpha=1e-2,
        eigen_solver="dense" if len(rows) <= 512 else "arpack",
        random_state=seed,
    ).fit(rows - filler.mean)

    def project(complete: Floats) -> Floats:
        projected: Floats = fit.inverse_transform(fit.transform(complete - filler.mean)) + filler.mean
        return projected

    return Decomposition(filler, project)
