"""The lattice that lies best on a grain: its cell, its orientation and the site of each atom."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import fdtrc

from stemdask.kernels.arrays import Booleans, Floats, Integers, Integers32
from stemdask.kernels.atoms.components import connected_parts, largest_first
from stemdask.kernels.atoms.lattices import Lattice
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.compiled import kernel

#: A bond belongs to the lattice when it ends nearer to the ideal place than this fraction of the bond.
_TOLERANCE = 0.35
#: Atoms below which the twelve numbers of a lattice say nothing.
FEWEST = 8
#: A pattern of displacements is looked for in blocks of so many cells along each edge, with so many atoms for each site
#: of a block. It is one if it explains this part of the mean square, which noise does with this probability at most.
_BLOCKS, _EACH, _PATTERN, _BY_CHANCE = (1, 2, 3, 4, 5), 3, 0.1, 1e-6


class LatticeFit(NamedTuple):
    """A lattice fitted to a grain: position of a site = origin + cell @ (site / divisions)."""

    cell: Floats
    """(3, 3), columns are the edges of the cell, in the unit of the positions."""
    origin: Floats
    """(3,)."""
    site: Integers32
    """(n, 3), site of each atom in the divisions of the lattice."""
    on_site: Booleans
    """(n,), atoms that have a site."""
    fitted: Booleans
    """(n,), atoms that the lattice was fitted to."""
    rms: float
    """Root mean square distance of these from their sites."""
    size: float
    """Edge of a cube as large as the cell."""
    size_err: float
    """Its standard error, from the distances of the atoms from their sites."""
    edge_err: Floats
    """(3,), standard error of the length of each edge."""
    distortion: float
    """Root mean square of the part of those distances that recurs from cell to cell; 0 where there is none."""
    orientation: Floats
    """(3, 3), the rotation in the cell: columns are the directions of its edges but for shear."""


class _Ideal(NamedTuple):
    """Steps of a lattice, and the vectors that they are here."""

    steps: Integers32
    vectors: Floats


def fit_lattice(
    positions: Floats, neighbours: Neighbours, inside: Booleans, lattice: Lattice, rotation: Floats, distance: float
) -> LatticeFit | None:
    """Fit a lattice to the largest connected part of a grain.

    Atoms get sites by following bonds from the middle of the part, which holds for strained crystals of any size and
    ends at grain boundaries. Cell and origin are the least-squares solution over the atoms inside.

    Parameters
    ----------
    positions
        (n, 3).
    neighbours
        Nearest neighbours.
    inside
        (n,), atoms of the grain with all their neighbours; only these are fitted to, and only they lead on.
    lattice
        Its kind.
    rotation
        (3, 3), columns are the directions of its edges, to about ten degrees.
    distance
        Of nearest neighbours, to about a tenth.

    Returns
    -------
    LatticeFit or None
        None where fewer than eight atoms hang together, or these lie in a plane.
    """
    i, j = neighbours.centre, neighbours.other
    both = inside[i] & inside[j]
    parts = np.where(inside, connected_parts(len(positions), i[both], j[both]), -1)
    label, sizes = largest_first(parts, FEWEST)
    if not len(sizes):
        return None
    core = label == 0
    middle = positions[core].mean(axis=0)
    seed = int(np.flatnonzero(core)[np.argmin(np.linalg.norm(positions[core] - middle, axis=1))])
    vectors = distance * lattice.places() @ rotation.T
    for _ in range(2):  # the cell as it is told leads to the one that is there
        ideal = _Ideal(lattice.steps, np.ascontiguousarray(vectors))
        site, place, reached = _follow_bonds(neighbours.first, neighbours.other, neighbours.vector, core, seed, ideal)
        fitted = core & reached
        design = np.column_stack([site[fitted] / lattice.divisions, np.ones(int(fitted.sum()))])
        if np.linalg.matrix_rank(design) < 4:
            return None
        solution = np.linalg.lstsq(design, place[fitted], rcond=None)[0]
        cell, offset = solution[:3].T, solution[3]
        if not np.linalg.det(cell) > 0:
            return None
        vectors = lattice.steps / lattice.divisions @ cell.T
    away = place[fitted] - design @ solution
    squared = (away**2).sum()
    n = int(fitted.sum())
    size = float(np.cbrt(np.linalg.det(cell)))
    covariance = np.linalg.inv(design.T @ design)[:3, :3] * squared / max(3 * n - 12, 1)
    # d(det) = det trace(inverse cell d(cell)), and the rows of the cell err independently of each other.
    inverse = np.linalg.inv(cell)
    variance = (size / 3) ** 2 * np.einsum("ij,ik,jk->", inverse.T, inverse.T, covariance)
    u, _, vt = np.linalg.svd(cell / lattice.edges)  # polar decomposition: the rotation without the stretch
    return LatticeFit(
        cell=cell,
        origin=positions[seed] + offset,
        site=site,
        on_site=reached,
        fitted=fitted,
        rms=float(np.sqrt(squared / n)),
        size=size,
        size_err=float(np.sqrt(variance)),
        edge_err=np.sqrt(np.diag(covariance)),
        distortion=recurring_distortion(site[fitted], away, lattice.divisions),
        orientation=u @ vt,
    )


def recurring_distortion(site: Integers32, away: Floats, divisions: Floats) -> float:
    """Return how far atoms lie off the sites of a lattice in a pattern that recurs, as a root mean square.

    Atoms are compared with those at the same place of blocks of cells. Noise averages out among them, and so do strains
    that vary smoothly; what is left tells a lattice from one that is distorted from cell to cell, as that of arsenic
    from simple cubic.

    Parameters
    ----------
    site
        (n, 3), in divisions of the lattice.
    away
        (n, 3), from the site.
    divisions
        (3,), of the edges of its cell.

    Examples
    --------
    >>> site = np.stack(np.meshgrid(*[np.arange(6)] * 3), -1).reshape(-1, 3).astype(np.int32)
    >>> pairs = np.where(site.sum(axis=1) % 2 == 0, 0.1, -0.1)[:, None] * np.array([1.0, 0, 0])
    >>> round(recurring_distortion(site, pairs, np.ones(3)), 3)
    0.1
    """
    n, mean_square = len(site), float((away**2).sum(axis=1).mean())
    found = 0.0
    for block in _BLOCKS:
        _, place = np.unique(site % (block * divisions.astype(int)), axis=0, return_inverse=True)
        place = place.ravel()
        k = int(place.max()) + 1
        if k < 2 or n < _EACH * k or not mean_square > 0:
            continue
        sums = np.column_stack([np.bincount(place, away[:, axis]) for axis in range(3)])
        explained = float((sums**2 / np.bincount(place)[:, None]).sum()) / n
        rest = max(1 - explained / mean_square, 1e-12)
        part = 1 - rest * (n - 1) / (n - k)  # without what noise explains
        ratio = (1 - rest) / (k - 1) / (rest / (n - k))
        if part > _PATTERN and fdtrc(3 * (k - 1), 3 * (n - k), ratio) < _BY_CHANCE:
            found = max(found, part * mean_square)
    return float(np.sqrt(found))


@kernel
def _follow_bonds(
    first: Integers, other: Integers32, vector: Floats, leads_on: Booleans, seed: int, ideal: _Ideal
) -> tuple[Integers32, Floats, Booleans]:
    """Return the site of each atom, where it is seen from the seed, and whether bonds of the lattice lead to it."""
    n = len(first) - 1
    site = np.zeros((n, 3), np.int32)
    place = np.zeros((n, 3))
    reached = np.zeros(n, np.bool_)
    queue = np.empty(n, np.int64)
    queue[0], head, tail = seed, 0, 1
    reached[seed] = True
    while head < tail:
        i = queue[head]
        head += 1
        if not leads_on[i]:
            continue
        for k in range(first[i], first[i + 1]):
            j = other[k]
            if reached[j]:
                continue
            least, step = np.inf, 0
            for s in range(len(ideal.steps)):
                miss, length = 0.0, 0.0
                for c in range(3):
                    miss += (vector[k, c] - ideal.vectors[s, c]) ** 2
                    length += ideal.vectors[s, c] ** 2
                if miss / length < least:
                    least, step = miss / length, s
            if least > _TOLERANCE * _TOLERANCE:
                continue
            for c in range(3):
                site[j, c] = site[i, c] + ideal.steps[step, c]
                place[j, c] = place[i, c] + vector[k, c]
            reached[j] = True
            queue[tail] = j
            tail += 1
    return site, place, reached
