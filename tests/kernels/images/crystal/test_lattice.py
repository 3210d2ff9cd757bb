import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.images.crystal.lattice import fit_lattice, name_vectors


def turned(length: float, degree: float) -> np.ndarray:
    """Vector (y, x) at an angle counter-clockwise as displayed."""
    return length * np.array([-np.sin(np.radians(degree)), np.cos(np.radians(degree))])


def angle(vector: np.ndarray) -> float:
    return float(np.degrees(np.arctan2(-vector[0], vector[1])))


@given(st.floats(-180, 180), st.floats(1.0, 1.6), st.booleans(), st.booleans())
def test_names_depend_on_the_lattice_alone(rotation: float, ratio: float, swap: bool, flip: bool) -> None:
    a, b = turned(1.0, rotation), turned(ratio, rotation + 90)
    given_a, given_b = (b, a) if swap else (a, b)
    given_b = -given_b if flip else given_b
    named = name_vectors(given_a, given_b) @ np.stack([given_a, given_b])
    assert -42.001 <= angle(named[0]) <= 48.001
    assert named[0][1] * named[1][0] - named[0][0] * named[1][1] > 0
    np.testing.assert_allclose(np.abs(np.linalg.det(named)), ratio, rtol=1e-9)


def test_noise_does_not_rename_a_crystal_turned_by_45_degrees() -> None:
    for noise in (-0.5, 0.0, 0.5):
        a, b = turned(1.0, 45 + noise), turned(1.0, 135 + noise)
        assert angle((name_vectors(a, b) @ np.stack([a, b]))[0]) == pytest.approx(45 + noise)


@pytest.mark.parametrize("rotation", [0, 10, 25, 50, 100])
def test_a_hexagonal_cell_is_obtuse_and_lies_along_x(rotation: float) -> None:
    a, b = turned(1.0, rotation), turned(1.0, rotation + 60)
    named = name_vectors(a, b) @ np.stack([a, b])
    assert named[0] @ named[1] == pytest.approx(-0.5)
    assert -27.001 <= angle(named[0]) <= 33.001


def test_a_long_cell_keeps_its_two_shortest_vectors() -> None:
    a, b = turned(60.0, 0), turned(15.0, 90)
    named = name_vectors(a, b) @ np.stack([a, b])
    np.testing.assert_allclose(sorted(np.hypot(*named.T)), [15, 60])


def test_the_fit_returns_the_lattice_that_made_the_points() -> None:
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, 400, (2, 500)).astype(np.int32)
    a, b, origin = np.array([0.2, 14.0]), np.array([13.8, -0.4]), np.array([5e4, 3.0])
    points = origin + i[:, None] * a + j[:, None] * b
    points[0] = np.nan
    lattice = fit_lattice(points, i, j)
    np.testing.assert_allclose(lattice.a, a, atol=1e-9)
    np.testing.assert_allclose(lattice.b, b, atol=1e-9)
    np.testing.assert_allclose(lattice.origin, origin, atol=1e-6)
    np.testing.assert_allclose(lattice.at(i[1:], j[1:]), points[1:])


def test_a_single_row_spans_no_lattice() -> None:
    i = np.arange(9, dtype=np.int32)
    assert np.isnan(fit_lattice(np.outer(i, [0.0, 14.0]), i, np.zeros(9, np.int32)).a).all()
    assert np.isnan(fit_lattice(np.empty((0, 2)), i[:0], i[:0]).origin).all()
