"""Standard errors of a map after its projection onto few components."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.denoising.low_rank import LowRank, scores


def row_basis(model: LowRank, rows: Floats) -> Floats:
    """Return the coordinates of complete rows in the space that the fit draws its mean and components from.

    Returns
    -------
    (n, k + 1): 1/√n_rows for the mean, where there is one, then the scores over their singular values.
    """
    coordinates = scores(model, rows) / np.maximum(model.singular_values, 1e-300)
    if not model.centred:
        return coordinates
    constant = np.full((len(rows), 1), 1 / np.sqrt(max(model.n_rows, 1)))
    return np.concatenate([constant, coordinates], axis=1)


def noise_of_columns(blocks: Iterable[tuple[Floats, Floats]], model: LowRank) -> Floats:
    """Sum each column's noise over the rows of the fit, weighted by pairs of their coordinates.

    Parameters
    ----------
    blocks
        Complete rows and the standard errors of their entries, each (n_b, p); an error of 0 adds nothing.
    model
        The fit.

    Returns
    -------
    (p, (k + 1)²), squared unit of the rows.
    """
    side = model.rank + model.centred
    total = np.zeros((len(model.mean), side * side))
    for rows, noise in blocks:
        basis = row_basis(model, rows)
        pairs = (basis[:, :, None] * basis[:, None]).reshape(len(rows), basis.shape[1] ** 2)
        total += (noise**2).T @ pairs
    return total


def projected_errors(model: LowRank, rows: Floats, noise: Floats, columns: Floats) -> Floats:
    """Return the standard errors of reconstructed rows.

    To first order in the noise E the change of a truncated PCA is P E + (1 - P) E Q, where P projects onto the mean
    and the scores and Q onto the components (Stewart & Sun 1990; for noisy matrices Chen, Fan, Ma & Yan 2019). The
    two terms are independent. What the truncation removes of the truth is a bias and not in here.

    Parameters
    ----------
    model
        The fit.
    rows
        (n, p), complete.
    noise
        (n, p), standard errors of the entries, 0 where an entry was filled in.
    columns
        What `noise_of_columns` returned.

    Returns
    -------
    (n, p), unit of the rows.
    """
    basis = row_basis(model, rows)
    pairs = (basis[:, :, None] * basis[:, None]).reshape(len(rows), basis.shape[1] ** 2)
    variance = pairs @ columns.T
    if model.rank:
        along = model.components
        outer = (along[:, None] * along[None]).reshape(model.rank**2, -1)
        spread = (noise**2) @ outer.T
        left = np.maximum(1 - np.sum(basis**2, axis=1), 0.0)[:, None]
        variance += left * (spread @ outer)
    errors: Floats = np.sqrt(np.maximum(variance, 0.0))
    return errors


def error_scale(residuals: Floats, noise: Floats, freedom: float) -> float:
    """Return the factor by which the stated errors fall short of the scatter about the fit, at least 1.

    It is the scale factor of Birge (1932) with the median absolute residual in place of the mean square, so that a
    few wrong cells don't count.

    Parameters
    ----------
    residuals, noise
        Same shape and unit; pairs that are not finite, or whose noise is not positive, are left out.
    freedom
        Fraction of the noise that the fit leaves in the residuals.
    """
    known = np.isfinite(residuals) & np.isfinite(noise) & (noise > 0)
    if not known.any() or freedom <= 0:
        return 1.0
    scatter = float(np.median(np.abs(residuals[known] / noise[known]))) / 0.6744897501960817
    return max(1.0, scatter / float(np.sqrt(freedom)))
