"""How far apart two random points of a convex body are: the pairs of an ideal gas in a particle.

An ideal gas in a particle has few long distances because the particle ends: dividing the pairs that are found by those
of an ideal gas in the same body makes g(r) tend to 1 at all distances, and not only in an infinite system.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Floats, Indices
from stemdask.kernels.atoms.convex_body import ConvexBody
from stemdask.kernels.compiled import kernel

#: Lines laid through a body.
N_LINES = 2**18

_FAR = 1e300


def pair_distance_probability(body: ConvexBody, edges: ArrayLike) -> Floats:
    """Return the probability that two random points of a body are at a distance within each bin.

    All pairs of points lie on lines through the body, and on a line with a chord of length c their distances follow
    ``r^2 (c - r)``, whose integrals are exact. Half of the lines go through one random point in a random direction,
    which suits short distances, half through two random points, which suits long ones; each line is weighted by the
    inverse of the density with which both together lay lines of its chord. A low-discrepancy sequence stands for
    chance, so the result is the same every time. Below 0.8 diameters it is right to about half a percent, to two where
    less than one pair in a thousand lies.

    Parameters
    ----------
    edges
        (k + 1,), ascending, of the bins.

    Returns
    -------
    probability
        (k,); sums to 1 over all distances.

    Notes
    -----
    Lines and pairs of points: L. A. Santaló, Integral Geometry and Geometric Probability (1976), II.12 and III.14.
    Weights: E. Veach & L. Guibas, Optimally combining sampling techniques, SIGGRAPH 1995 (balance heuristic).

    Examples
    --------
    >>> from stemdask.kernels.atoms import convex_body
    >>> cube = convex_body(np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]))
    >>> pair_distance_probability(cube, [0, 0.5, 1, np.sqrt(3)]).round(2)
    array([0.28, 0.63, 0.09])
    """
    half = N_LINES // 2
    even = _evenly(half, 8)
    start = _inside(body, even[:, :4])
    cosine, turn = 2 * even[:, 4] - 1, 2 * np.pi * even[:, 5]
    sine = np.sqrt(1 - cosine**2)
    direction = np.column_stack([sine * np.cos(turn), sine * np.sin(turn), cosine])
    towards = _inside(body, even[:, 4:]) - start
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    chords = np.sort(
        _chords(body.normals, body.offsets, np.concatenate([start, start]), np.concatenate([direction, towards]))
    )
    weight = 1 / (chords * body.volume / (2 * np.pi) + chords**4 / 6)
    r = np.asarray(edges, float)
    shorter = np.searchsorted(chords, r)
    whole = np.append(0.0, np.cumsum(weight * chords**4 / 12))
    # Integral of r^2 (chord - r) from 0 to r, or to the chord's end where that comes first.
    cumulative = _sum_from(weight * chords, shorter) * r**3 / 3 - _sum_from(weight, shorter) * r**4 / 4
    return np.diff((cumulative + whole[shorter]) / whole[-1])


def _sum_from(values: Floats, start: Indices) -> Floats:
    """Return the sum of all values from each start on."""
    sums = np.append(np.cumsum(values[::-1])[::-1], 0.0)
    from_start: Floats = sums[start]
    return from_start


def _evenly(n: int, d: int) -> Floats:
    """Return n points that fill the unit cube of d dimensions evenly.

    The R sequence of M. Roberts, The unreasonable effectiveness of quasirandom sequences (2018).
    """
    root = 1.0  # of x^(d + 1) = x + 1
    for _ in range(64):
        root = (1 + root) ** (1 / (d + 1))
    steps = np.array([root**-k for k in range(1, d + 1)])
    points: Floats = (0.5 + np.outer(np.arange(1, n + 1), steps)) % 1
    return points


def _inside(body: ConvexBody, even: Floats) -> Floats:
    """Map points of the four-dimensional unit cube (n, 4) evenly into the body.

    The first coordinate chooses a tetrahedron between the middle and a triangle of the surface, the others a point.
    """
    middle = body.triangles.mean(axis=(0, 1))
    edges = body.triangles - middle
    volume = np.abs(np.linalg.det(edges))
    share = np.cumsum(volume) / volume.sum()
    chosen = edges[np.searchsorted(share[:-1], even[:, 0])]
    outwards = np.cbrt(even[:, 1:2])
    u, v = np.sqrt(even[:, 2:3]), even[:, 3:4]
    points: Floats = middle + outwards * ((1 - u) * chosen[:, 0] + u * (1 - v) * chosen[:, 1] + u * v * chosen[:, 2])
    return points


# Least values don't depend on the order in which they are found, so the loop over faces may be done in vectors.
@kernel(fastmath={"nnan", "nsz"})
def _chords(
    normals: Floats,
    offsets: Floats,
    points: Floats,
    directions: Floats,
) -> Floats:
    """Return the length within the body of the line through each of its points along a unit vector."""
    nx, ny, nz = normals[:, 0].copy(), normals[:, 1].copy(), normals[:, 2].copy()
    chords = np.empty(len(points))
    for k in range(len(points)):
        x, y, z = points[k]
        ux, uy, uz = directions[k]
        ahead, behind = _FAR, _FAR
        for f in range(len(offsets)):
            along = nx[f] * ux + ny[f] * uy + nz[f] * uz
            way = (offsets[f] - (nx[f] * x + ny[f] * y + nz[f] * z)) / along
            ahead = min(ahead, way if along > 0 else _FAR)
            behind = min(behind, -way if along < 0 else _FAR)
        chords[k] = ahead + behind
    return chords
