"""The image that measured columns stand for, from what is stored of them."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.images.fitting.halo import add_columns

#: Fewest columns that a background lies between, and how far it reaches from them, in distances to the fourth
#: neighbour: to the middle of the largest meshes, in a honeycomb and between dumbbells too.
_FEWEST, _REACH = 5, 0.8


def draw_columns(
    shape: tuple[int, int],
    positions: Floats,
    amplitude: Floats,
    precision: Floats,
    background: Floats,
    terms: Floats,
    halo: float = 0.0,
) -> Floats:
    """Draw columns of one shape over the background between them.

    Parameters
    ----------
    shape
        (ny, nx) of the image.
    positions
        (n, 2), px, (y, x), of the middle of each Gaussian, which coma puts beside where the column is brightest.
    amplitude, background
        (n,), height of the Gaussian, and what it stands on.
    precision
        (n, 3), px⁻², as of :func:`~stemdask.kernels.images.fitting.ellipses.precision_of`.
    terms
        (3,), how all columns deviate from Gaussians; see :mod:`~stemdask.kernels.images.fitting.aberrations`.
    halo
        The part of their counts that lies in their halo.

    Returns
    -------
    Floats
        (ny, nx), NaN far from all columns, nearer to the border than columns are to each other, where some lie that
        aren't among these, and where there are fewer than five.
    """
    if len(positions) < _FEWEST:
        return np.full(shape, np.nan)
    tree = cKDTree(positions)
    apart, reach = np.median(tree.query(positions, k=_FEWEST)[0][:, [1, -1]], axis=0)
    grid = np.moveaxis(np.indices(shape), 0, -1)
    image: Floats = LinearNDInterpolator(positions, background)(grid)
    from_border = np.minimum(grid, np.array(shape) - 1 - grid).min(axis=2)
    image[(tree.query(grid)[0] > _REACH * reach) | (from_border < apart)] = np.nan
    drawn: Image = np.zeros(shape, np.float32)
    add_columns(drawn, positions, amplitude, precision, terms, halo)
    return image + drawn
