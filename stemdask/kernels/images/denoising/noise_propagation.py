"""Standard errors of a map after its projection onto few components."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import gammaincinv

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.denoising.low_rank import LowRank, scores

#: Residuals beyond so many standard errors are wrong cells rather than tails of the noise.
_WRONG = 6.0


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


def error_scale(residuals: Floats, noise: Floats, left: Floats) -> tuple[float, float]:
    """Return the factor by which the stated errors fall short of the scatter about the fit, at least 1.

    It is the scale factor of Birge (1932). Each entry has its own mean square over the rows, which heavy tails of the
    noise belong to, and the median over the entries counts, which those that the fit doesn't follow don't change.

    Parameters
    ----------
    residuals, noise
        (n, ...), same unit; pairs that are not finite, or whose noise is not positive, are left out.
    left
        Fraction of the noise² that the fit leaves in the residuals, same shape.

    Returns
    -------
    scale
        The factor.
    doubt
        Relative standard error of its square.
    """
    known = np.isfinite(residuals) & np.isfinite(noise) & (noise > 0) & (left > 0)
    if not known.any():
        return 1.0, 0.0
    ratio = np.where(known, residuals, 0.0) / np.where(known, noise, 1.0)
    wrong = _WRONG * float(np.median(np.abs(ratio[known]))) / 0.6744897501960817
    squares = np.sum(np.minimum(np.abs(ratio), wrong) ** 2, axis=0)
    freedom = np.sum(np.where(known, left, 0.0), axis=0)
    counted = freedom > 0.5 * freedom.max()
    squares, freedom = squares[counted], freedom[counted]
    # The median of χ² by its inverse; scipy.stats, which has it by name, takes a third of a second to import.
    scale = float(np.median(squares / (2.0 * gammaincinv(freedom / 2.0, 0.5))))
    # The median scatters by sqrt(π / 2) times as much as the mean; a variance of f degrees of freedom by sqrt(2 / f).
    return max(1.0, float(np.sqrt(scale))), float(np.sqrt(np.pi / (np.median(freedom) * len(freedom))))
