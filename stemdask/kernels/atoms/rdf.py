"""Pair distances in exact bins, the radial distribution function, and its first minimum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import convolve1d

from stemdask.kernels.arrays import Floats, Integers
from stemdask.kernels.atoms.cells import FINE, Cells, sort_into_cells
from stemdask.kernels.atoms.neighbours import following_run
from stemdask.kernels.atoms.periodic import images
from stemdask.kernels.atoms.workspace import Workspace
from stemdask.kernels.compiled import kernel

_CHUNK = 512


def bin_edges(r_max: float, width: float) -> Floats:
    """Return the edges k · width of the bins that lie below `r_max`, as ``numpy.arange`` rounds them.

    Parameters
    ----------
    r_max, width
        Largest distance and width of a bin, in the unit of the positions.

    Returns
    -------
    numpy.ndarray
        (bins + 1,), from 0.

    Examples
    --------
    >>> bin_edges(1.0, 0.25)
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    return np.arange(max(int(np.ceil(r_max / width - 1e-9)), 1) + 1, dtype=np.float64) * width


def pair_counts(
    positions: ArrayLike,
    edges: Floats,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
    *,
    workspace: Workspace | None = None,
) -> Integers:
    """Count the pairs of atoms in each bin of distance, each pair once; a pair on an edge belongs to the upper bin.

    The bin is decided by comparison with the edges themselves, so that the counts are those of ``numpy.histogram``
    (but for a distance equal to the last edge, which is left out).

    Parameters
    ----------
    positions
        (n, 3). Atoms with a coordinate that isn't finite are left out.
    edges
        (bins + 1,), evenly spaced from 0.
    cell, periodic
        The periodic box, as in `find_neighbours`; an atom and each of its own images are half a pair each way.
    workspace
        Memory to use again.

    Returns
    -------
    Integers
        (bins,).

    Examples
    --------
    >>> triangle = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> pair_counts(triangle, bin_edges(2.0, 0.5))
    array([0, 0, 3, 0])
    """
    xyz = np.ascontiguousarray(positions, float)
    counts = np.zeros((2, len(edges)), np.int64)
    if len(xyz):
        owner, shift = np.empty(0, np.int32), np.empty((0, 3))
        if cell is not None and np.any(periodic):
            xyz = np.where(np.isfinite(xyz), xyz, np.nan)
            xyz, owner, shift = images(xyz, float(edges[-1]), cell, periodic)
        space = workspace or Workspace()
        cells = sort_into_cells(xyz, owner, shift, float(edges[-1]), space)
        _count(cells, len(xyz), len(owner) > 0, edges, counts)
    found: Integers = counts.sum(axis=0)[:-1] // 2
    return found


def tutorial_rdf(counts: Integers, edges: Floats, positions: ArrayLike) -> Floats:
    """Normalise the pair counts of an isolated particle by those of a sphere of the same size.

    g(r) = n(r) / N · R³ / (3 r² dr) with the n(r) of all N pairs of atoms that lie in the bin around r, and R half the
    mean extent of the particle along x, y and z. It tends to 0 at the diameter, as the particle ends there. This is
    the normalisation of Kang et al., github.com/jungwonparklab/analysis-time-resolved-3d-recon-kang.

    Parameters
    ----------
    counts
        (bins,), pairs, each counted once.
    edges
        (bins + 1,), edges of the bins, in the unit of the positions.
    positions
        (n, 3), of the atoms.

    Returns
    -------
    numpy.ndarray
        (bins,), g(r).

    Examples
    --------
    >>> from ase.cluster import Icosahedron
    >>> particle, edges = Icosahedron("Pt", 4).positions, bin_edges(6.0, 0.05)
    >>> g = tutorial_rdf(pair_counts(particle, edges), edges, particle)
    >>> round(float(edges[np.argmax(g)]), 2)
    2.9
    """
    xyz = np.asarray(positions, float)
    finite = np.isfinite(xyz)
    if not finite.all():
        xyz = xyz[finite.all(axis=1)]
    pairs = len(xyz) * (len(xyz) - 1) / 2
    if pairs == 0:
        return np.full(len(counts), np.nan)
    radius = np.ptp(xyz, axis=0).mean() / 2
    width = edges[1] - edges[0]
    centres = edges[:-1] + width / 2
    g: Floats = counts * (radius**3 / (3 * width * pairs)) / centres**2
    return g


def periodic_rdf(counts: Integers, edges: Floats, n: int, volume: float) -> Floats:
    """Normalise the pair counts of a periodic box of `n` atoms by those of an ideal gas in the same shells.

    Parameters
    ----------
    counts
        (bins,), pairs, each counted once.
    edges
        (bins + 1,), edges of the bins, in the unit of the positions.
    n, volume
        Number of atoms, and volume of the box in the cube of that unit.

    Returns
    -------
    numpy.ndarray
        (bins,), g(r); 1 in an ideal gas.

    Examples
    --------
    >>> gas = np.random.default_rng(0).uniform(0, 20, (4000, 3))
    >>> edges = bin_edges(8.0, 1.0)
    >>> g = periodic_rdf(pair_counts(gas, edges, 20 * np.eye(3)), edges, len(gas), 20.0**3)
    >>> g.round(1)
    array([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    if n == 0:
        return np.full(len(counts), np.nan)
    g: Floats = counts / (n * n / (2 * volume) * (4 / 3) * np.pi * np.diff(edges**3))
    return g


class FirstMinimum(NamedTuple):
    """Where the first shell of neighbours ends; NaN where there is no second shell to tell."""

    cutoff: float
    error: float
    """Standard error."""
    peak: float = np.nan
    """Where the first peak is; NaN where it wasn't looked for."""


