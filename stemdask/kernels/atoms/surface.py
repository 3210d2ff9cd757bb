"""Which atoms lie at the surface: those from which an empty cone opens."""

from __future__ import annotations

import math

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats, Integers, Integers32
from stemdask.kernels.atoms.neighbours import Neighbours
from stemdask.kernels.compiled import kernel

_ROUNDING = 1e-9
_FIRST_SHELL = 12


def has_empty_cone(neighbours: Neighbours, half_angle: float = 60.0) -> Booleans:
    """Tell for each atom whether some cone with its tip at the atom holds none of the neighbours.

    No direction is sampled: cones of that angle around all neighbours leave a direction free exactly where the rims of
    two of them cross outside all others, or where a rim crosses no other.

    Parameters
    ----------
    neighbours
        All neighbours that can block the view, out to between the second and third shell.
    half_angle
        Half the opening angle of the cone, degrees, below 90.

    Notes
    -----
    The criterion of Y. Wang, S. Teitel & C. Dellago, Melting of icosahedral gold nanoclusters from molecular dynamics
    simulations, J. Chem. Phys. 122, 214722 (2005), with a cone as long as the reach of the neighbours.

    Examples
    --------
    >>> from ase.cluster import Octahedron
    >>> from stemdask.kernels.atoms import find_neighbours
    >>> particle = Octahedron("Pt", 7, cutoff=2).positions
    >>> outside = has_empty_cone(find_neighbours(particle, 4.4))
    >>> int(outside.sum()), len(particle)
    (122, 201)
    """
    return _has_empty_cone(neighbours.first, neighbours.point, neighbours.points, math.cos(math.radians(half_angle)))


@kernel
def _has_empty_cone(first: Integers, point: Integers32, points: Floats, cosine: float) -> Booleans:
    n = len(first) - 1
    empty = np.zeros(n, np.bool_)
    most = 1
    for i in range(n):
        most = max(most, first[i + 1] - first[i])
    unit, distance = np.empty((most, 3)), np.empty(most)
    for i in range(n):
        m = 0
        for k in point[first[i] : first[i + 1]]:
            x, y, z = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
            length = math.sqrt(x * x + y * y + z * z)
            if length > 0:
                place = m
                while place > 0 and distance[place - 1] > length:
                    distance[place] = distance[place - 1]
                    for axis in range(3):
                        unit[place, axis] = unit[place - 1, axis]
                    place -= 1
                distance[place] = length
                unit[place, 0], unit[place, 1], unit[place, 2] = x / length, y / length, z / length
                m += 1
        # Inside a crystal the nearest ones block every view, and the others needn't be looked at.
        near = min(m, _FIRST_SHELL)
        empty[i] = _leaves_a_direction_free(unit[:near], cosine) and (
            near == m or _leaves_a_direction_free(unit[:m], cosine)
        )
    return empty


@kernel
def _leaves_a_direction_free(unit: Floats, cosine: float) -> bool:
    n = len(unit)
    for j in range(n):
        crosses = False
        for k in range(n):
            if k == j:
                continue
            dot = unit[j, 0] * unit[k, 0] + unit[j, 1] * unit[k, 1] + unit[j, 2] * unit[k, 2]
            # Rims cross at along (j + k) +- across (j x k); two neighbours in one direction have the same rim.
            sine = 1 - dot * dot
            along = cosine / (1 + dot) if dot > -1 else np.inf
            squared = 1 - 2 * (1 + dot) * along * along
            if not (squared >= 0 and sine > _ROUNDING):
                continue
            crosses = True
            if k < j:
                continue
            across = math.sqrt(squared / sine)
            x = along * (unit[j, 0] + unit[k, 0])
            y = along * (unit[j, 1] + unit[k, 1])
            z = along * (unit[j, 2] + unit[k, 2])
            cx = across * (unit[j, 1] * unit[k, 2] - unit[j, 2] * unit[k, 1])
            cy = across * (unit[j, 2] * unit[k, 0] - unit[j, 0] * unit[k, 2])
            cz = across * (unit[j, 0] * unit[k, 1] - unit[j, 1] * unit[k, 0])
            if _is_free(unit, x + cx, y + cy, z + cz, cosine) or _is_free(unit, x - cx, y - cy, z - cz, cosine):
                return True
        if not crosses:
            return True
    return n == 0


@kernel
def _is_free(unit: Floats, x: float, y: float, z: float, cosine: float) -> bool:
    for k in range(len(unit)):  # noqa: SIM110 (numba knows no generator expression)
        if unit[k, 0] * x + unit[k, 1] * y + unit[k, 2] * z > cosine + _ROUNDING:
            return False
    return True
