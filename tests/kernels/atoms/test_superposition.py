import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.quaternions import product, products, quaternion_of, rotation_of
from stemdask.kernels.atoms.superposition import superpose


@pytest.mark.parametrize("n", [2, 3, 12])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_points_are_brought_onto_others_by_the_rotation_that_scipy_finds(n, noise):
    random = np.random.default_rng(n)
    for _ in range(50):
        turn = Rotation.random(rng=random)
        y = random.normal(size=(n, 3))
        x = turn.apply(y) + random.normal(scale=noise, size=(n, 3))
        found = np.empty(4)
        overlap = superpose(y.T @ x, 0.5 * ((x**2).sum() + (y**2).sum()), found)
        expected, rssd = Rotation.align_vectors(x, y)
        squares = (x**2).sum() + (y**2).sum()
        assert overlap == pytest.approx((squares - rssd**2) / 2, rel=1e-9)
        same = Rotation.from_quat(found, scalar_first=True) * expected.inv()
        assert same.magnitude() < 1e-5
        assert found[0] >= 0


def test_quaternions_multiply_and_turn_like_matrices():
    random = np.random.default_rng(0)
    first, second = Rotation.random(rng=random), Rotation.random(rng=random)
    a, b = (quaternion_of(turn.as_matrix()) for turn in (first, second))
    both, matrix = np.empty(4), np.empty((3, 3))
    product(a, b, both)
    rotation_of(both, matrix)
    np.testing.assert_allclose(matrix, (first * second).as_matrix(), atol=1e-14)
    np.testing.assert_allclose(np.abs(products(a, b) @ both), 1, atol=1e-14)


@pytest.mark.parametrize("degrees", [0, 90, 180])
@pytest.mark.parametrize("axis", np.eye(3))
def test_the_quaternion_of_quarter_and_half_turns_is_exact(axis, degrees):
    turn = Rotation.from_rotvec(np.radians(degrees) * axis)
    same = np.abs(quaternion_of(turn.as_matrix()) @ turn.as_quat(scalar_first=True))
    assert same == pytest.approx(1, abs=1e-14)
