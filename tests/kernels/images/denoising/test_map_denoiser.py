from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from sklearn.decomposition import IncrementalPCA

from stemdask.kernels.images.denoising import patch_pca
from stemdask.kernels.images.denoising.assessment import assess
from stemdask.kernels.images.denoising.cross_validation import error_of_mean, held_out_errors
from stemdask.kernels.images.denoising.decompositions import decompose
from stemdask.kernels.images.denoising.map_comparison import lost_steps, risk
from stemdask.kernels.images.denoising.map_denoiser import METHODS, choose_rank, fit_denoiser
from stemdask.kernels.images.denoising.map_layout import by_frames, by_lattice_rows
from stemdask.kernels.images.denoising.noise_propagation import error_scale

SHAPE = (14, 15)


def maps(frames=60, sigma=8.0, seed=0, rank=2):
    """Smooth patterns that come and go, with noise of known size."""
    random = np.random.default_rng(seed)
    row, column = np.indices(SHAPE)
    patterns = np.stack(
        [[np.sin(column / (2 + k)), np.cos(row / (3 + k))] for k in range(rank)] + [np.ones((2, *SHAPE))] * (rank == 0)
    )
    weights = 15 * random.normal(size=(frames, len(patterns))) * (rank > 0)
    truth = 5 + np.tensordot(weights, patterns, 1)
    return truth, truth + sigma * random.standard_normal(truth.shape), np.full(truth.shape, sigma)


def layout_of(values, kind="frames"):
    counts = np.isfinite(values[:, 0]).sum(axis=0)
    return by_frames(counts, len(values)) if kind == "frames" else by_lattice_rows(counts)


def fitted(method, values, noise, rank, kind="frames"):
    fields = values, noise
    return fit_denoiser(method, lambda: [fields], fields, layout_of(values, kind), rank)


@pytest.mark.parametrize("kind", ["frames", "rows"])
def test_rows_of_a_layout_come_back_as_fields(kind):
    _, values, _ = maps(5)
    layout = layout_of(values, kind)
    np.testing.assert_array_equal(layout.fields(layout.rows(values), SHAPE), values)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_held_out_cells_tell_the_number_of_components(rank):
    _, values, noise = maps(rank=rank)
    assert choose_rank((values, noise), layout_of(values), 8)[0] == rank


def test_held_out_errors_approach_the_noise():
    _, values, noise = maps(200, rank=2)
    layout = layout_of(values)
    errors = held_out_errors(layout.rows(values), layout.rows(noise), layout.folds(SHAPE), 4)
    assert errors[2] == pytest.approx(8.0, rel=0.03)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("none", "kernel_pca")])
def test_every_method_lowers_the_error(method):
    truth, values, noise = maps()
    found, _ = fitted(method, values, noise, None if method == "patch_pca" else 2).apply(values, noise)
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.5 * 8.0


@pytest.mark.parametrize(
    ("method", "within"),
    [("pca", 0.1), ("svd", 0.1), ("robust_pca", 0.1), ("ica", 0.1), ("nmf", 0.25), ("patch_pca", 0.15)],
)
def test_stated_errors_are_those_that_the_truth_shows(method, within):
    truth, values, noise = maps(120, rank=2)
    rank = 6 if method == "patch_pca" else 2
    found, errors = fitted(method, values, noise, rank).apply(values, noise)
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4)) if method == "patch_pca" else ...
    pull = ((found - truth) / errors)[inner]
    bias = ((fitted(method, truth, noise, rank).apply(truth, noise)[0] - truth) / errors)[inner]
    assert np.sqrt(np.mean(pull**2) - min(np.mean(bias**2), 0.9)) == pytest.approx(1, abs=within)


def test_incremental_pca_is_that_of_scikit_learn_on_the_same_batches():
    _, values, _ = maps(64)
    rows = layout_of(values).rows(values)
    found = decompose("incremental_pca", lambda: (rows[k : k + 32] for k in (0, 32)), rows, 8.0, 3)
    reference = IncrementalPCA(3)
    for batch in (rows[:24], rows[24:]):
        reference.partial_fit(batch)
    np.testing.assert_allclose(found.apply(rows), reference.inverse_transform(reference.transform(rows)), atol=1e-8)


