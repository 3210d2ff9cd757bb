from __future__ import annotations

import re

import numpy as np
import pytest

from stemdask.analyses.images.maps.denoise import ANALYSIS, DenoiseParams, finish, outputs

pytestmark = pytest.mark.long


def rms(a, b):
    return float(np.sqrt(np.nanmean((a - b) ** 2)))


def denoised(simulated, stack, **params):
    finish(stack, DenoiseParams(**params))
    return np.stack([simulated.on_grid(stack, f"denoised/{name}") for name in "uv"], axis=1)


@pytest.mark.parametrize("kind", ["180", "90", "vortex"])
def test_the_error_falls_with_the_number_of_frames(simulate, kind):
    errors = []
    for frames in (1, 16, 256):
        maps = simulate(kind, frames)
        errors.append(rms(denoised(maps, maps.stack()), maps.truth))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 15 / 4


def test_all_declared_variables_are_written_and_no_other(simulate):
    maps = simulate("90", 5, size=12)
    for method in ("none", "pca", "patch_pca", "compare"):
        stack = maps.stack()
        before = set(stack.results)
        params = DenoiseParams(method=method)
        finish(stack, params)
        declared = {variable.path: variable for variable in outputs(params)}
        assert set(stack.results) - before == set(declared)
        for path, variable in declared.items():
            assert stack.results[path].ndim == len(variable.dims), path
            assert stack.results[path].dtype == variable.dtype, path


def test_none_leaves_the_displacements_as_they_are(simulate):
    maps = simulate("180", 5)
    stack = maps.stack()
    finish(stack, DenoiseParams(method="none"))
    for name in ("u", "v", "u_err"):
        np.testing.assert_array_equal(
            stack.results[f"denoised/{name}"], stack.results[f"displacement/{name}"].astype(np.float32)
        )


def test_missing_cells_stay_missing_and_cost_little(simulate):
    maps = simulate("180", 64)
    whole, holed = maps.stack(), maps.stack(missing=0.15)
    error = rms(denoised(maps, whole), maps.truth)
    found = denoised(maps, holed)
    present = np.isfinite(maps.on_grid(holed, "displacement/u"))
    np.testing.assert_array_equal(np.isfinite(found[:, 0]), present)
    assert rms(found, maps.truth) < 1.15 * error


@pytest.mark.parametrize("frames", [1, 3, 40])
def test_the_blocks_do_not_matter(simulate, frames):
    maps = simulate("90", frames)
    results = [denoised(maps, maps.stack(block=block)) for block in (1, 7, 64)]
    np.testing.assert_allclose(results[1], results[0], atol=1e-5)
    np.testing.assert_allclose(results[2], results[0], atol=1e-5)


def test_errors_are_those_that_the_truth_shows(simulate):
    for kind, frames in (("180", 64), ("90", 256), ("vortex", 64)):
        maps = simulate(kind, frames)
        stack = maps.stack()
        found = denoised(maps, stack)
        stated = np.stack([maps.on_grid(stack, f"denoised/{name}") for name in ("u_err", "v_err")], axis=1)
        pull = (found - maps.truth) / stated
        assert np.sqrt(np.mean(pull**2)) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("method", ["pca", "robust_pca", "patch_pca"])
@pytest.mark.parametrize("stated", [0.85, 1.0])
def test_errors_stay_honest_where_those_of_the_displacements_are_too_small(simulate, method, stated):
    maps = simulate("180", 64, size=16, moving=False)
    stack = maps.stack()
    for name in ("u_err", "v_err"):
        stack.results[f"displacement/{name}"] *= stated
    found = denoised(maps, stack, method=method)
    errors = np.stack([maps.on_grid(stack, f"denoised/{name}") for name in ("u_err", "v_err")], axis=1)
    assert rms((found - maps.truth) / errors, 0) == pytest.approx(1, abs=0.15)
    assert rms(found, maps.truth) == pytest.approx(stack.attributes["denoised"]["estimated_error"], rel=0.2)


@pytest.mark.parametrize("kind", ["noise", "speckle"])
def test_stripes_are_not_drawn_through_a_map_whose_rows_have_nothing_in_common(simulate, kind):
    maps = simulate("noise", 1, sigma=2.0)
    if kind == "speckle":
        maps.noisy[:] += np.random.default_rng(1).normal(0, 10, maps.noisy.shape)
    stack = maps.stack()
    found = denoised(maps, stack)
    np.testing.assert_allclose(found, maps.noisy.astype(np.float32))
    about = stack.attributes["denoised"]
    assert about["method"] == "none"
    assert "nothing in common" in about["statement"]
    assert about["estimated_error"] == pytest.approx(2.0)


def test_rows_that_repeat_are_averaged(simulate):
    maps = simulate("180", 1, moving=False)
    stack = maps.stack()
    assert rms(denoised(maps, stack), maps.truth) < 0.7 * maps.sigma
    assert stack.attributes["denoised"]["method"] == "pca"


def test_a_fit_that_errs_more_than_the_displacements_is_not_applied_unless_asked_for(simulate):
    maps = simulate("180", 1, shift=20, sigma=1.0, moving=False)
    stack = maps.stack()
    np.testing.assert_allclose(denoised(maps, stack, method="kernel_pca"), maps.noisy.astype(np.float32))
    assert "no less than the 1.00 pm of the displacements as measured" in stack.attributes["denoised"]["statement"]
    forced = denoised(maps, stack, method="kernel_pca", n_components=1)
    assert rms(forced, maps.noisy) > 1
    about = stack.attributes["denoised"]
    assert about["method"] == "kernel_pca"
    assert "no less than" in about["statement"]


@pytest.mark.slow
def test_numbers_are_told_in_the_units_of_the_store_and_agree(simulate):
    for calibrated, unit, factor in ((True, "pm", 1.0), (False, "px", 1e-3)):
        stack = simulate("180", 12).stack()
        stack.calibrated = calibrated
        finish(stack, DenoiseParams(method="compare"))
        about = stack.attributes["denoised"]
        total = re.search(rf"Estimated RMS error of u and v: ([\d.]+) {unit}\.", about["statement"])
        best = re.search(rf"{about['method']} has the least estimated RMS error, ([\d.]+) {unit},", about["reason"])
        assert total is not None
        assert best is not None
        assert total[1] == best[1]
        assert float(total[1]) == pytest.approx(factor * about["estimated_error"], rel=0.01)
        assert ("pm" in about["statement"] + about["reason"]) == calibrated


def test_an_empty_run_is_no_error(simulate):
    maps = simulate("180", 3)
    stack = maps.stack(missing=1.0)
    finish(stack, DenoiseParams())
    assert np.isnan(stack.results["denoised/u"]).all()
    assert "nothing to denoise" in stack.attributes["denoised"]["statement"]


def test_frames_that_failed_are_left_out(simulate):
    maps = simulate("180", 20)
    stack = maps.stack(block=4)
    for name in ("y", "x", "u", "v"):
        stack.results[f"displacement/{name}"][4:8] = np.nan
    found = denoised(maps, stack)
    assert np.isnan(found[4:8]).all()
    assert np.isfinite(np.delete(found, range(4, 8), axis=0)).all()


def test_the_short_forms_of_the_config_are_valid():
    assert ANALYSIS.params.model_validate({"method": "pca"}).n_components == "auto"
    assert ANALYSIS.params.model_validate({"n_components": 3}).n_components == 3
