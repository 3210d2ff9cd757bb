"""The fcc lattice that lies best on the core of a particle: its cell, its orientation and the site of each atom."""

from __future__ import annotations

from itertools import permutations, product
from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats, Integers, Integers32
from stemdask.kernels.atoms.components import connected_parts, largest_first
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.compiled import kernel

#: A bond belongs to the lattice when it ends nearer to the ideal place than this fraction of the bond.
_TOLERANCE = 0.35
#: Atoms of the core below which the twelve numbers of a lattice say nothing.
_FEWEST = 8


class LatticeFit(NamedTuple):
    """A lattice fitted to a particle: position of site (h, k, l) = origin + cell @ (h, k, l) / 2."""

    cell: Floats
    """(3, 3), columns are the edges of the cubic cell, in the unit of the positions."""
    origin: Floats
    """(3,)."""
    site: Integers32
    """(n, 3), site of each atom in half edges."""
    on_site: Booleans
    """(n,), atoms that have a site."""
    fitted: Booleans
    """(n,), atoms of the core that the lattice was fitted to."""
    rms: float
    """Root mean square distance of these from their sites."""
    parameter: float
    """Lattice parameter: the edge of a cube as large as the cell."""
    parameter_err: float
    """Its standard error, from the distances of the core atoms from their sites."""
    orientation: Floats
    """(3, 3), columns are the directions of the cube axes; of the 24 equal choices the one nearest to x, y, z."""


def fit_fcc_lattice(positions: Floats, neighbours: Neighbours, is_fcc: Booleans) -> LatticeFit | None:
    """Fit an fcc lattice to the largest single crystal of a particle.

    Atoms get sites by following bonds from the middle of the core, which holds for strained crystals of any size and
    ends at twin boundaries. Cell and origin are the least-squares solution over the atoms with fcc surroundings.

    Parameters
    ----------
    positions
        (n, 3).
    neighbours
        Nearest neighbours.
    is_fcc
        (n,), atoms with fcc surroundings; only these are fitted to, and only they lead on to further sites.

    Returns
    -------
    LatticeFit or None
        None where fewer than eight atoms can be fitted to.
    """
    i, j = neighbours.centre, neighbours.other
    both = is_fcc[i] & is_fcc[j]
    parts = np.where(is_fcc, connected_parts(len(positions), i[both], j[both]), -1)
    label, sizes = largest_first(parts, _FEWEST)
    if not len(sizes):
        return None
    core = label == 0
    middle = positions[core].mean(axis=0)
    seed = int(np.flatnonzero(core)[np.argmin(np.linalg.norm(positions[core] - middle, axis=1))])
    cell = _cell_around(neighbours.vector[neighbours.first[seed] : neighbours.first[seed + 1]])
    for _ in range(2):  # the cell from the bonds of one atom leads to one from the whole core
        site, place, reached = _follow_bonds(
            neighbours.first,
            neighbours.other,
            neighbours.vector,
            core,
            seed,
            cell,
            np.asarray(np.linalg.inv(cell), float),
            _TOLERANCE,
        )
        fitted = core & reached
        design = np.column_stack([site[fitted] / 2, np.ones(int(fitted.sum()))])
        if np.linalg.matrix_rank(design) < 4:
            return None
        solution = np.linalg.lstsq(design, place[fitted], rcond=None)[0]
        cell, offset = solution[:3].T, solution[3]
        if not np.linalg.det(cell) > 0:
            return None
    squared = ((place[fitted] - design @ solution) ** 2).sum()
    n = int(fitted.sum())
    parameter = float(np.cbrt(np.linalg.det(cell)))
    covariance = np.linalg.inv(design.T @ design)[:3, :3] * squared / max(3 * n - 12, 1)
    # d(det) = det trace(inverse cell d(cell)), and the rows of the cell err independently of each other.
    inverse = np.linalg.inv(cell)
    variance = (parameter / 3) ** 2 * np.einsum("ij,ik,jk->", inverse.T, inverse.T, covariance)
    turned = _nearest_to_lab(_rotation_of(cell))
    turn = np.rint(np.linalg.solve(_rotation_of(cell), turned))
    return LatticeFit(
        cell=cell @ turn,
        origin=positions[seed] + offset,
        site=(site @ turn).astype(np.int32),
        on_site=reached,
        fitted=fitted,
        rms=float(np.sqrt(squared / n)),
        parameter=parameter,
        parameter_err=float(np.sqrt(variance)),
        orientation=turned,
    )


