"""Atoms of a crystal whose shell isn't complete: the template of a neighbour fits what is there of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Codes, Floats, Integers, Integers32
from stemdask.kernels.atoms.kinds import FIVE_FOLD_AXIS, OTHER
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.atoms.quaternions import product, quaternion_of, rotation_of
from stemdask.kernels.atoms.template_match import MOST, Match
from stemdask.kernels.atoms.templates import CRYSTALS, TEMPLATES
from stemdask.kernels.compiled import kernel

#: Neighbours below which a template fits by chance.
FEWEST = 3

_ROUNDS = 4  # atoms that fit lead on to others: corners of small particles have no neighbour with a complete shell
_SAME_PLACE = 0.35  # largest distance from a place, by that of nearest neighbours
_FIRST_SHELL = 1.2  # whatever is nearer than this must have a place, by the same distance


class _Sites(NamedTuple):
    """Every kind of site of every crystal in a row."""

    kind: Codes
    vectors: Floats
    """(sites, MOST, 3), by the axes of the template, in units of the distance of nearest neighbours."""
    size: Integers
    n_first: Integers
    turn: Floats
    """(sites, 4), quaternion that brings the template to this site."""


class _Lists(NamedTuple):
    """Neighbours of each atom as points, and the atom that each point is or is an image of."""

    first: Integers
    point: Integers32
    points: Floats
    owner: Integers32


def _sites() -> _Sites:
    rows = [(kind, TEMPLATES[kind], turn) for kind in (*CRYSTALS, FIVE_FOLD_AXIS) for turn in TEMPLATES[kind].sites]
    vectors = np.zeros((len(rows), MOST, 3))
    for k, (_, template, _turn) in enumerate(rows):
        vectors[k, : len(template.vectors)] = template.vectors / template.nearest
    return _Sites(
        np.array([kind for kind, _, _ in rows], np.int8),
        vectors,
        np.array([len(template.vectors) for _, template, _ in rows]),
        np.array([template.n_first for _, template, _ in rows]),
        np.array([quaternion_of(turn) for _, _, turn in rows]),
    )


_SITES = _sites()


def complete_by_neighbours(neighbours: Neighbours, match: Match, max_rmsd: float = 0.12) -> Integers32:
    """Match atoms without a template to those of their neighbours, and return how many neighbours each atom lacks.

    A neighbour says how the crystal lies; each site of its lattice is tried in this orientation. What is there of the
    shell is moved onto the places of the site, and fits where the root mean square distance is small enough, at least
    `FEWEST` neighbours have a place, and hardly any in the first shell has none.

    Parameters
    ----------
    neighbours
        As for `match_templates`.
    match
        What that returned; atoms that fit are added to it, with the orientation and distance of the neighbour.
    max_rmsd
        As there, by the distance of nearest neighbours.

    Returns
    -------
    Integers32
        (n,), places of the first shell where nobody is; 0 for a complete shell, -1 without a template.
    """
    missing = np.where(match.kind == OTHER, -1, 0).astype(np.int32)
    lists = _Lists(neighbours.first, neighbours.point, neighbours.points, neighbours.owners)
    for _ in range(_ROUNDS):
        if not _complete(lists, match.kind.copy(), _SITES, match, missing, max_rmsd):
            break
    return missing


@kernel
def _complete(lists: _Lists, known: Codes, sites: _Sites, match: Match, missing: Integers32, max_rmsd: float) -> int:
    first, point, points, owner = lists
    n = len(first) - 1
    longest, added = 0, 0
    for i in range(n):
        longest = max(longest, first[i + 1] - first[i])
    near, place, best_place = np.empty((longest, 3)), np.empty(MOST, np.int64), np.empty(MOST, np.int64)
    turn = np.empty((3, 3))
    for i in range(n):
        if known[i] != OTHER:
            continue
        size = first[i + 1] - first[i]
        for k in range(size):
            for axis in range(3):
                near[k, axis] = points[point[first[i] + k], axis] - points[i, axis]
        best, best_j, best_site, best_missing = max_rmsd, -1, -1, 0
        for k in range(size):
            j = owner[point[first[i] + k]]
            reach = _FIRST_SHELL * match.distance[j]
            if known[j] == OTHER or near[k, 0] ** 2 + near[k, 1] ** 2 + near[k, 2] ** 2 > reach * reach:
                continue
            rotation_of(match.quaternion[j], turn)
            for s in range(len(sites.kind)):
                if sites.kind[s] == known[j]:
                    site_turn = np.empty((3, 3))
                    rotation_of(sites.turn[s], site_turn)
                    rmsd, lacking = _fit(near[:size], match.distance[j], turn, site_turn, s, sites, place)
                    if rmsd < best:
                        best, best_j, best_site, best_missing = rmsd, j, s, lacking
                        best_place[:] = place
        if best_j >= 0:
            added += 1
            match.kind[i], match.rmsd[i], match.distance[i] = sites.kind[best_site], best, match.distance[best_j]
            product(match.quaternion[best_j], sites.turn[best_site], match.quaternion[i])
            missing[i] = best_missing
            for w in range(sites.size[best_site]):
                if best_place[w] >= 0:
                    match.place[i, w] = owner[point[first[i] + best_place[w]]]
    return added


@kernel
def _fit(
    near: Floats, distance: float, turn: Floats, site_turn: Floats, s: int, sites: _Sites, place: Integers
) -> tuple[float, int]:
    """Return how far neighbours lie from the places of a site, and how many of its first shell are empty.

    Write which neighbour has each place. The distance is infinite where too few have one, or too many have none.
    """
    n = len(near)
    placed = np.zeros(n, np.bool_)
    ideal = np.empty(3)
    there, lacking = 0, 0
    x, y, z, squares = 0.0, 0.0, 0.0, 0.0
    place[:] = -1
    for w in range(sites.size[s]):
        for row in range(3):
            ideal[row] = 0.0
            for column in range(3):
                inner = 0.0
                for axis in range(3):
                    inner += site_turn[column, axis] * sites.vectors[s, w, axis]
                ideal[row] += turn[row, column] * inner
        least, nearest = _SAME_PLACE * _SAME_PLACE, -1
        for k in range(n):
            squared = 0.0
            for axis in range(3):
                squared += (near[k, axis] / distance - ideal[axis]) ** 2
            if squared < least and not placed[k]:
                least, nearest = squared, k
        if nearest >= 0:
            place[w] = nearest
            placed[nearest] = True
            there += 1
            x += near[nearest, 0] / distance - ideal[0]
            y += near[nearest, 1] / distance - ideal[1]
            z += near[nearest, 2] / distance - ideal[2]
            squares += least
        elif w < sites.n_first[s]:
            lacking += 1
    foreign = 0
    for k in range(n):
        reach = _FIRST_SHELL * distance
        foreign += not placed[k] and near[k, 0] ** 2 + near[k, 1] ** 2 + near[k, 2] ** 2 < reach * reach
    if there < FEWEST + 3 * foreign or foreign > 1:
        return np.inf, lacking
    squares -= (x * x + y * y + z * z) / (there + 1)  # moved, the atom with them
    return math.sqrt(squares / (there + 1)), lacking
