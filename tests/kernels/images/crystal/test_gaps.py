"""Gaps that a lattice doesn't have are found, and those that it has are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.crystal.gaps import Gaps, find_gaps

A = 20.0
#: Vectors, and what lies in a cell.
CRYSTALS = {
    "square": (np.eye(2), np.zeros((1, 2))),
    "close-packed": (np.array([[0.0, 1.0], [np.sqrt(0.75), -0.5]]), np.zeros((1, 2))),
    "honeycomb": (np.array([[0.0, 1.0], [np.sqrt(0.75), -0.5]]), np.array([[0.0, 0.0], [1 / 3, 2 / 3]])),
    "perovskite": (np.eye(2), np.array([[0.0, 0.0], [0.5, 0.53]])),
    "dumbbells": (np.array([[0.0, 1.0], [1.41, 0.0]]), np.array([[0, 0], [0, 0.25], [0.5, 0.5], [0.5, 0.75]])),
    "layers": (np.array([[0.0, 1.0], [3.0, 0.0]]), np.array([[0.0, 0.0], [0.5, 0.3], [0.0, 0.6]])),
}


def crystal(kind: str, cells: int = 12, turn: float = 0.0) -> tuple[Floats, Floats]:
    """Return columns (n, 2) and vectors (1, 2, 2)."""
    vectors, motif = CRYSTALS[kind]
    basis = A * vectors @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    steps = np.stack(np.meshgrid(*[np.arange(cells)] * 2, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    return (steps + motif).reshape(-1, 2) @ basis, basis[None]


def found(places: Floats, vectors: Floats) -> Gaps:
    return find_gaps(places, np.zeros(len(places), np.int64), vectors)


@pytest.mark.parametrize("kind", CRYSTALS)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_crystal_has_no_gaps_but_those_of_its_lattice(kind: str, noise: float) -> None:
    places, vectors = crystal(kind, turn=0.3)
    places = places + noise * np.random.default_rng(0).normal(size=places.shape)
    assert len(found(places, vectors).radii) == 0


@pytest.mark.parametrize("kind", ["square", "close-packed", "honeycomb", "perovskite", "dumbbells"])
def test_missing_cells_are_one_gap_at_their_place(kind: str) -> None:
    places, vectors = crystal(kind, turn=0.3)
    middle = places.mean(axis=0)
    away = np.hypot(*(places - middle).T)
    left = away > 1.5 * A
    gaps = found(places[left], vectors)
    assert len(gaps.radii) == 1
    assert np.hypot(*(gaps.centres[0] - middle)) < 0.8 * A
    assert 1.0 * A < gaps.radii[0] < 2.4 * A
    assert 3 <= gaps.beside.sum() < 16
    assert (away[left][gaps.beside] < 3.5 * A).all()


def test_a_missing_column_of_a_square_lattice_leaves_a_circle_to_its_four_neighbours() -> None:
    places, vectors = crystal("square")
    gaps = found(np.delete(places, 6 * 12 + 5, axis=0), vectors)
    np.testing.assert_allclose(gaps.centres, places[[6 * 12 + 5]])
    np.testing.assert_allclose(gaps.radii, A)
    assert gaps.beside.sum() == 4


@given(st.floats(0.0, 6.3), st.floats(0.01, 100.0))
def test_turning_and_scaling_a_crystal_turns_and_scales_its_gaps(turn: float, scale: float) -> None:
    places, vectors = crystal("perovskite")
    places = np.delete(places, [100, 181], axis=0)
    before = found(places, vectors)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    after = found(places @ matrix, vectors @ matrix)
    assert len(before.radii) == len(after.radii) == 2
    np.testing.assert_allclose(np.sort(after.radii), scale * np.sort(before.radii), rtol=1e-6)
    np.testing.assert_array_equal(before.beside, after.beside)


def test_rims_are_no_gaps() -> None:
    places, vectors = crystal("close-packed", cells=24)
    away = places - places.mean(axis=0)
    radius, towards = np.hypot(*away.T), np.arctan2(away[:, 1], away[:, 0])
    round_, bitten = radius < 7 * A, (np.abs(towards) < 0.9) & (radius > 2 * A)
    assert len(found(places[round_], vectors).radii) == 0
    assert len(found(places[round_ & ~bitten], vectors).radii) == 0


def test_the_core_between_two_grains_is_a_gap_by_the_lattice_of_either() -> None:
    left, vectors = crystal("square", cells=20)
    right, turned = crystal("square", cells=40, turn=0.6)
    right = right - right.mean(axis=0) + [190.0, 300.0]
    left, right = left[left[:, 1] < 195.0], right[(right[:, 1] > 205.0) & (right[:, 1] < 400.0)]
    right = right[(right[:, 0] > -5.0) & (right[:, 0] < 385.0)]
    grain = np.repeat([0, 1], [len(left), len(right)])
    gaps = find_gaps(np.concatenate([left, right]), grain, np.concatenate([vectors, turned]))
    assert len(gaps.radii) > 0
    assert (np.abs(gaps.centres[:, 1] - 200.0) < A).all()


def test_columns_that_are_not_there_or_of_no_grain_are_borne() -> None:
    places, vectors = crystal("square")
    grain = np.zeros(len(places), np.int64)
    grain[70] = -1  # still fills its place
    assert len(find_gaps(places, grain, vectors).radii) == 0
    holed = places.copy()
    holed[77] = np.nan
    gaps = find_gaps(holed, grain, vectors)
    np.testing.assert_allclose(gaps.centres, places[[77]])
    for some, their in ((places[:2], vectors), (places[:12], vectors), (places, np.full((1, 2, 2), np.nan))):
        assert len(find_gaps(some, np.zeros(len(some), np.int64), their).radii) == 0
    assert len(find_gaps(places, np.full(len(places), -1), vectors).radii) == 0
