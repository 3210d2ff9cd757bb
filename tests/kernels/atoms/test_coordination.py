from __future__ import annotations

import numpy as np
import pytest
from crystals import inner, particle

from stemdask.kernels.atoms.coordination import body_centred_coordination, coordination, coordination_by_lattice
from stemdask.kernels.atoms.neighbour_rules import nearest
from stemdask.kernels.atoms.pair_cutoffs import pair_cutoffs
from stemdask.kernels.atoms.rdf import bin_edges
from stemdask.kernels.atoms.surroundings import surroundings


def test_a_cubic_lattice_has_six_five_four_and_three_neighbours_inside_and_at_its_edges():
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    found = coordination(grid, np.zeros(27, int), [[1.2]])
    assert np.bincount(found.number).tolist() == [0, 0, 0, 8, 12, 6, 1]
    np.testing.assert_array_equal(found.same_element, found.number)
    assert coordination(grid, np.zeros(27, int), [[1.2]], 3 * np.eye(3)).number.tolist() == [6] * 27


def test_each_pair_of_elements_has_its_cutoff_itself_too_far():
    positions, species = [[0, 0, 0], [1.5, 0, 0], [4.5, 0, 0]], [0, 1, 1]
    found = coordination(positions, species, [[9.0, 1.5 + 1e-12], [1.5 + 1e-12, 3.0 - 1e-12]])
    assert found.number.tolist() == [1, 1, 0]
    assert found.same_element.tolist() == [0, 0, 0]
    assert coordination(positions, species, [[9.0, 1.5], [1.5, 3.0]]).number.tolist() == [0, 0, 0]


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_atoms_have_no_neighbours(n):
    assert coordination(np.zeros((n, 3)), np.zeros(n, int), [[3.0]]).number.tolist() == [0] * n


#: Neighbours of each element inside the crystal.
NUMBERS = {
    "Pt": {78: 12},
    "Co": {27: 12},
    "Po": {84: 6},
    "Si": {14: 4},
    "CdSe": {34: 4, 48: 4},
    "wurtzite": {34: 4, 48: 4},
    "CeO2": {8: 4, 58: 8},
    "NaCl": {11: 6, 17: 6},
    "NiAl": {13: 8, 28: 8},
    "FePt": {26: 12, 78: 12},
    "Cu3Au": {29: 12, 79: 12},
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.1])
def test_inside_a_crystal_the_first_minima_of_its_pairs_give_the_coordination(name, sigma):
    positions, numbers = particle(name, 16.0, sigma)
    elements, species = np.unique(numbers, return_inverse=True)
    found = pair_cutoffs(positions, species, bin_edges(9.0, 0.02))
    number = coordination(positions, species, found.cutoff).number
    inside = inner(positions, 6.5)
    expected = np.array([NUMBERS[name][int(element)] for element in elements])[species]
    assert (number == expected)[inside].mean() >= 0.985


def test_of_a_body_centred_crystal_the_second_shell_is_apart_while_it_shakes_little():
    cutoffs, counted = [], []
    for sigma in (0.0, 0.05, 0.1):
        positions, numbers = particle("Fe", 16.0, sigma)
        found = pair_cutoffs(positions, np.zeros(len(numbers), int), bin_edges(9.0, 0.02))
        number = coordination(positions, np.zeros(len(numbers), int), found.cutoff).number
        cutoffs.append(float(found.cutoff[0, 0]))
        counted.append(int(np.median(number[inner(positions, 6.5)])))
    assert counted == [8, 8, 14]  # at 0.1 angstrom both shells are one peak
    assert cutoffs == pytest.approx([2.69, 2.70, 3.46], abs=0.05)


@pytest.mark.parametrize("name", ["Fe", "Pt", "Co", "Si", "CdSe", "NaCl", "FePt"])
@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_the_lattice_gives_the_neighbours_of_its_first_shell_also_where_shells_mix(name, sigma):
    positions, numbers = particle(name, 16.0, sigma)
    species = np.unique(numbers, return_inverse=True)[1]
    number = coordination_by_lattice(surroundings(positions, numbers), species).number
    expected = np.vectorize(({"Fe": {26: 8}} | NUMBERS)[name].get)(numbers)
    assert (number == expected)[inner(positions, 6.5)].mean() >= 0.99
    assert (number <= expected).all()


def test_atoms_of_a_sublattice_of_their_own_or_of_none_have_no_coordination_by_lattice():
    positions, numbers = particle("CeO2", 12.0)
    found = coordination_by_lattice(surroundings(positions, numbers), numbers)
    assert set(found.number[inner(positions)]) == {-1}
    assert (
        coordination_by_lattice(surroundings(np.zeros((3, 3)), np.full(3, 78, np.uint8)), np.zeros(3)).number.tolist()
        == [-1] * 3
    )


def test_neighbours_of_the_own_element_are_counted_on_the_lattice():
    positions, numbers = particle("FePt", 14.0)
    found = coordination_by_lattice(surroundings(positions, numbers), numbers)
    assert set(found.same_element[inner(positions)]) == {4}


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.1, 0.15])
@pytest.mark.parametrize("name", ["Fe", "NiAl"])
def test_body_centred_crystals_have_eight_neighbours_at_any_noise(name, sigma):
    positions, numbers = particle(name, 12.0, sigma)
    species = np.unique(numbers, return_inverse=True)[1]
    found = body_centred_coordination(positions, species, numbers, 2.5)
    inside = inner(positions, 4.0)
    assert (found.number[inside] == 8).mean() >= 0.99
    assert (found.same_element[inside] == (8 if name == "Fe" else 0)).mean() >= 0.99


@pytest.mark.parametrize("name", ["Pt", "Co", "Po", "Si", "NaCl", "Cu3Au", "CeO2"])
def test_crystals_that_are_not_body_centred_are_not_counted_as_such(name):
    positions, numbers = particle(name, 10.0, 0.05)
    spacing = float(np.median(nearest(positions, 1).distance))
    assert body_centred_coordination(positions, np.zeros(len(numbers)), numbers, spacing) is None


def test_a_gas_is_not_body_centred():
    places = np.random.default_rng(0).uniform(0, 20, (400, 3))
    assert body_centred_coordination(places, np.zeros(400), np.full(400, 26), 1.5) is None
    assert body_centred_coordination(np.zeros((0, 3)), np.zeros(0), np.zeros(0), 2.5) is None
