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


def turned_by(octahedra, moved_oxygen, moved_corners):
    """Return by how much the tilt changes to first order, with a and b ending where they moved to."""
    by_oxygen = (octahedra.by_oxygen * moved_oxygen[octahedra.oxygen]).sum(axis=(1, 2))
    return by_oxygen + (octahedra.by_cell * moved_corners).sum(axis=(1, 2))


@given(tilt=st.floats(-12, 12))
def test_a_turned_octahedron_is_turned_by_its_angle(tilt):
    centres, oxygen = octahedra(tilt)
    found = octahedral_tilt(centres, np.tile(A, (25, 1)), np.tile(B, (25, 1)), oxygen.reshape(-1, 2))
    assert np.allclose(found.tilt, tilt, atol=1e-9)


def test_counter_clockwise_takes_the_right_oxygen_up():
    centres, oxygen = octahedra(10.0, 1)
    assert oxygen[0, 0, 0] < centres[0, 0]


def test_a_displaced_middle_does_not_matter():
    centres, oxygen = octahedra(5.0, 40)
    vectors = np.tile(A, (40, 1)), np.tile(B, (40, 1))
    found = octahedral_tilt(centres + np.array([0.4, -0.6]), *vectors, oxygen.reshape(-1, 2))
    assert found.tilt == pytest.approx(5.0, abs=0.05)


@given(tilt=st.floats(-12, 12), seed=st.integers(0, 100))
def test_what_moves_it_is_the_change_of_the_tilt(tilt, seed):
    rng = np.random.default_rng(seed)
    centres, oxygen = octahedra(tilt)
    oxygen, vectors = oxygen.reshape(-1, 2), np.tile(np.stack([A, B]), (25, 1, 1))
    before = octahedral_tilt(centres, vectors[:, 0], vectors[:, 1], oxygen)
    shift, stretch = 1e-4 * rng.normal(size=oxygen.shape), 1e-4 * rng.normal(size=vectors.shape)
    moved = vectors + stretch
    after = octahedral_tilt(centres, moved[:, 0], moved[:, 1], oxygen + shift)
    assert after.tilt - before.tilt == pytest.approx(turned_by(before, shift, stretch), abs=1e-7)


def test_octahedra_without_opposite_oxygen_have_no_tilt():
    centres, oxygen = octahedra(5.0, 3)
    kept = np.concatenate([oxygen[0], oxygen[1, :2], oxygen[2, [0, 2]]])
    found = octahedral_tilt(centres, np.tile(A, (3, 1)), np.tile(B, (3, 1)), kept)
    assert np.array_equal(np.isnan(found.tilt), [False, False, True])
    assert not found.by_oxygen[2].any()
    assert not found.by_cell[2].any()
    assert not found.by_cell[1, 1].any(), "of b nothing is told"
    nothing = octahedral_tilt(centres, np.tile(A, (3, 1)), np.tile(B, (3, 1)), kept[:0])
    assert np.isnan(nothing.tilt).all()
