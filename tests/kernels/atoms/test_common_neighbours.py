import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.common_neighbours import classify
from stemdask.kernels.atoms.kinds import BCC, FCC, HCP, OTHER
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.simulate import nanocrystal

REACH = 1.55 * 3.92 / np.sqrt(2)


def shaken(positions, sigma, seed=0):
    return positions + np.random.default_rng(seed).normal(scale=sigma, size=positions.shape)


@pytest.mark.parametrize(
    ("crystal", "expected", "nearest"),
    [
        (bulk("Pt", "fcc", a=3.92, cubic=True), FCC, 2.772),
        (bulk("Co", "hcp", a=2.5, c=4.08), HCP, 2.5),
        (bulk("Fe", "bcc", a=2.87, cubic=True), BCC, 2.485),
    ],
)
@pytest.mark.parametrize("strain", [0.0, 0.02])
def test_every_atom_of_a_perfect_crystal_has_its_type(crystal, expected, nearest, strain):
    atoms = crystal.repeat(5)
    stretch = np.diag([1 + strain, 1, 1 - strain])
    neighbours = find_neighbours(atoms.positions @ stretch, 1.55 * nearest, np.asarray(atoms.cell) @ stretch)
    assert set(classify(neighbours).kind) == {expected}


def test_simple_cubic_is_none_of_the_types():
    atoms = bulk("Po", "sc", a=3.35).repeat(5)
    assert set(classify(find_neighbours(atoms.positions, 5.2, atoms.cell)).kind) == {OTHER}


def test_the_normal_of_hcp_is_its_c_axis_however_the_crystal_is_turned():
    atoms = bulk("Co", "hcp", a=2.5, c=4.08).repeat(5)
    turn = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    found = classify(find_neighbours(atoms.positions @ turn.T, 3.9, np.asarray(atoms.cell) @ turn.T))
    np.testing.assert_allclose(np.abs(found.normal @ turn[:, 2]), 1, atol=1e-12)


def test_an_icosahedron_is_twenty_tetrahedra_around_one_icosahedral_atom():
    particle = nanocrystal(27, shape="icosahedron").positions
    count = np.bincount(classify(find_neighbours(particle, REACH)).kind, minlength=5)
    # 561 atoms: 309 inside; 12 five-fold axes with 3 atoms each, 30 twin planes with 6, 20 tetrahedra with 4.
    assert list(count) == [252 + 12 * 4, 20 * 4, 30 * 6, 0, 1]


def test_thermal_displacements_of_a_tenth_of_an_angstrom_change_no_type():
    particle = nanocrystal(30, shape="decahedron").positions
    still = classify(find_neighbours(particle, REACH)).kind
    moved = classify(find_neighbours(shaken(particle, 0.1), REACH)).kind
    assert (still != moved).mean() < 0.002


def test_a_gas_has_no_structure():
    gas = np.random.default_rng(0).uniform(0, 30, (2000, 3))
    assert (classify(find_neighbours(gas, 5.0)).kind != OTHER).mean() < 0.002


@pytest.mark.parametrize("n", [0, 1, 2, 11])
def test_few_or_coincident_atoms_are_of_no_type(n):
    assert list(classify(find_neighbours(np.zeros((n, 3)), 3.0)).kind) == [OTHER] * n


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_types_do_not_depend_on_orientation_place_or_order(seed):
    random = np.random.default_rng(seed)
    positions = shaken(nanocrystal(18, shape="icosahedron").positions, 0.12, seed)
    order = random.permutation(len(positions))
    turned = (positions @ Rotation.random(rng=random).as_matrix().T + random.normal(size=3) * 50)[order]
    before = classify(find_neighbours(positions, REACH)).kind
    np.testing.assert_array_equal(classify(find_neighbours(turned, REACH)).kind, before[order])


@pytest.mark.claims
@pytest.mark.parametrize("shape", ["icosahedron", "decahedron", "sphere"])
@pytest.mark.parametrize("sigma", [0.1, 0.2])
def test_types_are_those_of_ovito(shape, sigma):
    pytest.importorskip("ovito")
    from ovito.data import DataCollection
    from ovito.modifiers import CommonNeighborAnalysisModifier

    positions = shaken(nanocrystal(40, shape=shape).positions, sigma)
    data = DataCollection()
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    data.apply(CommonNeighborAnalysisModifier(mode=CommonNeighborAnalysisModifier.Mode.AdaptiveCutoff))
    expected = np.array(data.particles["Structure Type"])
    np.testing.assert_array_equal(classify(find_neighbours(positions, REACH * 1.1)).kind, expected)
