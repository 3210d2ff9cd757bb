import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.alignment import Rigid, align, kabsch
from stemdask.simulate import nanocrystal, trajectory

REACH = 1.38


def angle_between(a, b):
    return Rigid(a @ b.T, np.zeros(3)).angle


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_rigid_motion_is_found_exactly(seed):
    random = np.random.default_rng(seed)
    points, turn, shift = random.normal(size=(8, 3)), Rotation.random(rng=random).as_matrix(), random.normal(size=3)
    motion = kabsch(points, points @ turn.T + shift)
    np.testing.assert_allclose(motion.rotation, turn, atol=1e-9)
    np.testing.assert_allclose(motion.translation, shift, atol=1e-9)


def test_a_mirror_image_is_turned_and_never_mirrored():
    points = np.random.default_rng(0).normal(size=(20, 3))
    assert np.linalg.det(kabsch(points, points * [-1, 1, 1]).rotation) == pytest.approx(1)


def test_the_angle_is_that_of_the_rotation():
    assert Rigid(Rotation.from_rotvec([0, 0.5, 0]).as_matrix(), np.zeros(3)).angle == pytest.approx(np.degrees(0.5))


@pytest.mark.parametrize("rotation", [0.5, 5, 15])
def test_a_shaken_turned_moved_and_shuffled_particle_is_brought_back(rotation):
    motion = trajectory(
        nanocrystal(21.2), 2, sigma=0.15, rotation=rotation, translation=3, n_exchanged=20, shuffle=True, seed=3
    )
    found = align(motion[1].positions, motion[0].positions, REACH)
    assert angle_between(found.motion.rotation, motion.truth(1).rotation.T) < 0.5
    assert found.matched == pytest.approx(294 / 304)  # ten of the 304 atoms vanish, ten others appear
    assert found.rms == pytest.approx(0.15 * np.sqrt(6), rel=0.1)


def test_a_particle_without_symmetry_is_brought_back_from_any_orientation():
    particle = nanocrystal(21.2)
    cut = particle.positions @ [0.5, 0.3, 0.81] < 5  # takes the octahedral symmetry away
    cut &= particle.positions @ [0.9, -0.4, 0.1] < 7
    positions = particle.positions[cut]
    random = np.random.default_rng(4)
    for turn in Rotation.random(8, rng=random).as_matrix():
        moved = positions @ turn.T + random.normal(scale=0.1, size=positions.shape)
        found = align(moved, positions, REACH)
        assert angle_between(found.motion.rotation, turn.T) < 1


def test_a_gas_does_not_lie_on_a_crystal():
    crystal = nanocrystal(21.2).positions
    gas = np.random.default_rng(0).uniform(-10, 10, (314, 3))
    assert align(gas, crystal, REACH).misfit > 0.5


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_hardly_any_atoms_raise_nothing(n):
    crystal = nanocrystal(12).positions
    few = np.zeros((n, 3))
    assert align(few, crystal, REACH).matched <= 1
    assert align(crystal, few, REACH).matched <= 1