def first_minimum(counts: ArrayLike, edges: Floats) -> FirstMinimum:
    """Find the first minimum of the radial distribution function from pair counts.

    n(r)/r² is smoothed by a Gaussian of 3.5 % of the first distance, so that single pairs make no minimum. From the
    first peak the lowest place is followed until the curve has risen from it by three standard errors of counting
    (and 5 % of the peak). All places around it that counting can't tell from it are the plateau; its middle is the
    cutoff, and the error is that of a place anywhere on it.

    Parameters
    ----------
    counts
        (bins,), pairs.
    edges
        (bins + 1,), evenly spaced from 0.

    Examples
    --------
    >>> from ase.build import bulk
    >>> copper = bulk("Cu", cubic=True).repeat(6)
    >>> copper.rattle(0.1, seed=0)
    >>> edges = bin_edges(6.0, 0.02)
    >>> found = first_minimum(pair_counts(copper.positions, edges, copper.cell[:]), edges)
    >>> 2.55 < found.cutoff < 3.61
    True
    """
    width = edges[1] - edges[0]
    r = edges[:-1] + width / 2
    pairs = np.asarray(counts, float)
    if not pairs.any():
        return FirstMinimum(np.nan, np.nan)
    strongest = r[np.argmax(pairs / r**2)]
    near = r < 3 * strongest
    r, pairs = r[near], pairs[near]
    sigma = max(0.035 * strongest, 0.5 * width)
    half = int(np.ceil(4 * sigma / width))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * width / sigma) ** 2)
    kernel /= kernel.sum()
    curve = convolve1d(pairs / r**2, kernel, mode="constant")
    noise = np.sqrt(convolve1d((pairs + 1) / r**4, kernel**2, mode="constant"))  # + 1: an empty bin isn't known empty
    peak = int(np.argmax(curve > 0.5 * curve.max()))
    peak += int(np.argmax(np.append(np.diff(curve[peak:]) < 0, True)))
    so_far = np.minimum.accumulate(curve[peak:])
    risen = curve[peak:] - so_far > np.maximum(3 * noise[peak:], 0.05 * (curve[peak] - so_far))
    if not risen.any():
        return FirstMinimum(np.nan, np.nan, float(r[peak]))
    lowest = peak + int(np.argmin(curve[peak : peak + int(np.argmax(risen))]))
    alike = curve - curve[lowest] <= noise
    begin = lowest - int(np.argmin(alike[lowest::-1])) + 1
    end = lowest + int(np.argmin(alike[lowest:])) - 1
    plateau = r[end] - r[begin] + width
    return FirstMinimum(float(r[begin] + r[end]) / 2, float(plateau / np.sqrt(12)), float(r[peak]))


@kernel
def _count(cells: Cells, n: int, images: bool, edges: Floats, counts: Integers) -> None:
    """Add 2 for each pair of atoms, 1 for an atom and an image; beyond the last edge into the last bin.

    `counts` has two rows, filled in turn, so that an addition need not wait for the one before.
    """
    x, y, z, order, start = cells.x, cells.y, cells.z, cells.order, cells.start
    bins = len(edges) - 1
    inverse, last = 1.0 / edges[1], bins + 0.5
    distance, place = np.empty(_CHUNK), np.empty(_CHUNK, np.int32)
    border = cells.layer + cells.row + FINE
    for c in range(border, len(start) - 1 - border):
        for s in range(start[c], start[c + 1]):
            xs, ys, zs = x[s], y[s], z[s]
            inside = 1 if order[s] < n else 0
            for row in range(5):
                run = following_run(c, row, cells.row, cells.layer)
                low, high = s + 1 if row == 0 else start[run - FINE], start[run + FINE + 1]
                for begin in range(low, high, _CHUNK):
                    size = min(_CHUNK, high - begin)
                    unclear = 0
                    for u in range(np.uint64(size)):
                        v = np.uint64(begin) + u
                        dx, dy, dz = x[v] - xs, y[v] - ys, z[v] - zs
                        d = np.sqrt(dx * dx + dy * dy + dz * dz)
                        distance[u] = d
                        f = d * inverse if d * inverse < last else last
                        k = int(f)
                        place[u] = k
                        # So close to an edge the product can't tell the side.
                        unclear += (f - k < 1e-9) | (f - k > 1 - 1e-9)
                    if unclear:
                        for t in range(size):
                            place[t] += distance[t] >= edges[min(place[t] + 1, bins)]
                            place[t] -= distance[t] < edges[min(place[t], bins)]
                            place[t] = min(place[t], bins)
                    if images:
                        for t in range(size):
                            counts[0, place[t]] += inside + (order[begin + t] < n)
                    else:
                        for u in range(np.uint64(size)):
                            counts[u & np.uint64(1), np.uint32(place[u])] += 2
