"""What lines that are shifted do to the columns of a crystal, as the fit of all of them takes it."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.crystal.row_response import MeanCell, RowResponse, row_response
from stemdask.kernels.images.fitting.column_model import ColumnModel
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.noise import Noise

WIDTH = 3.0


def isolated(gain: float, readout: float, across: int = 1) -> RowResponse:
    far = 1e3 * np.eye(2)
    cell = MeanCell(*far, np.zeros((1, 2)), np.ones(1), np.eye(2)[None] / WIDTH**2, 0.0, gain, readout)
    return row_response(cell, across)


def crowded() -> MeanCell:
    """Return a cell like rutile's: two bright columns, and four of a tenth of their height, 3.5 widths from them."""
    places = np.array([[0.0, 0.0], [23.0, 23.0], [14.0, 14.0], [32.0, 32.0], [9.0, 37.0], [37.0, 9.0]]) * WIDTH / 4.5
    heights = np.array([24e3, 23.5e3, 2.7e3, 2.7e3, 2.7e3, 2.7e3])
    precision = np.tile(np.eye(2) / WIDTH**2, (6, 1, 1))
    side = 46.0 * WIDTH / 4.5
    return MeanCell(np.array([side, 0.0]), np.array([0.0, side]), places, heights, precision, 450.0, 1.0, 0.0)


@pytest.mark.parametrize(("noise", "length"), [((0.0, 1.0), WIDTH), ((1.0, 0.0), np.sqrt(2.0) * WIDTH)])
def test_an_isolated_column_weighs_its_lines_by_a_gaussian(noise: tuple[float, float], length: float) -> None:
    """By exp(-y²/L²) along them and by y² times that across; L is the width, √2 of it where columns make the noise."""
    lags = WIDTH * np.arange(0.0, 4.0, 0.5)
    along, across = isolated(*noise).alike(0, lags)
    d2 = (lags / length) ** 2
    np.testing.assert_allclose(along, np.exp(-0.5 * d2), atol=0.01)
    np.testing.assert_allclose(across, np.exp(-0.5 * d2) * (1.0 + d2 * (d2 - 2.0) / 3.0), atol=0.02)


def test_lines_may_run_along_either_axis() -> None:
    one, other = isolated(0.0, 1.0, across=1), isolated(0.0, 1.0, across=0)
    np.testing.assert_allclose(one.alike(0, np.arange(9.0)), other.alike(0, np.arange(9.0))[::-1], atol=1e-9)


def test_shifts_that_all_lines_share_move_all_columns_alike() -> None:
    """The sum over all lags is what one shift of the whole image does: 1 along it for every column, nothing across."""
    moved = row_response(crowded(), 1).covariance.sum(axis=-1)
    for shift in (0, 1):
        along = moved[shift, :, shift, :, shift]
        np.testing.assert_allclose(along, along[0, 0], rtol=1e-3)
        np.testing.assert_allclose(moved[shift, :, 1 - shift, :, 1 - shift], 0.0, atol=1e-3 * along[0, 0])


def test_the_covariance_of_two_columns_is_that_of_the_second_and_the_first() -> None:
    covariance = row_response(crowded(), 1).covariance
    np.testing.assert_allclose(covariance, np.transpose(covariance, (0, 3, 4, 1, 2, 5))[..., ::-1], atol=1e-9)


@pytest.mark.parametrize("across", [1, 0])
def test_columns_move_as_the_fit_of_an_image_with_shifted_lines_moves_them(across: int) -> None:
    cell, rng = crowded(), np.random.default_rng(3)
    shape, jitter = (460, 460), 0.1
    side = cell.a[0]
    corners = np.stack(np.meshgrid(*2 * [np.arange(-1, 16)], indexing="ij"), axis=-1).reshape(-1, 2) * side
    places = (corners[:, None] + cell.places[:, ::-1] + 4.3).reshape(-1, 2)  # (y, x)
    kind = np.tile(np.arange(6), len(corners))
    near = ((places > -8) & (places < np.array(shape) + 8)).all(axis=1)
    places, kind = places[near], kind[near]
    shift = rng.normal(0.0, jitter, shape[0])
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    image = np.full(shape, cell.background)
    for (at_y, at_x), k in zip(places, kind, strict=True):
        part = tuple(slice(max(int(at - 17), 0), max(int(at + 18), 0)) for at in (at_y, at_x))
        away = (y[part] - at_y) ** 2 + (x[part] - shift[y[part].astype(int)] - at_x) ** 2
        image[part] += cell.heights[k] * np.exp(-0.5 * away / WIDTH**2)
    if across == 0:
        image, places, kind = image.T, places[:, ::-1], np.array([0, 1, 2, 3, 5, 4])[kind]
    fit = fit_joint(
        image.astype(np.float32), places, kind, WIDTH, noise=Noise(1.0, 0.0), model=ColumnModel(shape="gaussian")
    )
    inside = ((places > 20) & (places < 440)).all(axis=1)
    moved = (fit.positions - places)[:, ::-1]  # (u, v)
    along, response = 1 - across, row_response(cell, across)
    unit = np.mean(moved[inside & (kind == 0), along] ** 2)
    seen = np.array([np.mean(moved[inside & (kind == k)] ** 2, axis=0) for k in range(6)]) / unit
    told = np.array([response.strength(k)[along] for k in range(6)])
    seen, told = np.sqrt(seen), np.sqrt(told)
    # Faint columns move further across the lines than bright ones along them.
    assert told[2:, across].min() > 1.1
    np.testing.assert_allclose(seen[2:].mean(axis=0), told[2:].mean(axis=0), rtol=0.2)
    np.testing.assert_allclose(seen[:2].mean(axis=0), told[:2].mean(axis=0), rtol=0.2)
