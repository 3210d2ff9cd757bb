import numpy as np
import pytest
from crystals import CELLS, particle

from stemdask.kernels.atoms.grains import find_grains, five_fold_axes, reduced
from stemdask.kernels.atoms.kinds import BCC, CUBIC_DIAMOND, FCC, HCP, HEXAGONAL_DIAMOND, OTHER, SIMPLE_CUBIC
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.ordering import (
    B2,
    FLUORITE,
    L1_0,
    L1_2,
    ROCK_SALT,
    UNORDERED,
    WURTZITE,
    ZINCBLENDE,
    find_ordering,
)
from stemdask.kernels.atoms.quaternions import quaternion_of
from stemdask.kernels.atoms.surroundings import surroundings
from stemdask.simulate import nanocrystal

EXPECTED = {
    "Pt": ({FCC}, UNORDERED),
    "Co": ({HCP}, UNORDERED),
    "Fe": ({BCC}, UNORDERED),
    "Po": ({SIMPLE_CUBIC}, UNORDERED),
    "Si": ({CUBIC_DIAMOND}, UNORDERED),
    "CdSe": ({CUBIC_DIAMOND}, ZINCBLENDE),
    "wurtzite": ({HEXAGONAL_DIAMOND}, WURTZITE),
    "CeO2": ({FCC, SIMPLE_CUBIC}, FLUORITE),
    "NaCl": ({SIMPLE_CUBIC}, ROCK_SALT),
    "NiAl": ({BCC}, B2),
    "FePt": ({FCC}, L1_0),
    "Cu3Au": ({FCC}, L1_2),
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.1])
def test_every_atom_of_a_round_particle_belongs_to_its_crystal_at_the_surface_too(name, sigma):
    positions, numbers = particle(name, 13.0, sigma)
    found = surroundings(positions, numbers)
    kinds, order = EXPECTED[name]
    assert np.isin(found.match.kind, list(kinds)).mean() > 0.995
    named = find_ordering(positions, numbers, found) == order
    assert named[found.missing == 0].mean() > 0.995
    assert named.mean() > 0.9


def test_in_fluorite_cations_are_fcc_and_anions_simple_cubic():
    positions, numbers = particle("CeO2")
    found = surroundings(positions, numbers)
    assert found.own.all()
    assert set(found.match.kind[numbers == 58]) == {FCC}
    assert set(found.match.kind[numbers == 8]) == {SIMPLE_CUBIC}


def test_missing_neighbours_are_those_of_the_full_shell_that_are_not_there():
    positions = nanocrystal(26).positions
    found = surroundings(positions, np.full(len(positions), 78, np.uint8))
    counts = find_neighbours(positions, 3.3).counts
    np.testing.assert_array_equal(found.missing, 12 - counts)


def test_the_neighbours_of_a_vacancy_lack_one_each():
    positions = nanocrystal(26).positions
    centre = int(np.argmin(np.linalg.norm(positions, axis=1)))
    beside = find_neighbours(positions, 3.3)
    around = beside.other[beside.first[centre] : beside.first[centre + 1]]
    left = np.delete(np.arange(len(positions)), centre)
    found = surroundings(positions[left], np.full(len(left), 78, np.uint8))
    assert set(found.missing[np.isin(left, around)]) == {1}
    assert set(found.match.kind) == {FCC}


def test_a_mixed_crystal_has_no_chemical_order():
    positions, _ = particle("Pt")
    numbers = np.random.default_rng(0).choice(np.array([46, 79], np.uint8), len(positions))
    assert (find_ordering(positions, numbers, surroundings(positions, numbers)) == UNORDERED).mean() > 0.95


@pytest.mark.parametrize("name", ["FePt", "CeO2", "wurtzite"])
def test_a_periodic_crystal_is_the_same_in_every_cell(name):
    crystal = CELLS[name].repeat(3)
    numbers = crystal.numbers.astype(np.uint8)
    cell = np.asarray(crystal.cell)
    found = surroundings(crystal.positions, numbers, cell)
    assert (found.missing == 0).all()
    assert set(find_ordering(crystal.positions, numbers, found, cell)) == {EXPECTED[name][1]}


def test_a_liquid_at_the_density_of_a_crystal_belongs_to_none():
    random = np.random.default_rng(0)
    positions = particle("Pt")[0]
    positions = positions + random.normal(scale=0.9, size=positions.shape)
    assert (surroundings(positions, np.full(len(positions), 78, np.uint8)).match.kind != OTHER).mean() < 0.02


def twinned(shape, sigma=0.0):
    positions = nanocrystal(27, "Au", shape=shape).positions
    positions = positions + np.random.default_rng(0).normal(scale=sigma, size=positions.shape)
    match = surroundings(positions, np.full(len(positions), 79, np.uint8)).match
    return match, find_neighbours(positions, 3.45)


@pytest.mark.parametrize(("shape", "n_grains", "n_axes"), [("decahedron", 5, 1), ("icosahedron", 20, 12)])
@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_grains_and_five_fold_axes_of_twinned_particles_are_counted(shape, n_grains, n_axes, sigma):
    match, near = twinned(shape, sigma)
    assert len(find_grains(match, near, match.kind == HCP).size) == n_grains
    assert five_fold_axes(match, near).max() + 1 == n_axes


def test_the_grains_of_a_decahedron_are_turned_about_its_axis_by_the_angle_of_a_tetrahedron():
    match, near = twinned("decahedron")
    found = find_grains(match, near, match.kind == HCP)
    angles = []
    for k in range(5):
        equal = np.abs(reduced(products_with_inverse(found.quaternion[k], found.quaternion), np.full(5, FCC))[:, 0])
        angles += list(np.degrees(2 * np.arccos(np.clip(equal, 0, 1))).round(1))
    # Twins of fcc are 60 degrees apart by symmetry; the gap of 7.4 degrees is shared by all five.
    assert np.isclose(angles, 0, atol=0.2).sum() == 5
    assert np.isclose(angles, 60, atol=2).sum() == 10


def products_with_inverse(a, b):
    inverse = a * np.array([1, -1, -1, -1])
    w, v, p, u = inverse[0], inverse[1:], b[:, 0], b[:, 1:]
    return np.column_stack([w * p - u @ v, w * u + p[:, None] * v + np.cross(v, u)])


def test_orientations_are_reduced_to_the_least_turn():
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    small = np.eye(3) + np.sin(0.2) * cross + (1 - np.cos(0.2)) * cross @ cross
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    found = reduced(quaternion_of(small @ quarter)[None], np.array([FCC], np.int8))[0]
    assert 2 * np.arccos(found[0]) == pytest.approx(0.2)
    np.testing.assert_allclose(found[1:] / np.linalg.norm(found[1:]), axis, atol=1e-12)
