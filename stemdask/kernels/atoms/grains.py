"""Grains, of one orientation each, and the axes at which five twins meet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Booleans, Codes, Floats, Integers, Integers32
from stemdask.kernels.atoms.components import connected_parts, largest_first
from stemdask.kernels.atoms.kinds import FIVE_FOLD_AXIS, HCP, HEXAGONAL_DIAMOND
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.atoms.quaternions import products, quaternion_of
from stemdask.kernels.atoms.template_match import Match
from stemdask.kernels.atoms.templates import CRYSTALS, TEMPLATES
from stemdask.kernels.compiled import kernel

_CUBIC, _HEXAGONAL, _NO_CRYSTAL = 0, 1, -1
#: Bonds that run along an axis, and axes along each other, to less than this.
_ALONG = np.cos(np.radians(20))


class Grains(NamedTuple):
    """Crystals of one orientation each, the largest first."""

    label: Integers32
    """(n,), grain of each atom; -1 where it is in none."""
    size: Integers
    """(m,), atoms in each grain."""
    kind: Codes
    """(m,), the template of most of its atoms."""
    quaternion: Floats
    """(m, 4), mean orientation; of all equal ones the one turned least from the axes x, y and z."""


def find_grains(
    match: Match, neighbours: Neighbours, at_boundary: Booleans, max_angle: float = 10.0, min_atoms: int = 8
) -> Grains:
    """Join neighbouring atoms of nearly one orientation to grains.

    Parameters
    ----------
    match
        Template and orientation of each atom.
    neighbours
        Nearest neighbours.
    at_boundary
        (n,), atoms that are in no grain, such as those of a twin boundary.
    max_angle
        Neighbours whose orientations differ by more, degrees, are not joined.
    min_atoms
        Smaller grains are left out.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms import find_neighbours, match_templates
    >>> copper = bulk("Cu", cubic=True).repeat(3)
    >>> near = find_neighbours(copper.positions, 3.0, copper.cell[:])
    >>> match = match_templates(find_neighbours(copper.positions, 4.2, copper.cell[:]))
    >>> find_grains(match, near, np.zeros(len(copper), bool)).size
    array([108])
    """
    system = np.full(128, _NO_CRYSTAL, np.int8)
    system[list(CRYSTALS)] = _CUBIC
    system[[HCP, HEXAGONAL_DIAMOND]] = _HEXAGONAL
    system_of = np.where(at_boundary, _NO_CRYSTAL, system[match.kind]).astype(np.int8)
    i, j = neighbours.centre, neighbours.other
    once = (i < j) & (system_of[i] >= 0) & (system_of[i] == system_of[j])
    i, j = i[once], j[once]
    cosine = _half_cosine(match.quaternion, i, j, system_of, _SYMMETRY[0], _SYMMETRY[1])
    close = cosine >= np.cos(np.radians(max_angle / 2))
    parts = np.where(system_of >= 0, connected_parts(len(match.kind), i[close], j[close]), -1)
    label, size = largest_first(parts, min_atoms)
    kind, quaternion = np.empty(len(size), np.int8), np.empty((len(size), 4))
    for grain in range(len(size)):
        inside = label == grain
        kind[grain] = np.argmax(np.bincount(match.kind[inside]))
        quaternion[grain] = _mean(match.quaternion[inside], _SYMMETRY[system[kind[grain]]])
    return Grains(label, size, kind, quaternion)


def reduced(quaternion: Floats, kind: Codes) -> Floats:
    """Return those of the equal orientations of each atom's crystal that are turned least from the axes x, y and z.

    Parameters
    ----------
    quaternion
        (n, 4), w, x, y, z.
    kind
        (n,), template of each atom.
    """
    least = quaternion.copy()
    for template in TEMPLATES:
        atoms = kind == template
        least[atoms] = _nearest_to(np.array([1.0, 0, 0, 0]), quaternion[atoms], _GROUPS[template])
    return least


def five_fold_axes(match: Match, neighbours: Neighbours, min_atoms: int = 2) -> Integers32:
    """Return the axis, at which five twins meet, of each atom on one; -1 for all others.

    Parameters
    ----------
    match
        Template and orientation of each atom.
    neighbours
        Nearest neighbours.
    min_atoms
        Shorter axes are left out.
    """
    w, x, y, z = match.quaternion.T
    axis = np.column_stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    on_axis = match.kind == FIVE_FOLD_AXIS
    i, j = neighbours.centre, neighbours.other
    both = on_axis[i] & on_axis[j]
    i, j, vector, length = i[both], j[both], neighbours.vector[both], neighbours.distance[both]
    parallel = np.abs(np.einsum("bk,bk->b", axis[i], axis[j])) > _ALONG
    along = np.abs(np.einsum("bk,bk->b", axis[i], vector)) > _ALONG * length
    parts = connected_parts(len(on_axis), i[parallel & along], j[parallel & along])
    label: Integers32 = largest_first(np.where(on_axis, parts, -1), min_atoms)[0]
    return label


_GROUPS = {kind: np.array([quaternion_of(turn) for turn in template.lattice]) for kind, template in TEMPLATES.items()}
#: Rotations of cubic and of hexagonal crystals.
_SYMMETRY = (_GROUPS[CRYSTALS[0]], _GROUPS[HCP])


def _nearest_to(reference: Floats, quaternion: Floats, group: Floats) -> Floats:
    """Return those of the equal orientations (n, 4) that are nearest to a reference, of the same sign."""
    equal = products(quaternion[:, None], group[None])
    cosine = equal @ reference
    chosen = np.argmax(np.abs(cosine), axis=1)
    rows = np.arange(len(quaternion))
    nearest: Floats = equal[rows, chosen] * np.where(cosine[rows, chosen] < 0, -1.0, 1.0)[:, None]
    return nearest


def _mean(quaternion: Floats, group: Floats) -> Floats:
    """Return the mean of orientations: the main axis of their outer products, once all are near to the first."""
    aligned = _nearest_to(quaternion[0], quaternion, group)
    mean = np.linalg.eigh(aligned.T @ aligned)[1][:, -1]
    least: Floats = _nearest_to(np.array([1.0, 0, 0, 0]), mean[None], group)[0]
    return least


@kernel
def _half_cosine(
    quaternion: Floats, i: Integers, j: Integers32, system: Codes, cubic: Floats, hexagonal: Floats
) -> Floats:
    """Return the cosine of half the least angle between the equal orientations of pairs of atoms."""
    best = np.zeros(len(i))
    for k in range(len(i)):
        a, b = quaternion[i[k]], quaternion[j[k]]
        # The conjugate of a times b, compared with every rotation of the group.
        w = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]
        x = a[0] * b[1] - a[1] * b[0] - a[2] * b[3] + a[3] * b[2]
        y = a[0] * b[2] + a[1] * b[3] - a[2] * b[0] - a[3] * b[1]
        z = a[0] * b[3] - a[1] * b[2] + a[2] * b[1] - a[3] * b[0]
        for g in cubic if system[i[k]] == _CUBIC else hexagonal:
            best[k] = max(best[k], abs(w * g[0] + x * g[1] + y * g[2] + z * g[3]))
    return best
