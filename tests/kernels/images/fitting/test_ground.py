"""Dirt on a crystal: whether the background is given what it needs, and what columns then become."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.fitting.column_model import ColumnModel
from stemdask.kernels.images.fitting.ground import unevenness
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.smooth import SmoothBasis
from stemdask.simulate import Truth, perovskite

SPACING, WIDTH, SHAPE = 15.0, 2.5, (240, 240)


def crystal(seed: int, thickness: Floats | float = 1.0) -> tuple[Floats, Truth]:
    """A perovskite whose B columns are displaced in waves."""

    def waves(place: Floats) -> Floats:
        return 0.5 * np.stack([np.sin(place[:, 1] / 14.0), np.cos(place[:, 0] / 11.0)], axis=1)

    electrons = 1000.0 * 2.0 * np.pi * WIDTH**2
    image, truth = perovskite(
        SHAPE,
        SPACING,
        rotation=7.0,
        sigma_a=WIDTH,
        sigma_b=WIDTH,
        electrons_a=electrons,
        electrons_b=0.4 * electrons,
        background=20.0,
        displacement=waves,
        seed=seed,
    )
    return image * thickness, truth


def dirt(seed: int) -> Floats:
    random, (y, x) = np.random.default_rng(seed), np.indices(SHAPE)
    spots = np.zeros(SHAPE)
    for _ in range(6):
        (top, left), wide = random.uniform(0, SHAPE[0], 2), random.uniform(1, 3) * SPACING
        spots += random.uniform(100, 500) * np.exp(-0.5 * ((y - top) ** 2 + (x - left) ** 2) / wide**2)
    return random.poisson(spots).astype(np.float64)


def spot(high: float = 300.0, wide: float = SPACING) -> Floats:
    y, x = np.indices(SHAPE)
    return np.asarray(high * np.exp(-0.5 * ((y - 100.0) ** 2 + (x - 130.0) ** 2) / wide**2))


@pytest.mark.parametrize("seed", range(3))
def test_dirt_is_seen_between_the_columns_and_a_wedge_is_not_taken_for_it(seed: int) -> None:
    wide = SmoothBasis.of(SHAPE, 12.0 * SPACING, 8)
    wedge = 0.5 + np.arange(SHAPE[1]) / SHAPE[1]
    clean, truth = crystal(seed)
    for image, uneven in ((clean, False), (clean * wedge, False), (clean + dirt(seed), True), (clean + spot(), True)):
        assert (unevenness(image.astype(np.float32), truth.positions, SPACING, wide) > 1.0) == uneven


@pytest.mark.parametrize("counts", [30.0, 100.0, 1000.0])
def test_a_small_dose_makes_no_image_uneven(counts: float) -> None:
    random, truth = np.random.default_rng(1), crystal(0)[1]
    wide = SmoothBasis.of(SHAPE, 12.0 * SPACING, 8)
    for _ in range(10):
        image = random.poisson(truth.expected * counts / 1000.0)
        assert unevenness(image.astype(np.float32), truth.positions, SPACING, wide) < 1.0


def test_an_image_of_hardly_a_cell_is_even() -> None:
    image = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    assert unevenness(image, np.array([[9.0, 9.0]]), 8.0, SmoothBasis(image.shape, (0, 0))) == 0.0


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("many", 0),
        pytest.param("many", 1, marks=pytest.mark.slow),
        pytest.param("many", 2, marks=pytest.mark.slow),
        ("many", 5),  # a level that alone would be taken for smooth: only what the fit doubts tells
        ("one", 0),
        pytest.param("one", 1, marks=pytest.mark.slow),
    ],
)
def test_displacements_under_dirt_are_those_of_the_crystal(kind: str, seed: int) -> None:
    """With a background that can't follow it their slope was 0.4 to 0.9, and B columns two or three times as wide."""
    image, truth = crystal(seed)
    on_it = dirt(seed) if kind == "many" else np.random.default_rng(seed).poisson(spot())
    fit = fit_joint((image + on_it).astype(np.float32), truth.positions, truth.sublattice, WIDTH)
    inside = ((truth.positions > SPACING) & (truth.positions < np.array(SHAPE) - SPACING)).all(axis=1)
    a, b = (np.flatnonzero((truth.sublattice == k) & fit.good) for k in (0, 1))
    b = b[inside[b]]
    around = a[cKDTree(truth.positions[a]).query(truth.positions[b] - truth.displacement[b][:, ::-1], 4)[1]]
    found = (fit.positions[b] - fit.positions[around].mean(axis=1))[:, ::-1]
    true = truth.displacement[b]
    slope = ((found - found.mean(axis=0)) * (true - true.mean(axis=0))).sum() / (true.var(axis=0) * len(true)).sum()
    assert slope == pytest.approx(1.0, abs=0.02)
    assert np.median(fit.sigma_major[b]) == pytest.approx(WIDTH, rel=0.05)


def test_columns_of_one_sublattice_do_not_become_dirt() -> None:
    """With one background for all there is nothing else that could: B grew to more than twice the width of A."""
    image, truth = crystal(0)
    model = ColumnModel(background="constant")
    fit = fit_joint((image + dirt(0)).astype(np.float32), truth.positions, truth.sublattice, WIDTH, model=model)
    a, b = (float(np.median(fit.sigma_major[truth.sublattice == k])) for k in (0, 1))
    assert 0.67 < b / a < 1.4


def test_a_constant_background_is_said_to_be_wrong_where_the_level_slopes_and_not_where_it_is_level() -> None:
    clean, truth = crystal(1)
    slope = np.indices(SHAPE)[1] * 0.5  # 120 of the columns' 1,000: 12 % from one side to the other
    model = ColumnModel(background="constant")
    for image, uneven in ((clean, False), (clean + slope, True)):
        fit = fit_joint(image, truth.positions, truth.sublattice, WIDTH, model=model)
        assert fit.uneven == uneven
