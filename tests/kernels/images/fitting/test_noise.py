"""The noise of simulated images is found as it was put in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stemdask.kernels.images.fitting.noise import estimate_noise, noise_where_bright
from stemdask.simulate import perovskite


@pytest.mark.parametrize("gain", [1.0, 37.0])
def test_the_gain_of_counts_is_found(gain: float) -> None:
    image, truth = perovskite((400, 400), electrons_a=20000.0, seed=1)
    noise = estimate_noise(image * np.float32(gain), (truth.expected * gain).astype(np.float32), sigma=2.5)
    assert noise.gain == pytest.approx(gain, rel=0.03)
    assert abs(noise.readout) < 0.3 * gain * truth.expected.min() * gain
    assert noise.correlation == 1.0


def test_noise_that_does_not_depend_on_the_brightness_is_told_from_counts() -> None:
    image, truth = perovskite((400, 400), noise="gaussian", readout=6.0, seed=1)
    noise = estimate_noise(image, truth.expected.astype(np.float32), sigma=2.5)
    assert noise.gain == 0.0
    assert noise.readout == pytest.approx(36.0, rel=0.03)


def test_readout_noise_on_counts_is_found_beside_the_gain() -> None:
    image, truth = perovskite((512, 512), electrons_a=20000.0, electrons_b=8000.0, readout=8.0, seed=1)
    noise = estimate_noise(image, truth.expected.astype(np.float32), sigma=2.5)
    assert noise.gain == pytest.approx(1.0, rel=0.05)
    assert noise.readout == pytest.approx(64.0, rel=0.2)


@pytest.mark.parametrize("blur", [0.6, 1.2])
def test_a_filtered_image_keeps_its_noise_at_the_frequencies_of_the_columns(blur: float) -> None:
    _, truth = perovskite((512, 512), noise=None)
    noise = gaussian_filter(np.random.default_rng(0).normal(0.0, 6.0, (512, 512)), blur)
    found = estimate_noise((truth.expected + noise).astype(np.float32), truth.expected.astype(np.float32), sigma=2.5)
    assert found.readout == pytest.approx(noise.var(), rel=0.15)
    at_columns = 36.0 * np.exp(-((2 * np.pi * blur * 1.5 / (2 * np.pi * 2.5)) ** 2))
    assert found.readout * found.correlation == pytest.approx(at_columns, rel=0.2)


@pytest.mark.parametrize("sigma", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("size", [64, 128, 200])
def test_chance_makes_white_noise_of_small_images_look_correlated_in_few_of_a_hundred(size: int, sigma: float) -> None:
    random, model = np.random.default_rng(2), np.zeros((size, size), np.float32)
    images = random.normal(0.0, 6.0, (100, size, size)).astype(np.float32)
    found = [estimate_noise(image, model, kind="gaussian", sigma=sigma) for image in images]
    assert sum(noise.correlation > 1.0 for noise in found) <= 6


@pytest.mark.parametrize("size", [128, 200])
def test_noise_of_small_images_that_a_filter_correlated_is_seen(size: int) -> None:
    random, model = np.random.default_rng(2), np.zeros((size, size), np.float32)
    images = (gaussian_filter(random.normal(0.0, 6.0, (size, size)), 0.7).astype(np.float32) for _ in range(40))
    found = [estimate_noise(image, model, kind="gaussian", sigma=3.0) for image in images]
    assert sum(noise.correlation > 1.0 for noise in found) >= 38
    at_columns = 36.0 * np.exp(-((1.5 * 0.7 / 3.0) ** 2))
    power = np.mean([noise.readout * noise.correlation for noise in found])
    assert power == pytest.approx(at_columns, rel=0.15)


@pytest.mark.parametrize("rotation", [0.0, 7.0])
def test_what_a_model_misses_in_each_of_few_cells_is_not_taken_for_correlated_noise(rotation: float) -> None:
    found = []
    for seed in range(12):
        cell: dict[str, Any] = {"shape": (200, 200), "spacing": 28.0, "rotation": rotation, "electrons_a": 20000.0}
        image, truth = perovskite(**cell, seed=seed)
        _, sharp = perovskite(**cell, sigma_a=2.0, sigma_b=2.0, noise=None)
        model = truth.expected + 0.2 * (sharp.expected - truth.expected)
        found.append(estimate_noise(image, model.astype(np.float32), sigma=2.5))
    assert np.mean([noise.correlation for noise in found]) < 1.06  # 1.3 from all frequencies alike
    assert sum(noise.correlation > 1.0 for noise in found) <= 2
    assert np.mean([noise.gain for noise in found]) == pytest.approx(1.0, abs=0.07)


@pytest.mark.parametrize(("part", "weighs"), [(0.2, True), (0.12, False)])
def test_counts_weigh_the_pixels_unless_they_are_hardly_a_part_of_the_noise_at_the_columns(
    part: float, weighs: bool
) -> None:
    image, truth = perovskite((400, 400), electrons_a=20000.0, seed=1)
    slow = gaussian_filter(np.random.default_rng(4).normal(size=image.shape), 1.0)
    slow *= np.sqrt(truth.expected.mean() * (1.0 / part - 1.0) / np.exp(-((1.5 / 2.5) ** 2)))
    noise = estimate_noise((image + slow).astype(np.float32), truth.expected.astype(np.float32), sigma=2.5)
    assert (noise.gain > 0.0) == weighs


def test_noise_grows_with_the_brightness_of_counts_and_falls_on_a_logarithmic_scale() -> None:
    image, truth = perovskite((256, 256), electrons_a=20000.0, background=20.0, seed=1)
    model = truth.expected.astype(np.float32)
    assert noise_where_bright(image, model) > 5.0
    assert noise_where_bright(np.log1p(image), np.log1p(model)) < 0.3
    assert noise_where_bright(image**0.25, model**0.25) < 0.3
    flat, truth = perovskite((256, 256), noise="gaussian", readout=6.0, seed=1)
    assert noise_where_bright(flat, truth.expected.astype(np.float32)) == pytest.approx(1.0, abs=0.1)


def test_where_there_is_no_noise_nothing_is_said_of_it() -> None:
    assert np.isnan(noise_where_bright(np.ones((64, 64), np.float32), np.ones((64, 64), np.float32)))
    assert np.isnan(noise_where_bright(np.full((64, 64), np.nan), np.ones((64, 64), np.float32)))
