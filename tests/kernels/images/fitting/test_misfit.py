"""What a fit leaves over beside columns says how far they may be off, where noise says less."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

from stemdask import simulate
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.misfit import as_moves
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance

WIDTH, DISTANCE, SIZE = 2.6, 11.0, 200


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Columns of two heights, a chessboard."""
    row, column = np.mgrid[2:16, 2:16]
    places = np.stack([row, column], -1).reshape(-1, 2) * DISTANCE
    return places.astype(float), ((row + column) % 2).ravel()


def _image(places: np.ndarray, heights: np.ndarray, width: float = WIDTH) -> np.ndarray:
    y, x = np.indices((SIZE, SIZE))
    return sum(
        h * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * width**2)) for (a, b), h in zip(places, heights, strict=True)
    )


def _found(left_over: np.ndarray, variance: float = 1.0) -> np.ndarray:
    places, kind = _grid()
    heights = np.where(kind == 0, 100.0, 25.0)
    zero, weight = np.zeros((SIZE, SIZE), np.float32), np.full((SIZE, SIZE), 1 / variance, np.float32)
    return as_moves(left_over.astype(np.float32), zero, weight, places, heights, kind, WIDTH, DISTANCE)


@pytest.mark.parametrize("correlated", [0.0, 1.0])
def test_noise_alone_is_hardly_ever_more_than_chance(correlated: float) -> None:
    found = [
        _found(gaussian_filter(np.random.default_rng(seed).normal(0, 3, (SIZE, SIZE)), correlated), 9.0)
        for seed in range(10)
    ]
    assert np.mean(np.concatenate(found) > 1) < 0.002


def test_what_a_wrong_shape_leaves_at_every_column_is_not_taken_for_a_move_of_the_high_ones() -> None:
    places, kind = _grid()
    heights = np.where(kind == 0, 100.0, 25.0)
    left_over = _image(places, heights) - _image(places, 0.95 * heights, 1.05 * WIDTH)
    noise = np.random.default_rng(0).normal(0, 0.1, (SIZE, SIZE))
    inner = ((places > 3 * DISTANCE) & (places < 14 * DISTANCE)).all(axis=1)
    assert (_found(left_over + noise, 0.01)[inner] == 1).all()


def test_a_spot_is_seen_by_the_columns_around_it_alone() -> None:
    places, _ = _grid()
    at = np.array([93.0, 99.0])
    left_over = _image(at[None], np.array([8.0])) + np.random.default_rng(1).normal(0, 1, (SIZE, SIZE))
    found, away = _found(left_over), np.hypot(*(places - at).T) / DISTANCE
    assert (found[away < 1] > 3).all()
    assert (found[away > 4] == 1).all()


def test_errors_beside_contamination_hold_what_it_moves() -> None:
    """It displaces columns by many times what noise does; far from it, errors are those of noise."""
    spacing, centre = 4.2 * WIDTH * np.sqrt(2.0), np.array([80.0, 110.0])
    counts, away, off, stated, of_noise = 1000.0 * 2 * np.pi * WIDTH**2, [], [], [], []
    for seed in range(4):
        image, truth = simulate.perovskite(
            (SIZE, SIZE), spacing, rotation=7.0 + 3 * seed, sigma_a=WIDTH, sigma_b=WIDTH,
            electrons_a=counts, electrons_b=0.4 * counts, background=20.0, margin=25.0, seed=seed,
        )  # fmt: skip
        y, x = np.indices(image.shape)
        from_it = np.hypot(y - centre[0], x - centre[1]) / spacing
        spot = np.random.default_rng(seed).poisson(300.0 * np.exp(-0.5 * (from_it / 0.5) ** 2))
        clean, fit = (
            fit_joint(pixels.astype(np.float32), truth.positions, truth.sublattice, WIDTH)
            for pixels in (image, image + spot)
        )
        good = fit.good & clean.good
        away.append(np.hypot(*(truth.positions - centre).T)[good] / spacing)
        off.append((fit.positions - truth.positions)[good])
        stated.append(fit.errors[good])
        of_noise.append(clean.errors[good])

    def times(errors: list[np.ndarray]) -> float:
        return float(np.sqrt(np.mean((np.concatenate(off)[near] / np.concatenate(errors)[near]) ** 2)))

    near, far = np.concatenate(away) < 1, np.concatenate(away) > 3
    assert times(of_noise) > 5
    assert times(stated) < 0.5 * times(of_noise)
    larger = (np.concatenate(stated) / np.concatenate(of_noise))[far]
    assert np.mean(np.abs(larger - 1.0) < 0.1) > 0.98


def test_errors_of_sums_grow_with_those_of_their_columns() -> None:
    random = np.random.default_rng(3)
    root = random.normal(size=(6, 6))
    whole = root @ root.T
    pairs = np.array([(0, 1), (0, 2), (1, 2)])
    blocks = whole.reshape(3, 2, 3, 2).transpose(0, 2, 1, 3)
    known = PositionCovariance(blocks[[0, 1, 2], [0, 1, 2]], pairs, blocks[pairs[:, 0], pairs[:, 1]])
    factors, weights = np.array([1.0, 2.0, 0.5]), random.normal(size=(4, 3))
    np.testing.assert_allclose(
        known.times(factors).of_sums(csr_array(weights)), known.of_sums(csr_array(weights * factors)), rtol=1e-12
    )
