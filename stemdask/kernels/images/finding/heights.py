"""How high each column is by itself, without the tails of its neighbours, and how well the image tells.

The contrast of a column (its height over a ring around it) holds what its neighbours' tails add to the middle and to
the ring. For round Gaussians of one width that is known for every distance, so the heights of all columns follow from
their contrasts by a sparse linear system. What the columns then leave unexplained between them, noise or not, is what a
further one would have to rise above.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse, special
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Booleans, Floats, Image
from stemdask.kernels.images.finding.peaks import contrast

#: Widths beyond the ring from which a tail adds nothing.
_REACH = 3.5
_SWEEPS = 60
_TOLERANCE = 1e-3
#: Places at which the image is looked at around each site, in units of the distance of columns, and how far they have
#: to be from every site.
_PLACES = 4
_AWAY = 0.5
_CLEAR = 0.42
#: Nearest places that tell what is unexplained at a site.
_AROUND = 16
#: Mean of the smaller seven eighths of the squares of normal numbers, in units of their variance.
_PART_OF_VARIANCE = 0.57


def tail_contrast(distance: Floats, width: float, radius: float) -> Floats:
    """Contrast, over a ring of some radius, that a Gaussian of height 1 makes at a distance; all lengths in px.

    The mean of a Gaussian over a ring is ``exp(-(r² + R²) / 2σ²) I₀(rR / σ²)``.
    """
    middle = np.exp(-0.5 * (distance / width) ** 2)
    ring = np.exp(-0.5 * ((distance - radius) / width) ** 2) * special.i0e(distance * radius / width**2)
    return np.asarray(middle - ring)


def heights_alone(contrasts: Floats, positions: Floats, assumed: Floats, width: float, radius: float) -> Floats:
    """Return the height that each column has by itself.

    Parameters
    ----------
    contrasts
        (n,), over a ring of `radius`; NaN where there is none.
    positions
        (n, 2), px.
    assumed
        (n,), height of the columns without contrast: their tails count as well.
    width
        Standard deviation of the columns in px.
    radius
        Of the ring, px.

    Returns
    -------
    (n,), never negative.
    """
    known = np.isfinite(contrasts)
    coupling = _coupling(positions, positions, width, radius)
    own = float(tail_contrast(np.zeros(1), width, radius)[0])
    heights = np.where(known, np.clip(contrasts / own, 0.0, None), assumed)
    target = np.where(known, contrasts, 0.0)
    # Projected Jacobi steps, damped so that they converge where neighbours add as much as the column itself.
    strength = np.asarray(abs(coupling).sum(axis=1)).ravel() + own
    for _ in range(_SWEEPS):
        change = (target - own * heights - coupling @ heights) / strength
        renewed = np.where(known, np.clip(heights + change, 0.0, None), assumed)
        step = float(np.abs(renewed - heights).max(initial=0.0))
        heights = renewed
        if step <= _TOLERANCE * float(heights.max(initial=0.0)):
            break
    return heights


def tails(positions: Floats, heights: Floats, of: Booleans, width: float, radius: float) -> Floats:
    """Return the height (n,) that the tails of some columns make at each column; see `heights_alone`."""
    own = float(tail_contrast(np.zeros(1), width, radius)[0])
    return np.asarray(abs(_coupling(positions, positions[of], width, radius)) @ heights[of] / own)


def _coupling(at: Floats, columns: Floats, width: float, radius: float) -> sparse.csr_array:
    """Contrast at each place (m, 2) for a height of 1 of each column (n, 2): (m, n); nothing where they coincide."""
    reach = radius + _REACH * width
    pairs = cKDTree(at).sparse_distance_matrix(cKDTree(columns), reach, output_type="coo_matrix")
    values = tail_contrast(pairs.data, width, radius)
    apart = pairs.data > 1e-9
    index = (pairs.row[apart], pairs.col[apart])
    return sparse.csr_array((values[apart], index), shape=(len(at), len(columns)))


def unexplained(
    image: Image, positions: Floats, heights: Floats, asked: Booleans, shape: tuple[float, float, float]
) -> Floats:
    """Return the scatter of the contrasts that the columns leave unexplained near each of them, as a height.

    Parameters
    ----------
    image
        (ny, nx), smoothed; NaN where a pixel is missing.
    positions, heights
        (n, 2), px, and (n,): the columns.
    asked
        (n,), around which of them to look.
    shape
        Width of the columns, radius of the ring and shortest distance of two columns, px.

    Returns
    -------
    (n,); NaN without a place to look at.
    """
    width, radius, distance = shape
    angle = (np.arange(_PLACES) + 0.5) * (2.0 * np.pi / _PLACES)
    circle = _AWAY * distance * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    places = (positions[asked, None] + circle).reshape(-1, 2)
    places = places[cKDTree(positions).query(places)[0] >= _CLEAR * distance]
    found = contrast(image, places, radius)
    finite = np.isfinite(found)
    places, found = places[finite], found[finite]
    if len(places) == 0:
        return np.full(len(positions), np.nan)
    left = (found - _coupling(places, positions, width, radius) @ heights) ** 2
    number = min(_AROUND, len(places))
    _, near = cKDTree(places).query(positions, k=number)
    # Without the largest eighth, which may be columns that nobody expects. Few counts are no normal numbers: in vacuum
    # most places hold none, and a median would be 0.
    squares = np.sort(left[near.reshape(len(positions), number)], axis=1)[:, : number - number // 8]
    scatter = np.sqrt(squares.mean(axis=1) / _PART_OF_VARIANCE)
    return np.asarray(scatter / float(tail_contrast(np.zeros(1), width, radius)[0]))
