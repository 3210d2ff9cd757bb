from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.denoising.finding_slope import Slope, finding_slope, in_words
from stemdask.kernels.images.denoising.image_denoising import filter_image, fit_stack, noise_level, project_image

FILTERS = ("gaussian", "butterworth", "nl_means", "tv", "wavelet")


def lattice(noise=0.4, size=80, period=10.0, seed=0):
    row, column = np.indices((size, size)) * 2 * np.pi / period
    truth = np.exp(2 * (np.cos(row) + np.cos(column) - 2))
    return truth, truth + noise * np.random.default_rng(seed).normal(size=truth.shape)


def test_the_noise_of_an_image_is_read_off_it():
    assert noise_level(np.random.default_rng(0).normal(0, 3, (200, 200))) == pytest.approx(3, rel=0.03)


@pytest.mark.parametrize("method", FILTERS)
def test_every_filter_brings_the_image_nearer_to_the_truth(method):
    truth, image = lattice()
    found = filter_image(image, method, 1.0, 10.0)
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.8 * 0.4


@pytest.mark.parametrize("method", FILTERS)
def test_missing_pixels_stay_missing_and_do_not_spread(method):
    _, image = lattice()
    image[10:13, 20:24] = np.nan
    found = filter_image(image, method, 1.0, 10.0)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(image))


@pytest.mark.parametrize("method", FILTERS)
def test_an_empty_or_flat_image_comes_back(method):
    for image in (np.full((12, 12), np.nan), np.ones((12, 12))):
        np.testing.assert_array_equal(filter_image(image, method, 1.0, 6.0), image)


def test_components_of_a_stack_exceed_its_noise():
    truth, _ = lattice(size=40)
    random = np.random.default_rng(1)
    pattern = np.sin(np.arange(40) / 5)[:, None] * np.ones(40)
    stack = truth + random.normal(size=(50, 1, 1)) * pattern + 0.4 * random.normal(size=(50, 40, 40))
    rows = stack.reshape(50, -1)
    model = fit_stack(lambda: [rows], rows.shape[1], "auto", 8)
    assert model.rank == 1
    noise = 0.4 * random.normal(size=rows.shape)
    assert fit_stack(lambda: [noise], rows.shape[1], "auto", 8).rank == 0
    found = project_image(model, stack[3])
    assert np.sqrt(np.mean((found - stack[3]) ** 2)) == pytest.approx(0.4, rel=0.1)


def test_nothing_done_to_the_images_is_a_slope_of_one():
    found = finding_slope(lambda images: images, 12.0, 1.0, 0.3)
    assert found.value == pytest.approx(1, abs=3 * found.error)
    assert found.error < 0.02


def test_the_mean_of_a_stack_keeps_one_part_in_its_number_of_frames():
    found = finding_slope(lambda images: np.broadcast_to(images.mean(axis=0), images.shape), 12.0, 1.0, 0.2)
    assert found.value == pytest.approx(1 / 12, abs=4 * found.error)


def test_pca_of_images_shrinks_independent_displacements():
    def denoise(images):
        rows = images.reshape(len(images), -1)
        model = fit_stack(lambda: [rows], rows.shape[1], 2, 2)
        return np.stack([project_image(model, image) for image in images])

    assert 0.1 < finding_slope(denoise, 12.0, 1.0, 0.5).value < 0.5


def test_a_gaussian_keeps_displacements():
    found = finding_slope(
        lambda images: np.stack([filter_image(i, "gaussian", 1.0, 12.0) for i in images]), 12.0, 1.0, 0.3
    )
    assert found.value == pytest.approx(1, abs=0.04)


def test_the_words_say_the_loss_of_20_pm():
    assert "20 pm would lose 16 pm" in in_words("pca", Slope(0.2, 0.01))
    assert "20 pm would gain 4 pm" in in_words("tv", Slope(1.2, 0.01))
    assert "no change" in in_words("gaussian", Slope(1.01, 0.02))