def _cell_around(bonds: Floats) -> Floats:
    """Return the cell (columns) that the bonds of one fcc atom suggest: two at a right angle span two of its edges."""
    unit = bonds / np.linalg.norm(bonds, axis=1, keepdims=True)
    cosine = np.abs(unit @ unit.T)
    a, b = np.unravel_index(np.argmin(cosine), cosine.shape)
    first, second = bonds[a] + bonds[b], bonds[a] - bonds[b]
    edge = 0.5 * (np.linalg.norm(first) + np.linalg.norm(second))
    first /= np.linalg.norm(first)
    second = second - (second @ first) * first
    second /= np.linalg.norm(second)
    cell: Floats = edge * np.column_stack([first, second, np.cross(first, second)])
    return cell


def _rotation_of(matrix: Floats) -> Floats:
    """Return the rotation in a matrix of positive determinant (its polar decomposition)."""
    u, _, vt = np.linalg.svd(matrix)
    rotation: Floats = u @ vt
    return rotation


def _nearest_to_lab(rotation: Floats) -> Floats:
    """Return the equivalent orientation of a cube that is turned least from the axes x, y and z."""
    equal = rotation @ _CUBE
    nearest: Floats = equal[np.argmax(np.trace(equal, axis1=1, axis2=2))]
    return nearest


def _cube_rotations() -> Floats:
    matrices = [
        np.eye(3)[list(order)] * np.array(signs)
        for order in permutations(range(3))
        for signs in product([1, -1], repeat=3)
    ]
    return np.array([matrix for matrix in matrices if np.linalg.det(matrix) > 0])


_CUBE = _cube_rotations()


@kernel
def _follow_bonds(
    first: Integers,
    other: Integers32,
    vector: Floats,
    leads_on: Booleans,
    seed: int,
    cell: Floats,
    inverse: Floats,
    tolerance: float,
) -> tuple[Integers32, Floats, Booleans]:
    """Return the site of each atom, where it is seen from the seed, and whether bonds of the lattice lead to it."""
    n = len(first) - 1
    site = np.zeros((n, 3), np.int32)
    place = np.zeros((n, 3))
    reached = np.zeros(n, np.bool_)
    queue = np.empty(n, np.int64)
    queue[0], head, tail = seed, 0, 1
    reached[seed] = True
    step = np.empty(3, np.int64)
    while head < tail:
        i = queue[head]
        head += 1
        if not leads_on[i]:
            continue
        for k in range(first[i], first[i + 1]):
            j = other[k]
            if reached[j]:
                continue
            odd = 0
            for axis in range(3):
                along = 0.0
                for c in range(3):
                    along += inverse[axis, c] * vector[k, c]
                step[axis] = int(np.rint(2 * along))
                odd += abs(step[axis])
            miss, length = 0.0, 0.0
            for c in range(3):
                ideal = 0.5 * (cell[c, 0] * step[0] + cell[c, 1] * step[1] + cell[c, 2] * step[2])
                miss += (vector[k, c] - ideal) ** 2
                length += ideal * ideal
            one_bond = odd == 2 and abs(step[0]) < 2 and abs(step[1]) < 2 and abs(step[2]) < 2
            if not one_bond or miss > tolerance * tolerance * length:
                continue
            for c in range(3):
                site[j, c] = site[i, c] + step[c]
                place[j, c] = place[i, c] + vector[k, c]
            reached[j] = True
            queue[tail] = j
            tail += 1
    return site, place, reached
