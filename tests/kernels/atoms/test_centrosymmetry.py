import numpy as np
import pytest
from ase.build import bulk, fcc111
from crystals import CELLS

from stemdask.kernels.atoms.centrosymmetry import centrosymmetry


@pytest.mark.parametrize(("name", "n"), [("Pt", 12), ("Fe", 8), ("Po", 6), ("NaCl", 6), ("FePt", 12)])
def test_lattices_with_a_centre_have_none_of_it(name, n):
    crystal = CELLS[name].repeat(3)
    found = centrosymmetry(crystal.positions, n, crystal.cell[:])
    np.testing.assert_allclose(found, 0, atol=1e-9)


def test_an_atom_of_hcp_has_six_pairs_of_which_three_do_not_cancel():
    a = 2.5
    crystal = bulk("Co", "hcp", a=a, c=a * np.sqrt(8 / 3)).repeat(3)
    # Those of the layer cancel. The three above lie over the three below, a / √3 beside the atom, at 120° to each
    # other: one above and another one below leave a vector as long as the third.
    found = centrosymmetry(crystal.positions, 12, crystal.cell[:])
    np.testing.assert_allclose(found, 3 * (a / np.sqrt(3)) ** 2, atol=1e-9)


def test_the_twelve_atoms_around_a_vacancy_stand_out():
    crystal = CELLS["Pt"].repeat(4)
    bond = 3.92 / np.sqrt(2)
    beside = np.isclose(crystal.get_distances(0, range(1, len(crystal)), mic=True), bond)
    del crystal[0]
    found = centrosymmetry(crystal.positions, 12, crystal.cell[:])
    assert beside.sum() == 12
    assert found[beside].min() > bond**2 / 2
    np.testing.assert_allclose(found[~beside], 0, atol=1e-9)


def test_noise_raises_it_to_a_little_below_nine_per_neighbour_and_variance():
    crystal = CELLS["Pt"].repeat(8)
    noise = np.random.default_rng(0).normal(scale=0.05, size=crystal.positions.shape)
    mean = centrosymmetry(crystal.positions + noise, 12, crystal.cell[:]).mean()
    assert 0.8 * 9 * 12 * 0.05**2 < mean <= 9 * 12 * 0.05**2 * 1.02


@pytest.mark.parametrize("n", [0, 1, 5, 12])
def test_atoms_with_fewer_neighbours_have_no_value(n):
    found = centrosymmetry(np.random.default_rng(0).uniform(0, 9, (n, 3)), 12)
    assert np.isnan(found).all()
    assert found.shape == (n,)


@pytest.mark.parametrize("n", [0, -2, 11])
def test_an_odd_number_of_neighbours_is_refused(n):
    with pytest.raises(ValueError, match=f"even and positive, got {n}"):
        centrosymmetry(np.zeros((20, 3)), n)


@pytest.mark.claims
@pytest.mark.parametrize("n", [8, 12])
def test_ovito_finds_the_same(n):
    pytest.importorskip("ovito")
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import CentroSymmetryModifier

    slab = fcc111("Pt", (8, 8, 8), vacuum=8)
    slab.positions += np.random.default_rng(1).normal(scale=0.1, size=slab.positions.shape)
    data = ase_to_ovito(slab)
    data.apply(CentroSymmetryModifier(num_neighbors=n))
    found = centrosymmetry(slab.positions, n, slab.cell[:], slab.pbc)
    np.testing.assert_allclose(found, data.particles["Centrosymmetry"][...], atol=1e-9)
