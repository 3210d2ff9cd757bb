import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.neighbours import Neighbours, find_neighbours
from stemdask.kernels.atoms.surface import has_empty_cone
from stemdask.simulate import nanocrystal


def around_one(directions):
    vectors = np.asarray(directions, float).reshape(-1, 3)
    return Neighbours.from_vectors(np.array([0, len(vectors)]), np.arange(len(vectors), dtype=np.int32), vectors)


@pytest.mark.parametrize("shape", ["truncated-octahedron", "icosahedron", "decahedron", "cuboctahedron"])
@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_the_outer_shell_of_a_polyhedron_is_its_surface_even_under_strong_shaking(shape, sigma):
    ideal = nanocrystal(24, shape=shape).positions
    outer = find_neighbours(ideal, 3.3).counts < 12
    positions = ideal + np.random.default_rng(0).normal(scale=sigma, size=ideal.shape)
    np.testing.assert_array_equal(has_empty_cone(find_neighbours(positions, 4.43)), outer)


def test_the_neighbours_of_a_vacancy_are_not_at_the_surface():
    particle = nanocrystal(24, shape="cuboctahedron").positions
    distance = np.linalg.norm(particle, axis=1)
    without_centre, distance = particle[distance > 0.1], distance[distance > 0.1]
    beside = distance < 3
    assert beside.sum() == 12
    assert not has_empty_cone(find_neighbours(without_centre, 4.43))[beside].any()


@pytest.mark.parametrize(("half_angle", "expected"), [(54.0, True), (55.5, False)])
def test_the_widest_cone_between_six_octahedral_neighbours_has_54_7_degrees(half_angle, expected):
    octahedron = np.vstack([np.eye(3), -np.eye(3)])
    assert has_empty_cone(around_one(octahedron), half_angle)[0] == expected


@pytest.mark.parametrize(
    "directions", [np.empty((0, 3)), [[0, 0, 1]], [[0, 0, 1], [0, 0, -1]], [[1, 0, 0], [1, 0, 0]], [[0, 0, 0]]]
)
def test_few_neighbours_leave_the_view_open(directions):
    assert has_empty_cone(around_one(directions))[0]


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 25), half_angle=st.floats(20, 80))
def test_it_finds_what_a_dense_sampling_of_directions_finds(seed, n, half_angle):
    random = np.random.default_rng(seed)
    neighbours = around_one(random.normal(size=(n, 3)))
    directions = random.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    unit = neighbours.vector / neighbours.distance[:, None]
    widest = np.degrees(np.arccos(np.clip((directions @ unit.T).max(axis=1).min(), -1, 1)))
    found = has_empty_cone(neighbours, half_angle)[0]
    if widest > half_angle:
        assert found
    elif widest < half_angle - 6:
        assert not found


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_surface_does_not_depend_on_orientation_place_or_order(seed):
    random = np.random.default_rng(seed)
    positions = nanocrystal(16).positions + random.normal(scale=0.2, size=(201, 3))
    order = random.permutation(len(positions))
    turned = (positions @ Rotation.random(rng=random).as_matrix().T + 10 * random.normal(size=3))[order]
    before = has_empty_cone(find_neighbours(positions, 4.43))
    np.testing.assert_array_equal(has_empty_cone(find_neighbours(turned, 4.43)), before[order])
