from __future__ import annotations

import numpy as np
import pytest

from stemdask import simulate
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.trust import trust_in

WIDTH = 2.6
PLACES = np.stack(np.meshgrid(np.arange(5.0, 120, 10), np.arange(5.0, 120, 10)), axis=-1).reshape(-1, 2)


def trust(residual: np.ndarray, model: np.ndarray | None = None) -> np.ndarray:
    """Return the trust in pixels of variance 1."""
    model = np.ones_like(residual) if model is None else model
    return trust_in(model + residual, model, np.ones_like(model), PLACES, 10.0, 1.0)


def noise(factor: float = 1.0) -> np.ndarray:
    return (factor * np.random.default_rng(0).normal(size=(120, 120))).astype(np.float32)


@pytest.mark.parametrize("factor", [0.1, 1.0, 30.0])
def test_misfits_that_are_everywhere_alike_take_no_trust(factor: float) -> None:
    assert (trust(noise(factor)) == 1.0).all()


def test_misfits_that_go_with_the_height_of_the_columns_take_no_trust() -> None:
    height = np.linspace(1.0, 6.0, 120, dtype=np.float32) * np.ones((120, 1), np.float32)
    assert (trust(height * noise(), height) == 1.0).all()


def test_pixels_around_what_is_not_explained_are_doubted_and_no_others() -> None:
    residual = noise()
    y, x = np.indices(residual.shape)
    residual += 50.0 * np.exp(-0.5 * ((y - 60) ** 2 + (x - 30) ** 2) / 3.0**2).astype(np.float32)
    found = trust(residual)
    distance = np.hypot(y - 60, x - 30)
    assert found[distance < 5].max() < 0.01
    assert found[distance > 25].min() == 1.0
    assert found.min() > 0.0


def test_more_of_the_same_moves_a_fit_less() -> None:
    y, x = np.indices((120, 120))
    spot = np.exp(-0.5 * ((y - 60) ** 2 + (x - 60) ** 2) / 3.0**2).astype(np.float32)
    pulls = [float((trust(noise() + height * spot) * height * spot).sum()) for height in (20.0, 60.0)]
    assert pulls[1] < pulls[0]


def test_an_image_of_which_nothing_counts_is_not_doubted() -> None:
    nothing = np.zeros((120, 120), np.float32)
    assert (trust_in(nothing, nothing, nothing, PLACES, 10.0, 1.0) == 1.0).all()


def crowded(
    side: int, apart: float, rotation: float, seed: int, shift: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, simulate.Truth]:
    """Return a perovskite of columns `apart` widths apart, whose B are displaced by (u, v)."""
    return simulate.perovskite(
        (side, side),
        apart * WIDTH * 2**0.5,
        rotation=rotation,
        sigma_a=WIDTH,
        sigma_b=WIDTH,
        electrons_a=42_000.0,
        electrons_b=17_000.0,
        background=20.0,
        displacement=lambda place: np.tile(shift[::-1], (len(place), 1)),
        margin=25.0,
        seed=seed,
    )


def test_a_uniform_displacement_is_right_though_a_column_in_a_corner_is_not_known() -> None:
    """Columns 3.3 widths apart: width, background and heights almost replace one another."""
    image, truth = crowded(300, 3.3, 7.0, 1, (0.3, 0.6))
    inside = ((truth.positions > -0.5) & (truth.positions < 299.5)).all(axis=1)
    corner = np.flatnonzero(inside)[np.argmin((truth.positions[inside] - 0.0).sum(axis=1))]
    known = np.arange(len(truth.positions)) != corner
    fit = fit_joint(image, truth.positions[known], truth.sublattice[known], WIDTH)
    error = fit.positions - truth.positions[known]
    middle = ((truth.positions[known] > 20) & (truth.positions[known] < 280)).all(axis=1)
    of_a, of_b = (error[middle & (truth.sublattice[known] == s)] for s in (0, 1))
    apart = of_b.mean(axis=0) - of_a.mean(axis=0)
    chance = np.hypot(of_a.std(axis=0) / len(of_a) ** 0.5, of_b.std(axis=0) / len(of_b) ** 0.5)
    assert (np.abs(apart) < 4.0 * chance).all(), (apart, chance)
    assert not fit.shape_terms.any()


def test_columns_that_are_not_known_make_no_shape_of_those_that_are() -> None:
    """3 % of them, 3.5 widths from others: their rims, which are doubted least, asked for a flatter, narrower shape."""
    image, truth, random = *crowded(200, 3.5, 13.0, 2), np.random.default_rng(2)
    inside = np.flatnonzero(((truth.positions > 5) & (truth.positions < 195)).all(axis=1))
    of_b = inside[truth.sublattice[inside] == 1]
    known = np.ones(len(truth.positions), bool)
    known[random.choice(of_b, round(0.03 * len(inside)), replace=False)] = False
    fit = fit_joint(image.astype(np.float32), truth.positions[known], truth.sublattice[known], WIDTH)
    assert not fit.shape_terms.any()
    assert np.median(fit.sigma_major) == pytest.approx(WIDTH, rel=0.005)
