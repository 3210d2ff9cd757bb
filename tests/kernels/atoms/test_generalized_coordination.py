import numpy as np
import pytest
from ase.build import bulk, fcc100, fcc111

from stemdask.kernels.atoms.generalized_coordination import generalized_coordination
from stemdask.kernels.atoms.neighbours import find_neighbours


def values(atoms, cutoff=3.3):
    return generalized_coordination(find_neighbours(atoms.positions, cutoff, atoms.cell, atoms.pbc))


def test_it_is_12_in_the_bulk():
    np.testing.assert_allclose(values(bulk("Pt", cubic=True).repeat(3)), 12)


@pytest.mark.parametrize(("surface", "expected"), [(fcc111, 7.5), (fcc100, 20 / 3)])
def test_extended_surfaces_have_the_published_values(surface, expected):
    slab = surface("Pt", (5, 5, 6), vacuum=10)
    top = slab.positions[:, 2] > slab.positions[:, 2].max() - 0.1
    np.testing.assert_allclose(values(slab)[top], expected)


def test_lonely_atoms_have_none():
    assert list(generalized_coordination(find_neighbours(np.array([[0, 0, 0], [9.0, 0, 0]]), 3.0))) == [0, 0]
    assert len(generalized_coordination(find_neighbours(np.empty((0, 3)), 3.0))) == 0
