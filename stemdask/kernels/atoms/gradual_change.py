"""A series that goes gradually from one level to another, as a melt that takes a third of a trajectory.

Its noise is that of `straight_pieces`. The way is a logistic curve, whose middle (equally likely at all frames) and
width (equally likely on a logarithmic scale) are summed over: so the evidence may be compared with that of straight
pieces, and errors are those of the distribution of middle and width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp

from stemdask.kernels.arrays import Floats
from stemdask.kernels.atoms.straight_pieces import CORRELATIONS, LEVEL_PRIOR, SHORTEST, noise_evidence, noise_scale

#: Between a tenth and nine tenths of its way, in units of the scale of a logistic curve.
_WAY = 2 * np.log(9)
#: From one width to the next.
_RATIO = 1.25
#: Middles and as many widths that are looked at again.
_FINER = 31


class GradualChange(NamedTuple):
    """The way from one level to another. It begins and ends where a tenth and nine tenths of it are done."""

    log_evidence: float
    start: float
    """Place in the series."""
    start_error: float
    stop: float
    """Place in the series."""
    stop_error: float
    before: float
    after: float
    fitted: Floats
    """(n,)."""


def gradual_change(values: Floats, resolution: float = 0.0) -> GradualChange | None:
    """Return the likeliest gradual change of a whole series, whether there is one or not; None of a short series.

    Parameters
    ----------
    values
        (n,), finite and not all equal.
    resolution
        Noise that the values have at least.

    Examples
    --------
    >>> frames = np.arange(100)
    >>> noise = np.random.default_rng(0).normal(0, 0.05, 100)
    >>> found = gradual_change(1 / (1 + np.exp(-(frames - 60) / 7)) + noise)
    >>> abs(found.start - 44.6) < 3 * found.start_error < 6  # there it is 0.1
    True
    """
    n = len(values)
    widths = SHORTEST * _RATIO ** np.arange(max(np.log((n - 1) / SHORTEST) / np.log(_RATIO), 0))
    grid = [(middle, width) for width in widths for middle in np.arange(width / 2, n - 1 - width / 2 + 1e-9)]
    if not grid:
        return None
    middle, width = np.array(grid).T
    evidence, _ = _evidence(values, middle, width, resolution)
    # The step is as large as the range at most, in either direction, as is the level.
    total = float(logsumexp(evidence) - np.log(evidence.size) + 2 * LEVEL_PRIOR)
    middle, width = _finer(evidence, middle, width, n)
    evidence, (level, step) = _evidence(values, middle, width, resolution)
    share = np.exp(evidence - evidence.max()).sum(axis=0)
    share /= share.sum()
    (start, start_error), (stop, stop_error) = (_mean(share, middle + part * width) for part in (-0.5, 0.5))
    row, curve = np.unravel_index(evidence.argmax(), evidence.shape)
    before, after = float(level[row, curve]), float(level[row, curve] + step[row, curve])
    fitted = before + (after - before) * _curves(n, middle[[curve]], width[[curve]])[0]
    return GradualChange(total, start, start_error, stop, stop_error, before, after, fitted)


def _evidence(values: Floats, middle: Floats, width: Floats, resolution: float) -> tuple[Floats, Floats]:
    """Return the logarithm of the evidence of curves (correlations, curves), and their levels and steps before it."""
    n, reach = len(values), float(np.ptp(values))
    y, curve, scale = (values - values[0]) / reach, _curves(n, middle, width), noise_scale(values, resolution)
    evidence, lines = np.empty((len(CORRELATIONS), len(middle))), np.empty((2, len(CORRELATIONS), len(middle)))
    for k, correlation in enumerate(CORRELATIONS):
        whole, own, one = (_uncorrelated(each, correlation) for each in (curve, y, np.ones(n)))
        ones, curves, both = one @ one, np.einsum("gt,gt->g", whole, whole), whole @ one
        y_one, y_curve = own @ one, whole @ own
        determinant = ones * curves - both**2
        step = (ones * y_curve - both * y_one) / determinant
        squares = own @ own - y_one**2 / ones - step**2 * determinant / ones
        evidence[k] = noise_evidence(scale, squares, (n - 2) / 2, correlation) - 0.5 * np.log(determinant)
        lines[:, k] = values[0] + reach * (y_one - step * both) / ones, reach * step
    return evidence, lines


def _finer(evidence: Floats, middle: Floats, width: Floats, n: int) -> tuple[Floats, Floats]:
    """Return middles and widths of a finer grid where most of the evidence is, all within `n` values."""
    share = np.exp(evidence - evidence.max()).sum(axis=0)
    share /= share.sum()
    axes = []
    for place, least in ((middle, 1.0), (np.log(width), np.log(_RATIO))):
        mean = share @ place
        reach = max(4 * np.sqrt(share @ (place - mean) ** 2), least)
        axes.append(np.linspace(mean - reach, mean + reach, _FINER))
    middle, width = (each.ravel() for each in np.meshgrid(axes[0], np.exp(axes[1])))
    inside = (width >= SHORTEST) & (middle >= width / 2) & (middle <= n - 1 - width / 2)
    return middle[inside], width[inside]


def _curves(n: int, middle: Floats, width: Floats) -> Floats:
    """Return logistic curves from 0 to 1 (curves, n)."""
    curves: Floats = expit(_WAY * (np.arange(n) - middle[:, None]) / width[:, None])
    return curves


def _uncorrelated(series: Floats, correlation: float) -> Floats:
    """Take from each value what the one before foretells; the first one has the variance of all."""
    rest: Floats = np.concatenate(
        [np.sqrt(1 - correlation**2) * series[..., :1], series[..., 1:] - correlation * series[..., :-1]], axis=-1
    )
    return rest


def _mean(share: Floats, places: Floats) -> tuple[float, float]:
    """Return the mean of a place by the probabilities of all, and its standard error, as of a whole number."""
    mean = float(share @ places)
    return mean, float(np.sqrt(share @ (places - mean) ** 2 + 1 / 12))
