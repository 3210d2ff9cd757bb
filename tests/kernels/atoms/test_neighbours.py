from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.workspace import Workspace


def pairs(neighbours):
    return np.column_stack([neighbours.centre, neighbours.other])


def brute_force_distances(positions, cutoff, cell, periodic, turns=9):
    """Sorted distances from each atom to every image of every atom, itself left out."""
    ranges = [range(-turns, turns + 1) if along else [0] for along in periodic]
    shifts = np.array(list(product(*ranges))) @ cell
    distances = np.linalg.norm(positions[None, :, None] - positions[:, None, None] + shifts, axis=-1)
    return [np.sort(row[(row <= cutoff) & (row > 1e-12)]) for row in distances.reshape(len(positions), -1)]


@given(st.integers(0, 200), st.floats(0.05, 3.0), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_pairs_of_a_particle_are_those_of_a_kd_tree(n, cutoff, seed):
    positions = np.random.default_rng(seed).uniform(-2, 2, (n, 3))
    neighbours = find_neighbours(positions, cutoff)
    expected = cKDTree(positions).query_pairs(cutoff, output_type="ndarray") if n else np.empty((0, 2), int)
    both = np.concatenate([expected, expected[:, ::-1]])
    np.testing.assert_array_equal(pairs(neighbours), both[np.lexsort((both[:, 1], both[:, 0]))])
    np.testing.assert_array_equal(neighbours.vector, positions[neighbours.other] - positions[neighbours.centre])


@given(
    st.integers(1, 25),
    st.floats(0.5, 4.0),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_a_triclinic_box_of_any_size_gives_the_distances_of_all_images(n, cutoff, periodic, seed):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(2.0, 5.0, 3)) + rng.uniform(-0.6, 0.6, (3, 3))
    positions = rng.uniform(-1.0, 3.0, (n, 3))
    neighbours = find_neighbours(positions, cutoff, cell, periodic)
    expected = brute_force_distances(positions, cutoff, cell, periodic)
    found = np.split(neighbours.distance, neighbours.first[1:-1])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.sort(ours), theirs, rtol=0, atol=1e-12)


def test_an_atom_alone_in_a_small_box_is_its_own_neighbour_in_every_direction():
    neighbours = find_neighbours([[0.3, 0.2, 0.1]], 1.0, np.eye(3))
    assert neighbours.counts.tolist() == [6]
    np.testing.assert_allclose(np.sort(neighbours.vector, axis=0), np.sort(np.vstack([np.eye(3), -np.eye(3)]), axis=0))


def test_bonds_at_the_cutoff_itself_are_seen_from_both_ends():
    grid = np.array(list(product(range(4), repeat=3))) * 0.1
    neighbours = find_neighbours(grid, 0.1, 0.4 * np.eye(3))
    forward = set(map(tuple, pairs(neighbours)))
    assert forward == {(j, i) for i, j in forward}


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_atoms_far_apart_have_no_neighbours(n):
    neighbours = find_neighbours(np.arange(3.0 * n).reshape(n, 3) * 1e6, 3.0)
    assert neighbours.counts.tolist() == [0] * n
    assert neighbours.vector.shape == (0, 3)


def test_coincident_atoms_are_neighbours_at_distance_zero():
    neighbours = find_neighbours(np.zeros((3, 3)), 1.0)
    assert neighbours.counts.tolist() == [2, 2, 2]
    assert not neighbours.distance.any()


@pytest.mark.parametrize("cell", [None, 5 * np.eye(3)])
def test_an_atom_without_a_finite_position_has_no_neighbours(cell):
    neighbours = find_neighbours([[0, 0, 0], [np.nan, 0, 0], [0, 0, 1], [0, np.inf, 0]], 1.5, cell)
    assert pairs(neighbours).tolist() == [[0, 2], [2, 0]]


def test_a_cutoff_of_nan_finds_nothing():
    assert find_neighbours(np.zeros((4, 3)), np.nan).counts.tolist() == [0, 0, 0, 0]


def test_a_workspace_used_again_for_a_smaller_and_a_larger_frame_changes_nothing():
    rng = np.random.default_rng(1)
    workspace = Workspace()
    for n in (500, 20, 1500):
        positions = rng.uniform(0, 5, (n, 3))
        kept, fresh = find_neighbours(positions, 1.5, workspace=workspace), find_neighbours(positions, 1.5)
        for name in ("first", "other", "vector"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(fresh, name))


def test_a_flat_cell_is_refused_in_words():
    with pytest.raises(ValueError, match="three independent cell vectors"):
        find_neighbours(np.zeros((2, 3)), 1.0, [[1, 0, 0], [0, 1, 0], [1, 1, 0]])
