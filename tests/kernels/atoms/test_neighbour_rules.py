from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.neighbour_rules import nearest, sann, voronoi
from stemdask.kernels.atoms.neighbours import find_neighbours

RULES = [lambda *box: nearest(*box[:1], 12, *box[1:]), sann, voronoi]
IDS = ["nearest", "sann", "voronoi"]


def fcc(cells, a=4.0, sigma=0.0, seed=0):
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    positions = (grid + basis).reshape(-1, 3) * a
    return positions + np.random.default_rng(seed).normal(0, sigma, positions.shape)


def lists(neighbours):
    return [set(part.tolist()) for part in np.split(neighbours.other, neighbours.first[1:-1])]


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_bulk_fcc_has_its_twelve_neighbours(rule):
    box = 12.0 * np.eye(3)
    expected = find_neighbours(fcc(3), 3.4, box)
    found = rule(fcc(3), box)
    assert found.counts.tolist() == [12] * 108
    assert lists(found) == lists(expected)
    np.testing.assert_allclose(np.sort(found.distance), np.sort(expected.distance), atol=1e-12)


@given(st.integers(1, 15), st.integers(1, 8), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_nearest_are_the_nearest_of_all_images(n, k, seed, bounded):
    rng = np.random.default_rng(seed)
    cell = 3 * np.eye(3) + rng.uniform(-0.5, 0.5, (3, 3))
    positions = rng.uniform(0, 3, (n, 3))
    found = nearest(positions, k, cell, True) if bounded else nearest(positions, k)
    all_of_them = find_neighbours(positions, 12.0, cell if bounded else None)
    parts = zip(
        np.split(found.distance, found.first[1:-1]),
        np.split(all_of_them.distance, all_of_them.first[1:-1]),
        strict=True,
    )
    for ours, every in parts:
        np.testing.assert_allclose(np.sort(ours), np.sort(every)[:k], atol=1e-12)


def test_the_solid_angles_of_neighbours_fill_the_sphere():
    positions = fcc(4, sigma=0.2)
    found = sann(positions)
    every = find_neighbours(positions, 100.0)
    for i in range(len(positions)):
        near = np.sort(every.distance[every.first[i] : every.first[i + 1]])
        m = next(m for m in range(3, len(near)) if near[:m].sum() / (m - 2) <= near[m])
        assert found.counts[i] == m


def test_voronoi_faces_of_a_cube_have_the_area_of_a_cube():
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    found = voronoi(grid, 3 * np.eye(3))
    assert found.weight is not None
    np.testing.assert_allclose(np.bincount(found.centre, found.weight), 6.0)
    assert found.counts.tolist() == [6] * 27


def test_voronoi_faces_are_shared_and_point_at_each_other():
    found = voronoi(fcc(3, sigma=0.2), 12.0 * np.eye(3))
    assert found.weight is not None
    # Every face closes its cell: the areas times the outward normals add up to nothing.
    unit = found.vector / found.distance[:, None]
    for k in range(3):
        closed = np.bincount(found.centre, found.weight * unit[:, k])
        np.testing.assert_allclose(closed, 0, atol=1e-9)
    assert all(i in lists(found)[j] for i, near in enumerate(lists(found)) for j in near)


def test_surface_atoms_of_an_ideal_particle_keep_their_lattice_neighbours():
    positions = fcc(4)
    expected = find_neighbours(positions, 3.4)
    assert lists(voronoi(positions)) == lists(expected)


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_turned_and_moved_particles_keep_their_neighbours(rule):
    positions = fcc(3, sigma=0.15)
    turned = positions @ Rotation.random(random_state=4).as_matrix() + [10, -20, 5]
    assert lists(rule(turned)) == lists(rule(positions))


@pytest.mark.parametrize("rule", RULES, ids=IDS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("cell", [None, 9.0 * np.eye(3)], ids=["particle", "box"])
def test_few_coincident_and_missing_atoms_give_lists_without_complaint(rule, n, cell):
    positions = np.arange(3.0 * n).reshape(n, 3)
    for odd in (positions, np.zeros((n, 3)), np.where(np.arange(n)[:, None] == 1, np.nan, positions)):
        found = rule(odd) if cell is None else rule(odd, cell)
        assert len(found.first) == n + 1
        assert found.first[-1] == len(found.other) == len(found.vector)
        assert len(found.other) == 0 or 0 <= found.other.min() <= found.other.max() < n
