import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.images.crystal.octahedral_tilt import octahedral_tilt

A, B = np.array([0.0, 16.0]), np.array([16.0, 0.0])


def octahedra(tilt, n=25):
    """Return the middles of n single octahedra and their oxygen columns, turned counter-clockwise as displayed."""
    cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    turn = np.array([[cos, -sin], [sin, cos]])  # of (y, x)
    centres = 100.0 * np.column_stack([np.arange(n), np.arange(n)])
    oxygen = centres[:, None] + 0.5 * np.array([A, -A, B, -B]) @ turn.T
    return centres, oxygen


@given(tilt=st.floats(-12, 12))
def test_a_turned_octahedron_is_turned_by_its_angle(tilt):
    centres, oxygen = octahedra(tilt)
    oxygen = oxygen.reshape(-1, 2)
    found, _ = octahedral_tilt(centres, np.tile(A, (25, 1)), np.tile(B, (25, 1)), oxygen, np.zeros_like(oxygen))
    assert np.allclose(found, tilt, atol=1e-9)


def test_counter_clockwise_takes_the_right_oxygen_up():
    centres, oxygen = octahedra(10.0, 1)
    assert oxygen[0, 0, 0] < centres[0, 0]


def test_the_error_is_the_scatter_and_a_displaced_middle_does_not_matter():
    rng = np.random.default_rng(0)
    centres, oxygen = octahedra(5.0, 4000)
    oxygen = oxygen.reshape(-1, 2)
    errors = np.full(oxygen.shape, 0.1)
    vectors = np.tile(A, (4000, 1)), np.tile(B, (4000, 1))
    moved = centres + np.array([0.4, -0.6])
    found, error = octahedral_tilt(moved, *vectors, oxygen + errors * rng.normal(size=oxygen.shape), errors)
    assert found.mean() == pytest.approx(5.0, abs=0.05)
    assert np.std(found) / error.mean() == pytest.approx(1.0, abs=0.05)


def test_octahedra_without_opposite_oxygen_have_no_tilt():
    centres, oxygen = octahedra(5.0, 3)
    kept = np.concatenate([oxygen[0], oxygen[1, :2], oxygen[2, [0, 2]]])
    found, _ = octahedral_tilt(centres, np.tile(A, (3, 1)), np.tile(B, (3, 1)), kept, np.zeros_like(kept))
    assert np.array_equal(np.isnan(found), [False, False, True])
    nothing, _ = octahedral_tilt(centres, np.tile(A, (3, 1)), np.tile(B, (3, 1)), kept[:0], kept[:0])
    assert np.isnan(nothing).all()
