"""A low-rank model of rows: their mean and orthonormal components; rows with missing entries are filled by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats


@dataclass(frozen=True, slots=True)
class LowRank:
    """Rows are modelled as mean + scores @ components."""

    mean: Floats
    """(p,)"""
    components: Floats
    """(k, p), orthonormal rows."""
    singular_values: Floats
    """(k,), of the rows less their mean."""
    n_rows: int
    """Rows that it was fitted to."""
    noise_variance: float
    """Mean variance per entry outside the components."""
    centred: bool = True
    """False: the rows were decomposed as they are, and the mean is 0."""

    @property
    def rank(self) -> int:
        """Number of components."""
        return len(self.components)

    def truncated(self, rank: int) -> LowRank:
        """Return the model with the first `rank` components, the rest counted as noise."""
        dropped = float(np.sum(self.singular_values[rank:] ** 2))
        kept = self._freedom(self.rank) * self.noise_variance + dropped
        return LowRank(
            self.mean,
            self.components[:rank],
            self.singular_values[:rank],
            self.n_rows,
            kept / self._freedom(min(rank, self.rank)),
            self.centred,
        )

    def _freedom(self, rank: int) -> float:
        return max(float((self.n_rows - 1 - rank) * (len(self.mean) - rank)), 1.0)


def scores(model: LowRank, rows: Floats) -> Floats:
    """Return the scores of complete rows, (n, k)."""
    centred: Floats = (rows - model.mean) @ model.components.T
    return centred


def reconstruct(model: LowRank, rows: Floats) -> Floats:
    """Project complete rows, (n, p), onto the model."""
    projected: Floats = model.mean + scores(model, rows) @ model.components
    return projected


def fill(model: LowRank, rows: Floats) -> Floats:
    """Fill the missing (NaN) entries of rows with their expectation under the model.

    The expectation is that of probabilistic PCA given the entries present (Tipping & Bishop 1999); its prior keeps a
    row with few entries near the mean, which is the regularisation of Josse & Husson 2012. Complete rows come back
    unchanged.
    """
    missing = np.isnan(rows)
    holed = np.flatnonzero(missing.any(axis=1))
    if holed.size == 0:
        return rows
    filled = rows.copy()
    expected = np.broadcast_to(model.mean, (len(holed), len(model.mean)))
    if model.rank:
        present = ~missing[holed]
        centred = np.where(present, rows[holed] - model.mean, 0.0)
        expected = expected + masked_scores(model, centred, present) @ model.components
    filled[holed] = np.where(missing[holed], expected, rows[holed])
    return filled


def masked_scores(model: LowRank, centred: Floats, present: Booleans) -> Floats:
    """Return the posterior mean of the scores from the entries present.

    Parameters
    ----------
    model
        At least one component.
    centred
        (n, p), rows less the mean, 0 where not present.
    present
        (n, p).
    """
    k = model.rank
    pairs = (model.components[:, None] * model.components[None]).reshape(k * k, -1)
    normal = (present @ pairs.T).reshape(-1, k, k)
    normal += np.diag(model.noise_variance / np.maximum(prior_variance(model), 1e-300))
    projected = (centred @ model.components.T)[..., None]
    return np.asarray(np.linalg.solve(normal, projected)[..., 0], dtype=np.float64)


def prior_variance(model: LowRank) -> Floats:
    """Return the variance of each score, noise removed, (k,)."""
    variance = model.singular_values**2 / max(model.n_rows - 1, 1)
    floor = np.maximum(1e-3 * variance, 1e-12)
    return np.maximum(variance - model.noise_variance, floor)
