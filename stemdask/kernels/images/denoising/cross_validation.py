"""How many components predict cells that the fit has not seen."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Booleans, Floats
from stemdask.kernels.images.denoising.gram_pca import pca_with_missing
from stemdask.kernels.images.denoising.low_rank import LowRank, prior_variance

#: Groups of rows.
ROW_FOLDS = 4


def held_out_errors(rows: Floats, noise: Floats, folds: AnyIntegers, max_rank: int, seed: int = 0) -> Floats:
    """Return the RMS error with which each number of components predicts held-out entries.

    Components come from three quarters of the rows. For each row of the last quarter the scores come from three
    quarters of its columns, and the rest of its columns is predicted: no entry is ever seen by the fit that predicts
    it (the scheme of Owen & Perry 2009 and Bro et al. 2008). Entries count by 1/noise².

    Parameters
    ----------
    rows
        (n, p); NaN is missing.
    noise
        (n, p), standard error of each entry; where not finite or not positive, all entries count alike.
    folds
        (p,), group of each column; columns whose noise is shared belong to one group.
    max_rank
        Largest number of components tried; fewer where the rows are few.
    seed
        Of the random assignment of rows to groups.

    Returns
    -------
    (r + 1,), in the unit of the rows, for 0, 1, ... r components.
    """
    n, p = rows.shape
    max_rank = max(min(max_rank, n - int(np.ceil(n / ROW_FOLDS)) - 2, p - 1), 0)
    weight = weights(rows, noise)
    group = np.random.default_rng(seed).permutation(n) % ROW_FOLDS
    squares, total = np.zeros(max_rank + 1), 0.0
    for fold in np.unique(group):
        test = np.flatnonzero(group == fold)
        train = rows[group != fold]
        model = pca_with_missing(lambda train=train: [train], p, max_rank, passes=4)  # type: ignore[misc]
        for part in np.unique(folds):
            held = folds == part
            residuals = _predict(model, rows[test], held, max_rank)
            counted = weight[test][:, held]
            squares += np.nansum(residuals**2 * counted, axis=(1, 2))
            total += float(counted.sum())
    errors: Floats = np.sqrt(squares / max(total, 1e-300))
    return errors


def error_of_mean(values: Floats, noise: Floats) -> float:
    """Return the RMS error with which the mean of the other cells predicts a cell; entries count by 1/noise².

    Parameters
    ----------
    values, noise
        (frame, 2, row, column), maps and standard errors; u and v have a mean each, NaN is missing.

    Returns
    -------
    Unit of the maps; NaN for fewer than two cells.
    """
    weight = weights(values, noise)
    total = weight.sum(axis=(0, 2, 3), keepdims=True)
    if not (total > weight.max(initial=0.0)).all():
        return float("nan")
    known = np.where(np.isfinite(values), values, 0.0)
    mean = np.sum(weight * known, axis=(0, 2, 3), keepdims=True) / total
    errors = (known - mean) * total / (total - weight)
    return float(np.sqrt(np.sum(weight * errors**2) / weight.sum()))


def weights(rows: Floats, noise: Floats) -> Floats:
    """Return 1/noise² of the entries present, scaled to a mean of 1; 0 where missing."""
    present = np.isfinite(rows)
    known = present & np.isfinite(noise) & (noise > 0)
    if not known.any():
        return present.astype(float)
    typical = float(np.median(noise[known]))
    weight = np.where(present, (typical / np.where(known, noise, typical)) ** 2, 0.0)
    scaled: Floats = weight / weight[present].mean()
    return scaled


def _predict(model: LowRank, rows: Floats, held: Booleans, max_rank: int) -> Floats:
    """Residuals of the held columns for 0 ... max_rank components, (max_rank + 1, n, held); NaN where missing."""
    centred = rows - model.mean
    residuals = np.empty((max_rank + 1, len(rows), int(held.sum())))
    residuals[0] = centred[:, held]
    present = np.isfinite(rows) & ~held
    known = np.where(present, centred, 0.0)
    k = model.rank
    if k == 0:
        residuals[1:] = residuals[0]
        return residuals
    pairs = (model.components[:, None] * model.components[None]).reshape(k * k, -1)
    normal = (present @ pairs.T).reshape(-1, k, k)
    projected = known @ model.components.T
    for rank in range(1, max_rank + 1):
        r = min(rank, k)
        shorter = model.truncated(r)
        prior = np.diag(shorter.noise_variance / np.maximum(prior_variance(shorter), 1e-300))
        scores = np.linalg.solve(normal[:, :r, :r] + prior, projected[:, :r, None])[..., 0]
        residuals[rank] = centred[:, held] - scores @ model.components[:r][:, held]
    return residuals
