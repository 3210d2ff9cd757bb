import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.registration import phase_cross_correlation

from stemdask.kernels.images.stacks.shift import find_shift, is_blank, lattice_period
from stemdask.simulate import perovskite

CRYSTAL = {"shape": (128, 144), "spacing": 14.0, "rotation": 7.0, "electrons_a": 300.0, "electrons_b": 75.0}
REFERENCE, _ = perovskite(**CRYSTAL, noise=None, background=0.2)


def frame(shift, noise_seed=None, **changes):
    noise = "poisson" if noise_seed is not None else None
    return perovskite(**(CRYSTAL | changes), background=0.2, shift=shift, noise=noise, noise_seed=noise_seed)[0]


@settings(max_examples=25, deadline=None)
@given(dy=st.integers(-20, 20), dx=st.integers(-20, 20), seed=st.integers(0, 99))
def test_a_whole_shift_of_anything_is_recovered_exactly(dy, dx, seed):
    scene = np.random.default_rng(seed).normal(size=(200, 200)).cumsum(0).cumsum(1).astype(np.float32)
    reference = scene[40:140, 40:140]
    image = scene[40 - dy : 140 - dy, 40 - dx : 140 - dx]
    found = find_shift(reference, image, (dy, dx))
    assert (found.y, found.x) == pytest.approx((dy, dx), abs=1e-3)
    assert found.quality > 0.99


@pytest.mark.parametrize("shift", [(0.31, -0.42), (3.5, 2.25), (-6.1, 5.9)])
def test_a_fraction_of_a_pixel_is_found_without_noise(shift):
    found = find_shift(REFERENCE, frame(shift))
    assert (found.y, found.x) == pytest.approx(shift, abs=0.01)


def test_it_agrees_with_phase_correlation_where_the_shift_is_small():
    image = frame((1.3, -0.7))
    peer = phase_cross_correlation(image, REFERENCE, upsample_factor=50, normalization=None)[0]
    found = find_shift(REFERENCE, image)
    assert (found.y, found.x) == pytest.approx(tuple(peer), abs=0.05)


def test_standard_errors_cover_the_scatter_of_counted_electrons():
    rng = np.random.default_rng(1)
    pulls = []
    for k in range(60):
        shift = rng.uniform(-2, 2, 2)
        found = find_shift(REFERENCE, frame(shift, noise_seed=k))
        pulls += [(found.y - shift[0]) / found.y_err, (found.x - shift[1]) / found.x_err]
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.2)  # 2 sigma of 120 values: 0.13


@pytest.mark.parametrize("cells", [(0, 0), (1, 0), (-2, 3)])
def test_the_guess_chooses_the_branch_of_a_perfect_crystal(cells):
    angle = np.deg2rad(7)
    basis = 14 * np.array([[-np.sin(angle), np.cos(angle)], [np.cos(angle), np.sin(angle)]])
    drift = np.array(cells) @ basis
    image = frame((0.0, 0.0), noise_seed=3)
    found = find_shift(REFERENCE, image, (drift[0] + 2.0, drift[1] - 3.0))
    assert (found.y, found.x) == pytest.approx(tuple(drift), abs=0.15)


def test_what_is_not_periodic_overrules_a_wrong_guess():
    changes = {"missing": 0.3, "seed": 5, "margin": 40.0}
    reference = frame((0, 0), noise_seed=1, **changes)
    image = frame((17.0, -4.0), noise_seed=2, **changes)
    found = find_shift(reference, image, (0.0, 0.0))
    assert (found.y, found.x) == pytest.approx((17.0, -4.0), abs=0.2)


def test_hot_pixels_that_stand_still_do_not_hold_the_image_back():
    image, reference = frame((3.4, 2.2), noise_seed=1), frame((0, 0), noise_seed=2)
    at = np.random.default_rng(0).integers(0, 128, (2, 8))
    for one in (image, reference):
        one[at[0], at[1]] = 1e4
    found = find_shift(reference, image)
    assert (found.y, found.x) == pytest.approx((3.4, 2.2), abs=0.15)


def test_missing_pixels_are_left_out():
    image = frame((2.4, -1.2), noise_seed=1)
    image[30:40, :] = np.nan
    image[:, :9] = np.nan
    found = find_shift(REFERENCE, image)
    assert (found.y, found.x) == pytest.approx((2.4, -1.2), abs=0.1)


@pytest.mark.parametrize(
    "image", [np.full((128, 144), np.nan, np.float32), np.zeros((128, 144), np.float32), np.ones((128, 144))]
)
def test_a_blank_image_has_no_shift_and_no_warning(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(find_shift(REFERENCE, image)).all()
        assert np.isnan(find_shift(image, REFERENCE)).all()
    assert is_blank(image)


def test_images_without_common_area_have_no_shift():
    assert np.isnan(find_shift(REFERENCE, REFERENCE, (120.0, 0.0))).all()


def test_an_unrelated_image_has_a_low_quality():
    other = np.random.default_rng(0).poisson(3.0, REFERENCE.shape).astype(np.float32)
    assert find_shift(REFERENCE, frame((0, 0), noise_seed=1)).quality > 0.6
    assert find_shift(REFERENCE, other).quality < 0.2


@pytest.mark.parametrize("spacing", [8.0, 14.0, 23.0])
def test_the_period_of_a_lattice_is_its_shortest_vector(spacing):
    image, _ = perovskite((160, 160), spacing, sigma_a=spacing / 6, sigma_b=spacing / 6, electrons_a=400, rotation=20)
    assert lattice_period(image) == pytest.approx(spacing, abs=0.75)


def test_noise_has_no_period():
    assert np.isnan(lattice_period(np.random.default_rng(0).normal(size=(128, 128))))
