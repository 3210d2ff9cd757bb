import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.convex_body import convex_body, particle_body
from stemdask.simulate import nanocrystal

CORNERS = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
TURN = Rotation.from_rotvec([0.4, 1.1, -0.7]).as_matrix()


def test_the_body_of_a_cube_has_its_faces_volume_area_and_depths():
    body = convex_body(CORNERS @ TURN.T)
    assert len(body.offsets) == 6
    assert body.volume == pytest.approx(1)
    assert body.area == pytest.approx(6)
    points = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 0.1], [0.5, 0.5, 1.2], [0, 0, 0]])
    np.testing.assert_allclose(body.depth(points @ TURN.T), [0.5, 0.1, -0.2, 0], atol=1e-12)


def test_moving_the_faces_of_a_cube_outwards_makes_a_larger_cube():
    larger = convex_body(CORNERS @ TURN.T).expanded(0.25)
    assert len(larger.offsets) == 6
    assert larger.volume == pytest.approx(1.5**3)


@pytest.mark.parametrize(
    "points",
    [np.empty((0, 3)), np.zeros((1, 3)), np.eye(3), np.zeros((9, 3)), CORNERS * [1, 1, 0], CORNERS * np.nan],
)
def test_points_that_span_no_volume_have_no_body(points):
    assert convex_body(points) is None
    assert particle_body(points) is None


@pytest.mark.parametrize("shape", ["octahedron", "truncated-octahedron", "sphere"])
@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_the_body_of_a_crystal_has_the_volume_of_all_its_atoms(shape, sigma):
    positions = nanocrystal(36, "Pt", shape, lattice_parameter=4.0).positions
    positions = positions + np.random.default_rng(0).normal(scale=sigma, size=positions.shape)
    assert particle_body(positions).volume / len(positions) == pytest.approx(4.0**3 / 4, rel=0.015)
    assert convex_body(positions).volume / len(positions) < 0.9 * 4.0**3 / 4


def test_particles_without_an_inside_reach_half_a_layer_beyond_their_hull():
    positions = nanocrystal(8, "Pt", "cuboctahedron", lattice_parameter=4.0).positions
    half_layer = 4.0 / np.sqrt(3) / 2
    body, hull = particle_body(positions), convex_body(positions)
    assert body.volume == pytest.approx(hull.expanded(half_layer).volume)
    assert particle_body(positions, 0.0).volume == hull.volume
