"""Twin boundaries and stacking faults of an fcc crystal: the layers of its hcp atoms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Booleans, Codes, Floats, Integers, Integers32
from stemdask.kernels.atoms.components import connected_parts, largest_first
from stemdask.kernels.atoms.neighbours import Neighbours

TWIN, FAULT, LAMELLA = 0, 1, 2

#: Layers of one crystal are parallel to less than this; planes of different {111} families are 70.5 degrees apart.
_PARALLEL = np.cos(np.radians(15))
#: A bond within a layer is flatter than this; one to the next layer stands at 54.7 degrees.
_FLAT = np.sin(np.radians(25))


class Layers(NamedTuple):
    """Close-packed layers of hcp atoms, the largest first."""

    label: Integers32
    """(n,), the layer of each atom; -1 where it is in none."""
    size: Integers
    """(m,), atoms in each layer."""
    normal: Floats
    """(m, 3), unit normals; the component of largest magnitude is positive."""
    centre: Floats
    """(m, 3), mean position of each layer."""
    kind: Codes
    """(m,), `TWIN`: a single layer; `FAULT`: one of two on top of each other; `LAMELLA`: one of three or more."""
    defect: Integers32
    """(m,), which layers lie on top of each other and form one defect."""


def hcp_layers(
    positions: Floats,
    is_hcp: Booleans,
    normals: Floats,
    neighbours: Neighbours,
    min_atoms: int = 3,
) -> Layers:
    """Join hcp atoms to layers, and layers to twin boundaries and intrinsic stacking faults.

    One layer of hcp atoms in fcc is a coherent twin boundary, two of them are an intrinsic stacking fault, two with an
    fcc layer between are an extrinsic one (and counted as two twin boundaries).

    Parameters
    ----------
    positions
        (n, 3).
    is_hcp
        (n,).
    normals
        (n, 3), normal of the close-packed plane through each hcp atom.
    neighbours
        Nearest neighbours of all atoms.
    min_atoms
        Smaller layers are left out.
    """
    n = len(positions)
    i, j = neighbours.centre, neighbours.other
    both = is_hcp[i] & is_hcp[j]
    i, j, vector, length = i[both], j[both], neighbours.vector[both], neighbours.distance[both]
    parallel = np.abs(np.einsum("bk,bk->b", normals[i], normals[j])) > _PARALLEL
    height = np.abs(np.einsum("bk,bk->b", vector, normals[i]))
    flat = np.maximum(height, np.abs(np.einsum("bk,bk->b", vector, normals[j]))) < _FLAT * length
    parts = connected_parts(n, i[parallel & flat], j[parallel & flat])
    label, size = largest_first(np.where(is_hcp, parts, -1), min_atoms)
    m = len(size)
    if m == 0:
        nothing = np.empty((0, 3))
        return Layers(label, size, nothing, nothing, np.empty(0, np.int8), np.empty(0, np.int32))
    normal = np.array([_mean_axis(normals[label == layer]) for layer in range(m)])
    centre = np.array([positions[label == layer].mean(axis=0) for layer in range(m)])
    across = parallel & ~flat & (label[i] >= 0) & (label[j] >= 0)
    defect = connected_parts(m, label[i[across]], label[j[across]])
    kind = np.clip(np.bincount(defect)[defect] - 1, TWIN, LAMELLA).astype(np.int8)
    return Layers(label, size, normal, centre, kind, defect)


def at_boundary(is_hcp: Booleans, layers: Layers, neighbours: Neighbours) -> Booleans:
    """Tell the hcp atoms that belong to twin boundaries and stacking faults, with those at the rims of these.

    Parameters
    ----------
    is_hcp
        (n,), atoms on hcp sites, also those of which neighbours are missing.
    layers
        What `hcp_layers` found.
    neighbours
        Nearest neighbours of all atoms.
    """
    i, j = neighbours.centre, neighbours.other
    both = is_hcp[i] & is_hcp[j]
    parts = connected_parts(len(is_hcp), i[both], j[both])
    in_lamella = np.append(layers.kind == LAMELLA, False)[layers.label]
    of_crystal = np.isin(parts, parts[in_lamella])
    boundary: Booleans = is_hcp & ~in_lamella & (~of_crystal | (layers.label >= 0))
    return boundary


def _mean_axis(normals: Floats) -> Floats:
    """Return the mean of unit vectors whose signs mean nothing."""
    axis: Floats = np.linalg.eigh(normals.T @ normals)[1][:, -1]
    return -axis if axis[np.argmax(np.abs(axis))] < 0 else axis
