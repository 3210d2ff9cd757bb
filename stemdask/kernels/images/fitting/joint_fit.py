"""All columns of an image fitted at once: each with the tails of its neighbours, widths and background shared.

Overlap, not noise, is what ruins the precision of columns that are fitted one by one: the tail of a neighbour pulls
each position, and a displacement comes out too large. Here one model image, a smooth background plus an elliptical
Gaussian for each column, is brought to agree with the measured one in all its pixels. Weights are 1/variance of the
model (Fisher scoring, which for counts is Poisson maximum likelihood); each step solves the normal equations of all
columns together.

The limits of localisation: R. J. Ober et al., Biophys. J. 86 (2004) 1185. Overlapping columns estimated together: A. De
Backer et al., Ultramicroscopy 171 (2016) 104.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import AnyFloats
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, NOT_CONVERGED, RAN_AWAY, ColumnFit
from stemdask.kernels.images.fitting.column_model import USUAL, ColumnModel, KnownShape, NoiseKind, Shape
from stemdask.kernels.images.fitting.densest_window import densest_window
from stemdask.kernels.images.fitting.image_fit import ImageFit
from stemdask.kernels.images.fitting.noise import Noise

#: The part of the columns that a fit with a shape of their own may not bring to rest.
_MAY_BE_LOST = 0.05
#: From so many columns on, so many of them tell the shape that all share: its terms to better than 0.005.
_MANY, _ENOUGH = 5_000, 2_000
#: A halo of fewer standard errors that these tell is asked for in the whole image.
_SURE = 3.0


def fit_joint(
    image: AnyFloats,
    positions: ArrayLike,
    sublattice: ArrayLike,
    sigma: ArrayLike,
    *,
    noise: NoiseKind | Noise = "auto",
    model: ColumnModel = USUAL,
    start: ColumnFit | None = None,
    held: ArrayLike | None = None,
) -> ColumnFit:
    """Fit all columns of an image together.

    Parameters
    ----------
    image
        (y, x); NaN pixels are left out. Any unit: the result follows a factor and an offset.
    positions
        (n, 2), px, (y, x): where to start, right to about half a width. Columns just outside the image should be
        given too: their tails reach into it. They move only as the others of their sublattice do, and have amplitudes
        like those beside them.
    sublattice
        (n,), number of each column's sublattice.
    sigma
        Width to start from, px: one, or one for each sublattice number from 0 up. Not used with `start`.
    noise
        "auto" reads from the image how the noise depends on the brightness, "poisson" and "gaussian" give its form, a
        :class:`Noise` gives it whole.
    model
        Of what columns and background may look like.
    start
        A fit of the frame before: its amplitudes, widths and background are the start. Same columns in the same order.
    held
        (n,), columns that stay where they are while the image tells their amplitude, which may be 0 or less: sites that
        may be empty. None: none of them.

    Returns
    -------
    ColumnFit
        Columns that can't be fitted are flagged and never raise.

    Raises
    ------
    ValueError
        Where the arrays don't belong together.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :60]
    >>> image = 100 + sum(50 * np.exp(-((y - 20.3) ** 2 + (x - at) ** 2) / 18) for at in (22.8, 34.1))
    >>> image += np.random.default_rng(0).normal(0, 0.5, image.shape)
    >>> fit_joint(image, [[20, 23], [20, 34]], [0, 0], 3.0, noise="gaussian").positions.round(1)
    array([[20.3, 22.8],
           [20.3, 34.1]])
    """
    if start is not None and start.halo and model.shape == "auto":
        model = model._replace(shape=KnownShape.of(start))
    if model.shape == "auto" and start is None:
        model = model._replace(shape=_shape_of_many(image, positions, sublattice, sigma, noise, model, held))

    return _ended(ImageFit(image, positions, sublattice, sigma, noise, model, start, held))


def _ended(fit: ImageFit) -> ColumnFit:
    """Bring a fit to its end; begin anew where that tells that ground, widths or shape of its model were wrong."""

    def ran(fit: ImageFit) -> ImageFit:
        fit.run()
        if fit.may_be_uneven:
            uneven = ran(fit.anew(fit.model._replace(uneven=True)))
            if uneven.doubted < fit.doubted:
                return uneven
        if fit.model.widths == "alike" or not fit.scene.unlike(fit.scoring.state):
            return fit
        # What the background doesn't follow has made columns of one kind wide.
        return ran(fit.anew(fit.model._replace(widths="alike")))

    fit = ran(fit)
    shaped, sought = fit.result(), ~fit.held

    def lost(columns: ColumnFit) -> int:
        """Return how many columns were not brought to rest."""
        return int(np.isin(columns.flag[sought], (NOT_CONVERGED, RAN_AWAY, NO_SIGNAL)).sum())

    if fit.model.shape != "auto" or not fit.scene.shaped or lost(shaped) <= _MAY_BE_LOST * np.count_nonzero(sought):
        return shaped
    # Too little is known for a shape where columns don't come to rest with it.
    return min(shaped, ran(fit.anew(fit.model._replace(shape="gaussian"))).result(), key=lost)


def _shape_of_many(
    image: AnyFloats,
    positions: ArrayLike,
    sublattice: ArrayLike,
    sigma: ArrayLike,
    noise: NoiseKind | Noise,
    model: ColumnModel,
    held: ArrayLike | None,
) -> Shape | KnownShape:
    """Return the shape of the columns where they are densest; "auto" of an image that has too few to look at a part."""
    places = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
    sought = np.isfinite(places).all(axis=1)
    if held is not None:
        sought &= ~np.asarray(held, dtype=bool).reshape(-1)
    if np.count_nonzero(sought) < _MANY:
        return "auto"
    low, side = densest_window(places[sought], np.shape(image), _ENOUGH)
    near = ((places > low - 0.1 * side) & (places < low + 1.1 * side)).all(axis=1)
    fit = ImageFit(
        image[low[0] : low[0] + side, low[1] : low[1] + side],
        places[near] - low,
        np.asarray(sublattice)[near],
        sigma,
        noise,
        model,
        None,
        None if held is None else np.asarray(held)[near],
    )
    told = _ended(fit)
    known = KnownShape.of(told)
    if told.halo and told.halo < _SURE * told.halo_err:
        return known._replace(halo=None)
    return known if any(known) else "gaussian"
