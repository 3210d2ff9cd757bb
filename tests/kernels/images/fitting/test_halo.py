"""The halo that all columns have: what it adds to an image, and how a fit keeps it out of displacements."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.images.fitting.column_fit import ColumnFit
from stemdask.kernels.images.fitting.column_model import ColumnModel, KnownShape
from stemdask.kernels.images.fitting.gaussian import render
from stemdask.kernels.images.fitting.halo import WIDER, redistributed
from stemdask.kernels.images.fitting.joint_fit import fit_joint

WIDTH, SIZE, MARGIN = 2.6, 220, 30.0
SHIFT = np.array([0.3, 0.6])
ROUND = np.zeros(3)


def drawn(places: Floats, heights: Floats, halo: float, size: int = SIZE, wider: float = WIDER) -> Image:
    """Draw round columns of which a part of the counts is in a wide Gaussian."""
    image = np.zeros((size, size), np.float32)
    for factor, part in ((1.0, 1.0 - halo), (wider, halo)):
        q = 1.0 / (factor * WIDTH) ** 2
        render(image, places, part * heights / factor**2, np.tile([q, 0.0, q], (len(places), 1)))
    return image


def crystal(apart: float, size: int = SIZE, margin: float = MARGIN) -> tuple[Floats, Floats, Floats]:
    """Return places (n, 2) and heights (n,) of A and B, and the displacements of B, opposite in the two halves."""
    spacing = apart * WIDTH * np.sqrt(2.0)
    turn = spacing * np.array([[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]])
    steps = np.stack(np.meshgrid(*[np.arange(-60, 61)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    a, b = steps @ turn + size / 2, (steps + 0.5) @ turn + size / 2
    near = [((p > -margin) & (p < size + margin)).all(axis=1) for p in (a, b)]
    a, b = a[near[0]], b[near[1]]
    moved = SHIFT * np.where(b[:, 1] < size / 2, -1.0, 1.0)[:, None]
    return np.concatenate([a, b + moved]), np.repeat([1.0, 0.4], [len(a), len(b)]), moved


def image_of(
    apart: float, halo: float, seed: int, counts: float = 2000.0, **how: float
) -> tuple[Image, Floats, Floats]:
    """Return a noisy image, the places of its columns, and the displacements of B."""
    places, heights, moved = crystal(apart)
    expected = counts * (drawn(places, heights, halo, **how) + 0.02)  # type: ignore[arg-type]
    return np.random.default_rng(seed).poisson(expected).astype(np.float32), places, moved


def fitted(image: Image, places: Floats, moved: Floats, model: ColumnModel | None = None) -> ColumnFit:
    """Fit an image from where the columns would be without displacement; those beyond the border are held."""
    start = places.copy()
    start[-len(moved) :] -= moved
    beyond = ((places < -0.5) | (places > SIZE - 0.5)).any(axis=1)
    sublattice = np.repeat([0, 1], [len(places) - len(moved), len(moved)])
    return fit_joint(image, start, sublattice, WIDTH, model=model or ColumnModel(), held=beyond)


def slope(fit: ColumnFit, places: Floats, moved: Floats) -> float:
    """Return the slope of found against true displacements of B away from the border."""
    start, true = places[-len(moved) :] - moved, moved
    found = fit.positions[-len(moved) :] - start
    inside = ((start > 25.0) & (start < SIZE - 25.0)).all(axis=1)
    return float(np.vdot(found[inside], true[inside]) / np.vdot(true[inside], true[inside]))


def test_the_counts_of_a_gaussian_are_spread_into_a_wider_one() -> None:
    places, heights, q = np.array([[60.3, 58.6]]), np.array([2.0]), 1.0 / WIDTH**2
    spread = redistributed((121, 121), places, heights, np.array([[q, 0.0, q]]), ROUND)
    expected = drawn(places, heights, 1.0, 121) - drawn(places, heights, 0.0, 121)
    np.testing.assert_allclose(spread, expected, atol=0.004 * heights[0])
    assert abs(spread.sum()) < 0.01 * 2.0 * np.pi * WIDTH**2 * heights[0]


@pytest.mark.parametrize("apart", [3.3, 4.7])
def test_beyond_the_columns_that_are_known_their_mean_goes_on(apart: float) -> None:
    q = 1.0 / WIDTH**2

    def spread(margin: float) -> Image:
        places, heights, _ = crystal(apart, margin=margin)
        return redistributed((SIZE, SIZE), places, heights, np.tile([q, 0.0, q], (len(places), 1)), ROUND)

    whole, known = spread(120.0), spread(1.5 * apart * WIDTH)
    assert np.abs(known - whole)[20:-20, 20:-20].max() < 1e-3 * np.abs(whole).max()
    assert np.abs(known - whole).max() < 0.05 * np.abs(whole).max()


def test_columns_that_nothing_is_known_of_add_nothing() -> None:
    unknown = np.full((2, 2), np.nan)
    assert not redistributed((9, 9), unknown, np.ones(2), np.ones((2, 3)), ROUND).any()
    assert not redistributed((9, 9), np.empty((0, 2)), np.empty(0), np.empty((0, 3)), ROUND).any()


@pytest.mark.long
@pytest.mark.parametrize("apart", [4.2, 4.7])
def test_a_halo_is_found_and_makes_no_displacement(apart: float) -> None:
    parts, slopes, without = [], [], []
    for seed in range(3):
        image, places, moved = image_of(apart, 0.15, seed)
        fit = fitted(image, places, moved)
        parts.append(fit.halo)
        slopes.append(slope(fit, places, moved))
        without.append(slope(fitted(image, places, moved, ColumnModel("gaussian")), places, moved))
    assert np.mean(parts) == pytest.approx(0.15, abs=0.05)
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.01)
    assert np.mean(without) > 1.014


@pytest.mark.long
@pytest.mark.parametrize("apart", [3.3, 4.2])
def test_gaussians_have_no_halo(apart: float) -> None:
    parts = [fitted(*image_of(apart, 0.0, seed)).halo for seed in range(8)]
    assert np.count_nonzero(parts) <= 2  # more than 1.5 standard errors above 0: one in 15
    assert max(parts) < 0.12


@pytest.mark.long
def test_errors_are_those_of_the_core() -> None:
    pulls = []
    for seed in range(6):
        image, places, moved = image_of(4.7, 0.25, seed)
        fit = fitted(image, places, moved)
        assert fit.halo > 0.15
        inside = ((places > 12.0) & (places < SIZE - 12.0)).all(axis=1)
        pulls.append(((fit.positions - places) / fit.errors)[inside])
    assert np.std(np.concatenate(pulls)) == pytest.approx(1.0, abs=0.06)


@pytest.mark.long
def test_the_model_of_a_fit_has_its_halo() -> None:
    image, places, moved = image_of(4.7, 0.2, 1)
    fit = fitted(image, places, moved)
    assert fit.halo > 0.1
    model = fit.model((SIZE, SIZE))
    away = (slice(15, -15), slice(15, -15))
    assert np.mean((image - model)[away] ** 2 / model[away]) == pytest.approx(1.0, abs=0.03)


@pytest.mark.long
def test_tails_that_hold_most_of_the_counts_are_no_halo() -> None:
    assert fitted(*image_of(4.7, 0.6, 1)).halo == 0.0


def test_a_fit_that_is_continued_keeps_its_halo() -> None:
    image, places, moved = image_of(4.7, 0.2, 1)
    before = fitted(image, places, moved)
    again = fit_joint(
        image,
        before.positions,
        before.sublattice,
        WIDTH,
        start=before,
        held=((places < -0.5) | (places > SIZE - 0.5)).any(axis=1),
    )
    assert again.halo == before.halo > 0.1
    assert KnownShape.of(again) == KnownShape.of(before)
    assert again.iterations <= 8


@pytest.mark.parametrize("halo", [0.0, 0.15])
def test_a_spot_of_dirt_is_taken_for_no_halo(halo: float) -> None:
    image, places, moved = image_of(4.2, halo, 0)
    y, x = np.indices(image.shape)
    near = places[np.argmin(np.hypot(*(places - [0.4 * SIZE, 0.55 * SIZE]).T))]
    distance2 = (y - near[0] - 4.0) ** 2 + (x - near[1] + 3.0) ** 2
    spot = np.random.default_rng(1).poisson(600.0 * np.exp(-0.5 * distance2 / 4.6**2))
    fit = fitted((image + spot).astype(np.float32), places, moved)
    assert fit.halo == pytest.approx(halo, abs=0.05)
    assert slope(fit, places, moved) == pytest.approx(1.0, abs=0.015)


def test_a_fit_from_the_frame_before_looks_for_the_halo_that_this_had() -> None:
    image, places, moved = image_of(4.2, 0.15, 0)
    first = fitted(image, places, moved)
    beyond = ((places < -0.5) | (places > SIZE - 0.5)).any(axis=1)
    sublattice = np.repeat([0, 1], [len(places) - len(moved), len(moved)])
    for shape in ("auto", "empirical"):
        again = fit_joint(image, places, sublattice, WIDTH, model=ColumnModel(shape=shape), start=first, held=beyond)
        assert again.halo == pytest.approx(first.halo, abs=0.05)
