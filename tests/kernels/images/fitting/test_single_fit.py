"""Columns that stand alone, fitted one by one, reach the bound."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.fitting.centre_of_mass import centre_of_mass
from stemdask.kernels.images.fitting.column_fit import AT_BORDER, NO_SIGNAL, OK
from stemdask.kernels.images.fitting.cramer_rao import isolated_bound
from stemdask.kernels.images.fitting.single_fit import fit_single
from stemdask.simulate import MotifColumn, lattice_image

BACKGROUND = {100.0: 0.02, 1e3: 0.5, 1e5: 10.0}


def isolated(electrons: float, sigma: object = 3.0, seed: int = 0, **noise: object) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image, truth = lattice_image(
        (1000, 1000),
        [[0.0, 26.0], [26.0, 0.0]],
        (MotifColumn((0.0, 0.0), electrons, sigma, 0),),
        background=BACKGROUND.get(electrons, 2.0),
        displacement=lambda p: rng.uniform(-0.5, 0.5, p.shape),
        displaced=0,
        seed=seed,
        **noise,
    )
    inner = np.all((truth.positions > 14) & (truth.positions < 985), axis=1)
    return image, truth.positions[inner]


@pytest.mark.parametrize("electrons", [100.0, 1e3, 1e5])
def test_isolated_columns_reach_the_bound_and_know_their_error(electrons: float) -> None:
    image, positions = isolated(electrons)
    start = positions + np.random.default_rng(1).uniform(-0.5, 0.5, positions.shape)
    fit = fit_single(image, start, 2.7, 12, noise="poisson", shape="round")
    good = fit.flag == OK
    assert good.mean() > 0.99
    error = (fit.positions - positions)[good]
    bound = isolated_bound(electrons, 3.0, BACKGROUND[electrons], radius=12)
    # 2,700 coordinates: their RMS scatters by 1.4 %
    assert np.sqrt(np.mean(error**2)) / bound == pytest.approx(1.0, abs=0.045)
    assert np.std(error / fit.errors[good]) == pytest.approx(1.0, abs=0.05)


def test_widths_and_direction_of_an_ellipse_are_found() -> None:
    image, positions = isolated(2e4, (3.2, 2.4, 0.5))
    fit = fit_single(image, positions, 2.7, 12)
    assert np.median(fit.sigma_major) == pytest.approx(3.2, abs=0.01)
    assert np.median(fit.sigma_minor) == pytest.approx(2.4, abs=0.01)
    assert np.median(fit.rotation) == pytest.approx(0.5, abs=0.01)
    assert np.median(fit.amplitude) == pytest.approx(2e4 / (2 * np.pi * 3.2 * 2.4), rel=0.01)


def test_a_factor_on_the_image_does_not_move_a_column() -> None:
    image, positions = isolated(1e3)
    fit, scaled = (fit_single(image * factor, positions, 3.0, 12) for factor in (np.float32(1), np.float32(1024)))
    np.testing.assert_allclose(scaled.positions, fit.positions, atol=1e-4)
    np.testing.assert_allclose(scaled.errors, fit.errors, rtol=1e-3)


@pytest.mark.parametrize("value", [np.nan, 0.0, 7.0, -3.0])
def test_an_image_without_columns_gives_flags_and_no_warning(value: float) -> None:
    fit = fit_single(np.full((40, 40), value, np.float32), [[20.0, 20.0], [np.nan, 1.0], [500.0, 2.0]], 3.0, 9)
    assert fit.flag[1] == fit.flag[2] == NO_SIGNAL
    assert len(fit_single(np.full((40, 40), value), np.empty((0, 2)), 3.0, 9)) == 0


def test_a_column_at_the_border_says_so() -> None:
    image, positions = isolated(1e5)
    row = positions[np.abs(positions[:, 0] - positions[0, 0]) < 1.0]
    fit = fit_single(image[: int(positions[0, 0]) + 2], row, 3.0, 12)
    assert (fit.flag == AT_BORDER).all()


def test_the_centre_of_mass_of_a_column_alone_is_its_centre() -> None:
    image, positions = isolated(1e5, noise=None)
    found = centre_of_mass(image, positions + 0.4, 9.0, iterations=6)
    np.testing.assert_allclose(found, positions, atol=0.02)
