"""Periodic boxes of any shape as an open structure: the atoms, and the images of them that can be neighbours."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Array, Floats, Integers32


class Images(NamedTuple):
    """Atoms of a periodic box wrapped into it, followed by their images around it."""

    wrapped: Floats
    """(n, 3), the atoms inside the box."""
    owner: Integers32
    """(m,), the atom of which each image is one."""
    shift: Floats
    """(m, 3), image = wrapped[owner] + shift."""


def heights(cell: Floats) -> Floats:
    """Return the distance between opposite faces along each of the three cell vectors; 0 for a flat cell."""
    normals = np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]])
    areas = np.linalg.norm(normals, axis=1)
    volume = abs(float(np.linalg.det(cell)))
    found: Floats = np.divide(volume, areas, out=np.zeros(3), where=areas > 0)
    return found


def images(positions: Floats, cutoff: float, cell: ArrayLike, periodic: ArrayLike = True) -> Images:
    """Return the images that lie within `cutoff` of the box.

    Boxes smaller than the cutoff are repeated as often as it takes, so that an atom can be its own neighbour.

    Parameters
    ----------
    positions
        (n, 3).
    cutoff
        Largest distance of a neighbour.
    cell
        (3, 3), rows are the cell vectors; any triclinic cell.
    periodic
        One or three flags, along the cell vectors.

    Raises
    ------
    ValueError
        The cell has no volume.
    """
    cell = np.asarray(cell, float)
    along = np.broadcast_to(np.asarray(periodic, bool), 3)
    height = heights(cell)
    if not (height > 0).all():
        raise ValueError(f"a periodic box needs three independent cell vectors, got {cell.tolist()}")
    fraction = positions @ np.linalg.inv(cell)
    turns = np.where(along, np.floor(fraction), 0.0)
    wrapped = positions - turns @ cell
    fraction = fraction - turns
    # A little more than the cutoff: the search itself decides, by a distance that is the same seen from both atoms.
    reach = np.where(along, cutoff / height * (1 + 1e-9) + 1e-9, 0.0)
    counts = np.where(along, np.ceil(reach).astype(int), 0)
    owners: list[Array] = [np.empty(0, np.intp)]
    shifts: list[Array] = [np.empty((0, 3))]
    for turn in product(*(range(-count, count + 1) for count in counts)):
        if any(turn):
            moved = fraction + np.array(turn)
            near = np.flatnonzero((((moved >= -reach) & (moved <= 1 + reach)) | ~along).all(axis=1))
            owners.append(near)
            shifts.append(np.broadcast_to(np.array(turn, float) @ cell, (len(near), 3)))
    return Images(wrapped, np.concatenate(owners).astype(np.int32), np.concatenate(shifts))
