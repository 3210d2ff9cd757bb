"""Strain around each atom: how its bonds differ from those of the ideal lattice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats, Integers, Integers32
from stemdask.kernels.atoms.lattices import Lattice
from stemdask.kernels.atoms.neighbours import Neighbours

#: Bonds that leave a direction nearly open don't fix the strain along it: least of 3 eigenvalues by their mean.
_FLAT = 0.1


class AtomicStrain(NamedTuple):
    """Strain of each atom in the axes of the crystal; NaN where its bonds don't fix it."""

    strain: Floats
    """(n, 3, 3), stretch minus 1: a bond that is 1 % longer than the ideal one reads 0.01."""
    error: Floats
    """(n,), standard error of a component, from how well one strain describes all bonds of the atom."""
    volume: Floats
    """(n,), relative change of volume."""
    rotation: Floats
    """(n,), angle between the surroundings of the atom and the whole crystal, degrees."""
    n_bonds: Integers32
    """(n,), bonds of the lattice that were used."""


def atomic_strain(
    neighbours: Neighbours,
    site: Integers32,
    on_site: Booleans,
    orientation: Floats,
    lattice: Lattice,
    edges: Floats,
    min_bonds: int = 6,
) -> AtomicStrain:
    """Return the strain of each atom against a lattice.

    The deformation gradient F is that of the affine map which brings the ideal places of an atom and its neighbours
    nearest to those found. Inside a crystal it is the F of M. L. Falk & J. S. Langer, Phys. Rev. E 57, 7192 (1998),
    eqs. 2.12-2.14, from the bonds alone; at a surface it doesn't take a displacement of the atom itself for strain. Its
    polar decomposition F = R U gives the rotation R and the Biot strain U - 1, right for large rotations too.

    Parameters
    ----------
    neighbours
        Nearest neighbours.
    site, on_site
        (n, 3) and (n,), lattice sites in the divisions of the lattice, and which atoms have one.
    orientation
        (3, 3), columns are the directions of the edges.
    lattice
        Its kind.
    edges
        (3,), of the cell of the unstrained lattice, in the unit of the neighbours' vectors.
    min_bonds
        An atom with fewer bonds of the lattice has no strain.
    """
    i, j = neighbours.centre, neighbours.other
    step = site[j] - site[i]
    bonded = on_site[i] & on_site[j] & np.isin(_packed(step), _packed(lattice.steps))
    i, ideal, bond = i[bonded], step[bonded] / lattice.divisions * edges, neighbours.vector[bonded] @ orientation
    n = len(site)
    n_bonds = np.bincount(i, minlength=n).astype(np.int32)
    # Sums over the atom (at the origin, in both) and its neighbours, about their means.
    points = (n_bonds + 1)[:, None]
    mean_ideal, mean_bond = _sums(i, ideal, n) / points, _sums(i, bond, n) / points
    moments = _sums_of_products(i, ideal, ideal, n) - points[:, None] * mean_ideal[:, :, None] * mean_ideal[:, None]
    mixed = _sums_of_products(i, bond, ideal, n) - points[:, None] * mean_bond[:, :, None] * mean_ideal[:, None]
    squares = np.trace(_sums_of_products(i, bond, bond, n), axis1=1, axis2=2) - points[:, 0] * (mean_bond**2).sum(
        axis=1
    )
    least = np.linalg.eigvalsh(moments)[:, 0]
    known = (n_bonds >= min_bonds) & (least > _FLAT * np.trace(moments, axis1=1, axis2=2) / 3)
    inverse = np.linalg.inv(moments[known])
    gradient = mixed[known] @ inverse
    u, stretch, vt = np.linalg.svd(gradient)
    strain, (volume, rotation, error) = np.full((n, 3, 3), np.nan), np.full((3, n), np.nan)
    strain[known] = np.einsum("nki,nk,nkj->nij", vt, stretch, vt) - np.eye(3)
    volume[known] = np.linalg.det(gradient) - 1
    cosine = (np.trace(u @ vt, axis1=1, axis2=2) - 1) / 2
    rotation[known] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    left = np.maximum(squares[known] - np.einsum("nij,nij->n", gradient, mixed[known]), 0)  # of the least squares
    variance = left / np.maximum(3 * n_bonds[known] - 9, 1)  # 3 (n + 1) - 12
    error[known] = np.sqrt(variance * np.trace(inverse, axis1=1, axis2=2) / 3)
    return AtomicStrain(strain, error, volume, rotation, n_bonds)


def _packed(steps: Integers32) -> Integers:
    """Return one number for each step (m, 3) of a few divisions."""
    packed: Integers = (steps.astype(np.int64) + 2**20) @ np.array([1, 2**21, 2**42])
    return packed


def _sums(centre: Integers, vectors: Floats, n: int) -> Floats:
    """Return for each of n atoms the sum over its bonds of vectors (m, 3)."""
    return np.column_stack([np.bincount(centre, vectors[:, axis], n) for axis in range(3)])


def _sums_of_products(centre: Integers, a: Floats, b: Floats, n: int) -> Floats:
    """Return for each of n atoms the sum over its bonds of the outer products of two vectors (m, 3)."""
    sums = np.empty((n, 3, 3))
    for row in range(3):
        for column in range(3):
            sums[:, row, column] = np.bincount(centre, a[:, row] * b[:, column], n)
    return sums
