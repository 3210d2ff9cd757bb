import numpy as np
import pytest
from ase.geometry import get_distances
from crystals import CELLS

from stemdask.kernels.atoms.nearest_distances import nearest_distances


@pytest.mark.parametrize(
    ("name", "center", "neighbor", "expected"),
    [
        ("CeO2", 58, 8, [np.sqrt(3) / 4] * 8 + [np.sqrt(11) / 4]),
        ("CeO2", 8, 58, [np.sqrt(3) / 4] * 4 + [np.sqrt(11) / 4]),
        ("CeO2", 8, 8, [0.5] * 6 + [np.sqrt(0.5)]),
        ("Pt", 78, 78, [np.sqrt(0.5)] * 12 + [1.0]),
    ],
)
def test_crystals_have_the_distances_of_their_shells_even_in_one_cell(name, center, neighbor, expected):
    crystal = CELLS[name]
    around, of = crystal.numbers == center, crystal.numbers == neighbor
    found = nearest_distances(crystal.positions, around, of, len(expected), crystal.cell[:])
    np.testing.assert_allclose(found / crystal.cell[0, 0], np.tile(expected, (around.sum(), 1)), atol=1e-9)


@pytest.mark.parametrize("periodic", [False, True])
def test_ase_measures_the_same(periodic):
    random = np.random.default_rng(0)
    cell = np.array([[9.0, 0, 0], [2, 8, 0], [1, 1, 7]])
    positions, numbers = random.uniform(-4, 14, (80, 3)), random.integers(0, 2, 80)
    around, of = numbers == 0, numbers == 1
    theirs = get_distances(positions[around], positions[of], cell, periodic)[1]
    found = nearest_distances(positions, around, of, 3, cell, periodic)
    # ASE knows the nearest image of each atom only; the nearest atom is the nearest image of something.
    np.testing.assert_allclose(found[:, 0], theirs.min(axis=1), rtol=1e-9)
    if not periodic:
        np.testing.assert_allclose(found, np.sort(theirs, axis=1)[:, :3], rtol=1e-9)


def test_what_is_not_there_has_no_distance():
    positions = np.array([[0.0, 0, 0], [0, 0, 0], [3, 0, 0], [np.nan, 0, 0]])
    every = np.ones(4, bool)
    found = nearest_distances(positions, every, every, 3)
    np.testing.assert_array_equal(found[:3], [[0, 3, np.nan], [0, 3, np.nan], [3, 3, np.nan]])
    assert np.isnan(found[3]).all()
    assert nearest_distances(np.empty((0, 3)), np.empty(0, bool), np.empty(0, bool), 2).shape == (0, 2)
    assert np.isnan(nearest_distances(positions, every, ~every, 2)).all()