def test_robust_pca_withstands_wrong_cells():
    truth, values, noise = maps(100)
    wrong = values.copy()
    wrong[np.random.default_rng(4).random(values.shape) < 0.03] += 150
    errors = {
        m: np.sqrt(np.mean((fitted(m, wrong, noise, 2).apply(values, noise)[0] - truth) ** 2))
        for m in ("pca", "robust_pca")
    }
    assert errors["robust_pca"] < 0.7 * errors["pca"]


def test_a_method_is_the_same_twice():
    _, values, noise = maps(20)
    for method in METHODS:
        first, second = (fitted(method, values, noise, 1).apply(values, noise) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_patches_leave_a_uniform_map_alone():
    uniform = np.full((1, 2, 9, 9), 7.0)
    model = patch_pca.fit(uniform, np.full(uniform.shape, 3.0))
    np.testing.assert_allclose(model.apply(uniform), 7.0, atol=1e-12)


def test_patches_fill_missing_cells_from_their_surroundings():
    truth, values, noise = maps(10)
    values[:, :, 5:7, 5:7] = np.nan
    found = patch_pca.fit(values, noise).apply(values)
    assert np.isfinite(found).all()
    assert np.sqrt(np.mean((found - truth)[:, :, 5:7, 5:7] ** 2)) < 8.0


@pytest.mark.parametrize("method", ["none", "pca", "svd", "nmf", "patch_pca"])
def test_the_estimated_error_is_the_real_one(method):
    truth, values, noise = maps(60, rank=2)

    def denoise(given):
        return fitted(method, given, noise, 5 if method == "patch_pca" else 2).apply(given, noise)[0]

    real = np.sqrt(np.mean((denoise(values) - truth) ** 2))
    assert np.sqrt(max(risk(denoise, values, noise), 0)) == pytest.approx(real, rel=0.15)


@pytest.mark.parametrize("seed", [0, 3])
def test_noise_is_probed_with_other_noise_than_that_of_data_drawn_with_the_same_seed(seed):
    _, _, noise = maps(60, rank=2)
    values = noise * np.random.default_rng(seed).standard_normal(noise.shape)
    given = []

    def denoise(maps):
        given.append(maps)
        return 0.0 * maps

    risk(denoise, values, noise, seed)
    added = [maps - values for maps in given[1:]]
    given.clear()
    assess(denoise, values, noise, seed=seed)
    added += given[1:]
    assert len(added) > 2
    assert max(abs(np.corrcoef(maps.ravel(), values.ravel())[0, 1]) for maps in added) < 0.1


def test_errors_of_patches_grow_towards_the_edge():
    random = np.random.default_rng(1)
    truth, values, noise = maps(40, rank=2)
    model = patch_pca.fit(values, noise, 5)
    kept = model.apply(truth)
    again = [model.apply(truth + 8.0 * random.standard_normal(truth.shape)) - kept for _ in range(6)]
    found = np.sqrt(np.mean(np.square(again), axis=(0, 1)))
    stated = model.errors(noise).mean(axis=0)
    assert stated[:, 0, 0].min() > 1.3 * stated[:, 7, 7].max()
    for place in ((slice(None), slice(0, 1)), (slice(None), slice(6, 8))):
        assert np.sqrt(np.mean(found[place] ** 2)) == pytest.approx(np.sqrt(np.mean(stated[place] ** 2)), rel=0.08)


def test_the_mean_that_patches_are_told_from_errs_by_the_noise_of_all_cells():
    random = np.random.default_rng(7)
    noise = np.full((2, 2, 10, 10), 5.0)
    means = [patch_pca.fit(noise * random.standard_normal(noise.shape), noise, 0).mean for _ in range(300)]
    stated = patch_pca.fit(noise * random.standard_normal(noise.shape), noise, 0).errors(noise)
    np.testing.assert_allclose(stated, np.std(means), rtol=0.1)


def test_the_scale_of_errors_holds_heavy_tails_but_no_wrong_cells_and_no_truth():
    random = np.random.default_rng(2)
    residuals = 1.2 * random.standard_t(8, (60, 2, 12, 12)) / np.sqrt(8 / 6)
    ones = np.ones_like(residuals)
    scale, doubt = error_scale(residuals, ones, ones)
    assert abs(scale**2 / 1.44 - 1) < 4 * doubt < 0.1
    residuals[:, :, :4] += 5.0  # a wall that the fit doesn't follow
    residuals[random.random(residuals.shape) < 0.003] += 1e4
    assert error_scale(residuals, ones, ones)[0] == pytest.approx(1.2, rel=0.12)


def averaging(given):
    return np.broadcast_to(given.mean(axis=0), given.shape)


def test_what_an_average_leaves_of_the_noise_is_assessed_whatever_the_errors_say():
    random = np.random.default_rng(3)
    truth = 15.0 * np.sign(np.arange(20) - 9.5) * np.ones((64, 2, 20, 1))
    values = truth + 10.0 * random.standard_normal(truth.shape)
    found = assess(averaging, values, np.full(truth.shape, 9.0), doubt=0.1)
    assert found.removed == 0
    np.testing.assert_allclose(found.passed, 9.0 / 8, rtol=0.1)


@pytest.mark.parametrize("stated", [9.0, 10.0, 11.0])
def test_truth_that_is_removed_is_found_where_it_was(stated):
    truth = np.zeros((64, 2, 20, 20))
    truth[:, 0, :, 10:] = 15.0

    def blurring(given):
        return uniform_filter(averaging(given), (0, 0, 5, 5), mode="nearest")

    removed, wall, off = [], [], []
    for seed in range(8):
        values = truth + 10.0 * np.random.default_rng(seed).standard_normal(truth.shape)
        found = assess(blurring, values, np.full(truth.shape, stated), doubt=0.1, seed=seed)
        removed.append(found.removed)
        wall.append(np.sqrt(np.mean(found.where[0, :, 9:11] ** 2)))
        off.append(np.sqrt(np.mean(found.where[0, :, :5] ** 2)))
    real = np.sqrt(np.mean((truth - blurring(truth)) ** 2))
    assert np.mean(removed) == pytest.approx(real, rel=0.05)
    assert removed == pytest.approx([real] * 8, rel=0.3)
    assert np.mean(wall) > 3.0
    assert np.mean(off) < 1.3
    assert min(np.divide(wall, off)) > 2.0


def test_truth_removed_from_one_map_is_what_is_beyond_its_errors():
    random = np.random.default_rng(5)
    truth = 20.0 * random.choice([-1.0, 1.0], (1, 2, 30, 30))
    values = truth + 5.0 * random.standard_normal(truth.shape)
    found = assess(np.zeros_like, values, np.full(truth.shape, 5.0))
    assert found.removed == pytest.approx(20.0, rel=0.05)
    assert np.isnan(assess(np.zeros_like, values, np.full(truth.shape, np.nan)).total)


def test_the_mean_of_a_map_predicts_its_cells_as_well_as_the_noise_lets_it():
    random = np.random.default_rng(6)
    values = np.array([7.0, -3.0])[:, None, None] + 2.0 * random.standard_normal((1, 2, 30, 30))
    values[0, :, 3, 3] = np.nan
    assert error_of_mean(values, np.full(values.shape, 2.0)) == pytest.approx(2.0, rel=0.05)
    assert np.isnan(error_of_mean(values[:, :, :1, :1], np.ones((1, 2, 1, 1))))


def test_nothing_is_lost_of_a_step_that_nothing_is_done_to():
    _, values, _ = maps(8)
    np.testing.assert_allclose(lost_steps(lambda given: given, values, 20.0), 0, atol=1e-9)
    np.testing.assert_allclose(lost_steps(np.zeros_like, values, 20.0), 20, atol=1e-9)
    np.testing.assert_allclose(lost_steps(lambda given: 0.7 * given, values, 20.0), 6, atol=1e-9)


def test_the_loss_of_a_step_in_one_frame_is_what_the_mean_takes():
    _, values, _ = maps(10)
    lost = lost_steps(lambda given: np.broadcast_to(given.mean(axis=0), given.shape), values, 20.0)
    np.testing.assert_allclose(lost, [0, 10, 18], atol=1e-9)
