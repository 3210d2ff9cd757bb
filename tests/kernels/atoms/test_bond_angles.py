import numpy as np
import pytest
from crystals import CELLS

from stemdask.kernels.atoms.bond_angles import bond_angle_counts, triplets
from stemdask.kernels.atoms.neighbours import find_neighbours


def counted(name, cutoff):
    crystal = CELLS[name].repeat(3)
    elements, species = np.unique(crystal.numbers, return_inverse=True)
    neighbours = find_neighbours(crystal.positions, cutoff, crystal.cell[:])
    counts = bond_angle_counts(neighbours, species, np.full((len(elements),) * 2, cutoff))
    per_atom = counts / np.bincount(species)[[a for a, _, _ in triplets(len(elements))]][:, None]
    return [{int(angle): row[angle] for angle in np.flatnonzero(row)} for row in per_atom]


@pytest.mark.parametrize(
    ("name", "cutoff", "expected"),
    [
        ("Pt", 3.3, {60: 24, 90: 12, 120: 24, 180: 6}),
        ("Co", 3.0, {60: 24, 90: 12, 109: 3, 120: 18, 146: 6, 180: 3}),
        ("Fe", 2.7, {71: 12, 109: 12, 180: 4}),
        ("Po", 4.0, {90: 12, 180: 3}),
        ("Si", 3.0, {109: 6}),
    ],
)
def test_perfect_lattices_have_the_angles_of_their_neighbours(name, cutoff, expected):
    assert counted(name, cutoff) == [expected]


def test_triplets_of_elements_are_counted_apart():
    ce_middle, o_middle = 1, 0
    found = dict(zip(triplets(2), counted("CeO2", 2.6), strict=True))
    assert found[ce_middle, 0, 0] == {71: 12, 109: 12, 180: 4}
    assert found[o_middle, 1, 1] == {109: 6}
    assert not any(found[key] for key in found if key not in {(1, 0, 0), (0, 1, 1)})


def test_each_pair_of_elements_has_its_own_longest_bond():
    positions = np.array([[0.0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 2.9]])
    species = np.array([0, 0, 1, 1])
    counts = bond_angle_counts(find_neighbours(positions, 3.0), species, np.array([[2.5, 2.95], [2.95, 0]]))
    found = dict(zip(triplets(2), counts, strict=True))
    assert found[0, 0, 1].sum() == found[0, 0, 1][90] == 1
    assert counts.sum() == 1


def test_atoms_left_out_and_coincident_ones_make_no_angles():
    positions = np.array([[0.0, 0, 0], [0, 0, 0], [2, 0, 0], [0, 2, 0]])
    neighbours = find_neighbours(positions, 2.5)
    assert bond_angle_counts(neighbours, np.array([-1, 0, 0, -1]), np.array([[2.5]])).sum() == 0
    assert bond_angle_counts(find_neighbours(np.empty((0, 3)), 2.5), np.empty(0, int), np.array([[2.5]])).sum() == 0


@pytest.mark.claims
def test_ovito_counts_the_same_angles():
    pytest.importorskip("ovito")
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import BondAngleDistributionModifier, CreateBondsModifier

    crystal = CELLS["Pt"].repeat(6)
    crystal.positions += np.random.default_rng(0).normal(scale=0.15, size=crystal.positions.shape)
    data = ase_to_ovito(crystal)
    data.apply(CreateBondsModifier(cutoff=3.3))
    data.apply(BondAngleDistributionModifier(bins=360, cosine_mode=False))
    [theirs] = [table.y[...].ravel() for table in data.tables.values()]
    ours = bond_angle_counts(
        find_neighbours(crystal.positions, 3.3, crystal.cell[:]), 0 * crystal.numbers, np.array([[3.3]])
    )[0]
    # Theirs begin at whole and half degrees, ours lie half a degree around whole ones.
    halves = np.concatenate([[0], theirs, [0]]).reshape(-1, 2).sum(axis=1)
    np.testing.assert_array_equal(ours, halves)
