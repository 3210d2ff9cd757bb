"""Ellipses of columns, by their axes or by their precision: the coefficients of dy², dy·dx and dx² of a Gaussian."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats


def precision_of(sigma_major: Floats, sigma_minor: Floats, rotation: Floats) -> Floats:
    """Return the precision of ellipses.

    Parameters
    ----------
    sigma_major, sigma_minor
        (n,), px, standard deviations along the two axes.
    rotation
        (n,), rad, angle of the major axis, counter-clockwise from +x as displayed.

    Returns
    -------
    Floats
        (n, 3), px⁻²: Qyy, Qyx, Qxx.
    """
    along, across = 1.0 / np.square(sigma_major), 1.0 / np.square(sigma_minor)
    cos, sin = np.cos(rotation), np.sin(rotation)
    return np.stack(
        [along * sin**2 + across * cos**2, (across - along) * sin * cos, along * cos**2 + across * sin**2], axis=-1
    )


def axes_of(precision: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (sigma_major, sigma_minor, rotation) of precisions (n, 3); the inverse of :func:`precision_of`."""
    yy, yx, xx = precision[..., 0], precision[..., 1], precision[..., 2]
    mean, half = 0.5 * (yy + xx), np.hypot(0.5 * (yy - xx), yx)
    with np.errstate(divide="ignore", invalid="ignore"):
        major, minor = 1.0 / np.sqrt(mean - half), 1.0 / np.sqrt(mean + half)
    rotation = 0.5 * np.arctan2(2.0 * yx, yy - xx)
    return major, minor, rotation


def determinant(precision: Floats) -> Floats:
    """Return the determinant (n,) of precisions (n, 3)."""
    out: Floats = precision[:, 0] * precision[:, 2] - precision[:, 1] ** 2
    return out


def relative_determinant(precision: Floats, change: Floats) -> Floats:
    """Return by which part (n,) the determinant of precisions (n, 3) grows to first order with a change of them."""
    grown = precision[:, 2] * change[:, 0] - 2.0 * precision[:, 1] * change[:, 1] + precision[:, 0] * change[:, 2]
    out: Floats = grown / determinant(precision)
    return out


def changed_precision(precision: Floats, change: Floats) -> Floats:
    """Return precisions (n, 3) after a change (n, 3), smaller than they are, to which their inverses are linear."""
    whole, less = (q[:, [0, 1, 1, 2]].reshape(-1, 2, 2) for q in (precision, precision - change))
    out: Floats = (whole @ np.linalg.solve(less, whole)).reshape(-1, 4)[:, [0, 1, 3]]
    return out


def mean_width(precision: Floats) -> Floats:
    """Return the width (n,) of a round column of the same mean precision."""
    width: Floats = np.sqrt(2.0 / (precision[:, 0] + precision[:, 2]))
    return width
