"""Structure type, orientation and size of the surroundings of each atom, by the ideal ones that lie nearest.

The measure is that of P. M. Larsen, S. Schmidt & J. Schiøtz, Robust structural identification via polyhedral template
matching, Modelling Simul. Mater. Sci. Eng. 24, 055007 (2016), eqs. 1-4: the root mean square distance between the
atom with its neighbours and a template, once these are scaled, turned and moved onto it, in units of the mean distance
of the template's neighbours. Which neighbour stands for which is found without graphs: two neighbours that span a plane
are laid on every pair of the template that its own rotations leave, which fixes all others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Codes, Floats, Integers, Integers32
from stemdask.kernels.atoms.kinds import CUBIC_DIAMOND, HEXAGONAL_DIAMOND, OTHER
from stemdask.kernels.atoms.nearest_points import nearest_points
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.atoms.superposition import superpose
from stemdask.kernels.atoms.templates import TEMPLATES
from stemdask.kernels.compiled import kernel

#: Neighbours of the largest template.
MOST = max(len(template.vectors) for template in TEMPLATES.values())
#: Reach of the neighbours that are looked at, in units of the distance of nearest ones: beyond the second shell of
#: diamond, which is at 1.63.
REACH = 1.8

_NEAR = 4  # neighbours of an atom of diamond
_SPARE = 2  # neighbours that may lie among those of the template, where noise mixes two shells
_TRIES = 3  # neighbours that are laid on the template in turn, where noise hides it from the one before
_CLOSER = 0.8  # of the distance of nearest atoms: a neighbour that is closer is part of what surrounds an atom
_SAME_ANGLE = 0.35  # largest difference of cosines of a pair and the one it may stand for
_SAME_PLACE = 0.4  # square of the largest distance of neighbours from their places, where the mean distance is 1


class Match(NamedTuple):
    """The template that lies nearest to the surroundings of each atom."""

    kind: Codes
    """(n,), key of `TEMPLATES`; `OTHER` where no template is near enough."""
    rmsd: Floats
    """(n,), root mean square distance from the template by the mean distance of its neighbours; NaN without one."""
    quaternion: Floats
    """(n, 4), w, x, y, z of the rotation that turns the template to the atom; one of several that are equal."""
    distance: Floats
    """(n,), of nearest neighbours in the template, scaled to the atom; in the unit of the positions."""
    place: Integers32
    """(n, MOST), the atom that stands at each vector of the template; -1 where there is none."""


class _Tables(NamedTuple):
    """All templates in a row."""

    kind: Codes
    size: Integers
    n_first: Integers
    nearest: Floats
    squares: Floats
    vectors: Floats
    """(templates, MOST, 3)."""
    n_pairs: Integers
    pairs: Integers
    """(templates, pairs, 2)."""


def _tables() -> _Tables:
    templates = list(TEMPLATES.values())
    vectors = np.zeros((len(templates), MOST, 3))
    pairs = np.zeros((len(templates), max(len(t.pairs) for t in templates), 2), np.int64)
    for k, template in enumerate(templates):
        vectors[k, : len(template.vectors)] = template.vectors
        pairs[k, : len(template.pairs)] = template.pairs
    return _Tables(
        np.array(list(TEMPLATES), np.int8),
        np.array([len(t.vectors) for t in templates]),
        np.array([t.n_first for t in templates]),
        np.array([t.nearest for t in templates]),
        (vectors**2).sum(axis=(1, 2)),
        vectors,
        np.array([len(t.pairs) for t in templates]),
        pairs,
    )


_TABLES = _tables()


def match_templates(neighbours: Neighbours, max_rmsd: float = 0.12) -> Match:
    """Return the template that lies nearest to the surroundings of each atom.

    Parameters
    ----------
    neighbours
        All neighbours out to `REACH` times the distance of nearest ones.
    max_rmsd
        Surroundings farther from all templates are of no kind.

    Returns
    -------
    Match
        For each of the n atoms its kind, and how well the template fits; distances in the unit of the positions.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from stemdask.kernels.atoms import find_neighbours, kinds
    >>> iron = bulk("Fe")
    >>> match = match_templates(find_neighbours(iron.positions, 2.5 * REACH, iron.cell[:]))
    >>> match.kind == kinds.BCC, match.distance.round(3)
    (array([ True]), array([2.485]))
    """
    nearest = nearest_points(neighbours, MOST + _SPARE)
    n = len(nearest)
    match = Match(
        np.full(n, OTHER, np.int8),
        np.full(n, np.nan),
        np.full((n, 4), np.nan),
        np.full(n, np.nan),
        np.full((n, MOST), -1, np.int32),
    )
    _match(nearest, neighbours.owners, neighbours.points, max_rmsd, _TABLES, match)
    return match


@kernel
def _match(
    nearest: Integers32, owner: Integers32, points: Floats, max_rmsd: float, tables: _Tables, match: Match
) -> None:
    near, other = np.empty((MOST + _SPARE, 3)), np.empty(MOST + _SPARE, np.int32)
    diamond, of_diamond = np.empty((MOST, 3)), np.empty(MOST, np.int32)
    order, best_order = np.empty(MOST, np.int64), np.empty(MOST, np.int64)
    quaternion, best_quaternion = np.empty(4), np.empty(4)
    for i in range(len(nearest)):
        found = 0
        while found < MOST + _SPARE and nearest[i, found] >= 0:
            k = nearest[i, found]
            other[found] = owner[k]
            for axis in range(3):
                near[found, axis] = points[k, axis] - points[i, axis]
            found += 1
        if found < _NEAR:
            continue
        bonded = _second_shell(i, nearest, owner, points, diamond, of_diamond)
        best, best_scale, chosen = max_rmsd, 0.0, -1
        # First the nearest neighbours as they are; where these are of no kind, the template chooses among more.
        tries = 0
        while chosen < 0 and tries <= _TRIES:
            for t in range(len(tables.kind)):
                size = tables.size[t]
                by_bonds = bonded and _is_diamond(tables.kind[t])
                if by_bonds or (found >= size and (tries > 0 or not _is_diamond(tables.kind[t]))):
                    shell = diamond[:size] if by_bonds else near[: size if tries == 0 else min(size + _SPARE, found)]
                    rmsd, scale = _fit(shell, max(tries - 1, 0), t, tables, order, quaternion)
                    if rmsd < best and not _passes_over(shell, order[:size], _CLOSER * tables.nearest[t] / scale):
                        best, best_scale, chosen = rmsd, scale, t
                        best_order[:] = order
                        best_quaternion[:] = quaternion
            tries += 1
        if chosen >= 0:
            kind = tables.kind[chosen]
            match.kind[i], match.rmsd[i] = kind, best
            match.distance[i] = tables.nearest[chosen] / best_scale
            match.quaternion[i] = best_quaternion
            atoms = of_diamond if bonded and _is_diamond(kind) else other
            for w in range(tables.size[chosen]):
                match.place[i, w] = atoms[best_order[w]]


@kernel
def _passes_over(shell: Floats, order: Integers, least: float) -> bool:
    """Tell whether a neighbour closer than `least` stands at no place of a template."""
    taken = 0
    for k in order:
        taken |= 1 << k
    for k in range(len(shell)):
        squared = shell[k, 0] ** 2 + shell[k, 1] ** 2 + shell[k, 2] ** 2
        if squared < least * least and not (taken >> k) & 1:
            return True
    return False


@kernel
def _is_diamond(kind: int) -> bool:
    return kind in (CUBIC_DIAMOND, HEXAGONAL_DIAMOND)


@kernel
def _second_shell(
    i: int, nearest: Integers32, owner: Integers32, points: Floats, shell: Floats, atoms: Integers32
) -> bool:
    """Write the four nearest neighbours, and the three others that are nearest to each; False without these 16."""
    filled = _NEAR
    for k in range(_NEAR):
        p = nearest[i, k]
        j = owner[p]
        atoms[k] = j
        for axis in range(3):
            shell[k, axis] = points[p, axis] - points[i, axis]
        back = False
        for m in range(_NEAR):
            q = nearest[j, m]
            if q < 0:
                return False
            squared = 0.0
            for axis in range(3):
                along = shell[k, axis] + points[q, axis] - points[j, axis]
                squared += along * along
                if filled < _NEAR * _NEAR:
                    shell[filled, axis] = along
            if owner[q] == i and squared < 1e-6:
                back = True
            elif filled < _NEAR * _NEAR:
                atoms[filled] = owner[q]
                filled += 1
            else:
                return False
        if not back:
            return False
    return filled == _NEAR * _NEAR


@kernel
def _fit(
    shell: Floats, first: int, t: int, tables: _Tables, order: Integers, quaternion: Floats
) -> tuple[float, float]:
    """Return the distance of neighbours from a template, and by what they are multiplied; write which stands where.

    The distance is infinite where they can't be told apart on any of the template's pairs.
    """
    size, best, best_scale = tables.size[t], np.inf, 0.0
    mean = 0.0
    for k in range(size):
        mean += math.sqrt(shell[k, 0] ** 2 + shell[k, 1] ** 2 + shell[k, 2] ** 2)
    if not mean > 0:
        return best, best_scale
    inverse = size / mean
    turn, trial, turned = np.empty((3, 3)), np.empty(size, np.int64), np.empty(4)
    second, cosine = _upright(shell, first, tables.n_first[t])
    frame = np.empty((3, 3))
    if not _frame(shell[first], shell[second], frame):
        return best, best_scale
    vectors = tables.vectors[t]
    ideal = np.empty((3, 3))
    for p in range(tables.n_pairs[t]):
        a, b = tables.pairs[t, p, 0], tables.pairs[t, p, 1]
        if abs(_cosine(vectors[a], vectors[b]) - cosine) > _SAME_ANGLE:
            continue
        _frame(vectors[a], vectors[b], ideal)
        for row in range(3):
            for column in range(3):
                turn[row, column] = (
                    frame[0, row] * ideal[0, column]
                    + frame[1, row] * ideal[1, column]
                    + frame[2, row] * ideal[2, column]
                )
        if _assign(shell, inverse, vectors[:size], turn, trial):
            rmsd, scale = _distance(shell, vectors[:size], tables.squares[t], trial, turned)
            if rmsd < best:
                best, best_scale = rmsd, scale
                order[:size] = trial
                quaternion[:] = turned
    return best, best_scale


@kernel
def _cosine(a: Floats, b: Floats) -> float:
    dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    lengths = (a[0] * a[0] + a[1] * a[1] + a[2] * a[2]) * (b[0] * b[0] + b[1] * b[1] + b[2] * b[2])
    return float(dot / math.sqrt(lengths))


@kernel
def _upright(shell: Floats, first: int, n_first: int) -> tuple[int, float]:
    """Return the neighbour in the first shell that stands most upright on a given one, and the cosine."""
    second, cosine = 1 - min(first, 1), 1.0
    for k in range(n_first):
        found = _cosine(shell[first], shell[k])
        if abs(found) < abs(cosine):
            second, cosine = k, found
    return second, cosine


@kernel
def _frame(a: Floats, b: Floats, axes: Floats) -> bool:
    """Write three axes (rows): along a, towards b, and upright on both; False where they lie along each other."""
    length = math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    axes[0, 0], axes[0, 1], axes[0, 2] = a[0] / length, a[1] / length, a[2] / length
    along = axes[0, 0] * b[0] + axes[0, 1] * b[1] + axes[0, 2] * b[2]
    x, y, z = b[0] - along * axes[0, 0], b[1] - along * axes[0, 1], b[2] - along * axes[0, 2]
    length = math.sqrt(x * x + y * y + z * z)
    if not length > 0:
        return False
    axes[1, 0], axes[1, 1], axes[1, 2] = x / length, y / length, z / length
    axes[2, 0] = axes[0, 1] * axes[1, 2] - axes[0, 2] * axes[1, 1]
    axes[2, 1] = axes[0, 2] * axes[1, 0] - axes[0, 0] * axes[1, 2]
    axes[2, 2] = axes[0, 0] * axes[1, 1] - axes[0, 1] * axes[1, 0]
    return True


@kernel
def _assign(shell: Floats, inverse: float, vectors: Floats, turn: Floats, order: Integers) -> bool:
    """Write the neighbour that stands at each vector of the turned template; False where one is at none or at two."""
    size, taken = len(vectors), 0
    for w in range(size):
        x = turn[0, 0] * vectors[w, 0] + turn[0, 1] * vectors[w, 1] + turn[0, 2] * vectors[w, 2]
        y = turn[1, 0] * vectors[w, 0] + turn[1, 1] * vectors[w, 1] + turn[1, 2] * vectors[w, 2]
        z = turn[2, 0] * vectors[w, 0] + turn[2, 1] * vectors[w, 1] + turn[2, 2] * vectors[w, 2]
        least, nearest = _SAME_PLACE, -1
        for k in range(len(shell)):
            dx, dy, dz = shell[k, 0] * inverse - x, shell[k, 1] * inverse - y, shell[k, 2] * inverse - z
            squared = dx * dx + dy * dy + dz * dz
            if squared < least:
                least, nearest = squared, k
        if nearest < 0 or (taken >> nearest) & 1:
            return False
        taken |= 1 << nearest
        order[w] = nearest
    return True


@kernel
def _distance(
    shell: Floats, vectors: Floats, template_squares: float, order: Integers, quaternion: Floats
) -> tuple[float, float]:
    """Return the root mean square distance of an atom and its neighbours from a template, and the best scale.

    Atom and neighbours are moved so that their middle is that of the template, which is its centre.
    """
    size = len(vectors)
    products = np.zeros((3, 3))
    x, y, z, squares = 0.0, 0.0, 0.0, 0.0
    for w in range(size):
        v = shell[order[w]]
        x, y, z = x + v[0], y + v[1], z + v[2]
        squares += v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
        for row in range(3):
            for column in range(3):
                products[row, column] += vectors[w, row] * v[column]
    squares -= (x * x + y * y + z * z) / (size + 1)
    scale = math.sqrt(template_squares / squares)
    for row in range(3):
        for column in range(3):
            products[row, column] *= scale
    overlap = superpose(products, template_squares, quaternion)
    # Of scaled neighbours as large as the template: those nearest to it are smaller by the overlap.
    ratio = overlap / template_squares
    rmsd = math.sqrt(max(template_squares * (1 - ratio * ratio), 0.0) / (size + 1))
    return rmsd, scale * ratio
