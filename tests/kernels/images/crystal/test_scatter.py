"""Errors of displacements hold what the scan did to its rows, and what a fit doesn't know of itself."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.crystal.displacement import Displacements, displacements
from stemdask.kernels.images.crystal.line_noise import LineNoise
from stemdask.kernels.images.crystal.row_response import MeanCell, row_response
from stemdask.kernels.images.crystal.scatter import Scatter, with_scatter
from stemdask.kernels.images.crystal.shared_shifts import LAGS, Lines, SharedShifts, shared_shifts
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance

SPACING, WIDTH, NOISE, SIDE = 14.0, 2.5, 0.02, 40
CELL_I, CELL_J = np.tile(np.mgrid[:SIDE, :SIDE].reshape(2, -1).astype(np.int32), 2)
SUBLATTICE = np.repeat([0, 1], SIDE * SIDE).astype(np.int8)
#: Of columns that don't overlap, in even noise.
RESPONSE = row_response(
    MeanCell(*1e3 * np.eye(2), np.zeros((1, 2)), np.ones(1), np.eye(2)[None] / WIDTH**2, 0.0, 0.0, 1.0), across=1
)


def crystal(jitter: float, displacement: np.ndarray, seed: int, angle: float = 0.0, noise: float = NOISE) -> np.ndarray:
    """Return the positions (n, 2) of a perovskite whose B are displaced, (u, v) per cell or one for all; rows shift."""
    rng = np.random.default_rng(seed)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    place = (np.column_stack([CELL_J, CELL_I]) + 0.5 * SUBLATTICE[:, None]) * SPACING @ turn
    shift = rng.normal(0.0, 1.0, (int(np.ptp(place[:, 0])) + 60, 2))
    rows = np.arange(len(shift)) + place[:, 0].min() - 30.0
    away = (place[:, :1] - rows) / WIDTH
    middle = np.exp(-(away**2))  # what each row tells of the place along the line, and across it
    weights = away**2 * middle, middle
    felt = jitter * np.stack(
        [(weight @ shift[:, k]) / np.sqrt((weight**2).sum(axis=1)) for k, weight in enumerate(weights)], axis=1
    )
    moved = place + felt + rng.normal(0.0, noise, place.shape)
    moved[SUBLATTICE == 1] += displacement[..., ::-1]
    return moved


def scattered(positions: np.ndarray, jitter: np.ndarray, most: float = 1.0, side: int = SIDE) -> Scatter:
    of = np.flatnonzero(np.maximum(CELL_I, CELL_J) < side)
    positions, kinds, i, j = positions[of], SUBLATTICE[of], CELL_I[of], CELL_J[of]
    known = PositionCovariance.independent(np.full_like(positions, NOISE))
    found = displacements(positions, known, kinds, i, j)
    lines = LineNoise(positions[:, 0], np.zeros(len(positions), int), RESPONSE, jitter**2, WIDTH)
    return with_scatter(found, known, lines, i[found.column], j[found.column], most)


def read(positions: np.ndarray, side: int = SIDE) -> SharedShifts:
    """Return the shifts of rows along (u, v) that the A columns tell."""
    a = (SUBLATTICE == 0) & (np.maximum(CELL_I, CELL_J) < side)
    lines = Lines(0, WIDTH, SPACING, RESPONSE.alike(0, WIDTH * LAGS))
    return shared_shifts(positions[a], CELL_I[a], CELL_J[a], np.zeros(a.sum(), int), lines)


def pulls(found: Displacements) -> np.ndarray:
    return found.vector / found.error


def test_the_columns_tell_the_shift_of_rows() -> None:
    found = np.array([read(crystal(0.1, np.zeros(2), seed)).variance for seed in range(20)])
    assert np.sqrt(found.mean()) == pytest.approx(0.1, rel=0.1)


def test_without_shifts_the_columns_tell_none() -> None:
    found = np.array([read(crystal(0.0, np.zeros(2), seed)).variance for seed in range(20)])
    assert np.mean(found == 0.0) > 0.9
    assert np.sqrt(found.max()) < 0.5 * NOISE


@pytest.mark.parametrize("bend", [0.0005, 0.002])
def test_a_lattice_that_bends_is_no_scan_noise(bend: float) -> None:
    positions = crystal(0.0, np.zeros(2), 1)
    positions[:, 1] += 2.0 * np.sin(10.0 * bend * positions[:, 0])
    assert scattered(positions, np.sqrt(read(positions).variance)).jitter.max() < NOISE


@pytest.mark.long  # many images: in one of them rows are few, and so is what they tell of their scatter
@pytest.mark.parametrize("angle", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_errors_hold_the_shift_of_rows(angle: float) -> None:
    found = [
        scattered(positions, np.sqrt(read(positions).variance)).displacements
        for positions in (crystal(0.1, np.zeros(2), seed, angle) for seed in range(60))
    ]
    within = np.mean([np.abs(pulls(one)) < 1.0 for one in found], axis=(0, 1))
    np.testing.assert_allclose(within, 0.683, atol=0.06, err_msg="along and across the lines")
    assert np.mean([one.significant() for one in found]) < 0.08


def test_shifts_of_a_dozen_rows_that_happen_to_be_alike_are_still_in_the_errors() -> None:
    found = [scattered(crystal(0.1, np.zeros(2), seed), np.full(2, 0.1), side=12) for seed in range(60)]
    np.testing.assert_allclose([one.jitter for one in found], 0.1)
    assert np.mean([one.displacements.significant() for one in found]) < 0.06


def test_errors_stay_those_of_the_fit_where_nothing_is_shared() -> None:
    positions = crystal(0.0, np.array([0.3, -0.1]), 3)
    found = scattered(positions, np.zeros(2), most=4.0)
    np.testing.assert_array_equal(found.excess, 1.0)
    np.testing.assert_allclose(found.displacements.error, NOISE * np.sqrt(1.25))


def test_scatter_beyond_the_noise_raises_the_errors_as_far_as_the_misfit_says() -> None:
    positions = crystal(0.0, np.zeros(2), 3, noise=2.0 * NOISE)
    np.testing.assert_allclose(scattered(positions, np.zeros(2), most=9.0).excess, 2.0, rtol=0.1)
    np.testing.assert_allclose(scattered(positions, np.zeros(2), most=2.0).excess, np.sqrt(2.0))
    np.testing.assert_array_equal(scattered(positions, np.zeros(2), most=0.9).excess, 1.0)


def test_cells_that_alternate_are_displaced_and_do_not_scatter() -> None:
    """As in an antiferroelectric, along j or along i."""
    for index in (CELL_I, CELL_J):
        alternating = 0.3 * np.stack([(-1.0) ** index[SUBLATTICE == 1], np.zeros(SIDE * SIDE)], axis=1)
        found = scattered(crystal(0.0, alternating, 5), np.zeros(2), most=25.0)
        assert found.excess.max() < 1.2
        assert found.displacements.significant().mean() > 0.99


def test_strain_from_row_to_row_that_the_cells_follow_is_no_error() -> None:
    """All columns of a row move alike and with the next: no displacement comes of it, whatever A seem to share."""
    found = scattered(crystal(0.0, np.zeros(2), 7), np.array([0.2, 0.2]))
    assert found.jitter.max() < NOISE
    np.testing.assert_allclose(found.displacements.error, NOISE * np.sqrt(1.25), rtol=0.3)


def test_the_displacements_of_one_cell_keep_the_errors_of_the_fit() -> None:
    corner = np.array([[0.0, 0.0], [0.0, SPACING], [SPACING, 0.0], [SPACING, SPACING], [7.0, 7.0]])
    known = PositionCovariance.independent(np.full((5, 2), NOISE))
    i, j = np.array([0, 1, 0, 1, 0], np.int32), np.array([0, 0, 1, 1, 0], np.int32)
    found = displacements(corner, known, np.array([0, 0, 0, 0, 1], np.int8), i, j)
    lines = LineNoise(corner[:, 0], np.zeros(5, int), RESPONSE, np.zeros(2), WIDTH)
    one = with_scatter(found, known, lines, i[found.column], j[found.column], 2.0)
    np.testing.assert_array_equal(one.displacements.covariance, found.covariance)
