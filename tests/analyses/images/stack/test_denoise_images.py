from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from stemdask.analyses.images.stack.denoise_images import DenoiseImagesParams, finish, outputs, prepare, run
from stemdask.errors import FrameError
from stemdask.model import ImageFrame


def frames(n=12, size=96, noise=0.4, seed=0):
    row, column = np.indices((size, size)) * 2 * np.pi / 12
    truth = np.exp(2 * (np.cos(row) + np.cos(column) - 2))
    random = np.random.default_rng(seed)
    images = truth + noise * random.normal(size=(n, size, size))
    return truth, [ImageFrame(k, image.astype(np.float32), (0.03, 0.03)) for k, image in enumerate(images)]


class Stored:
    def __init__(self, results):
        self.results, self.attributes = results, {}

    def read(self, path):
        return self.results[path]

    def set_attributes(self, group, attributes):
        self.attributes[group] = attributes


@pytest.mark.parametrize("method", ["pca", "gaussian", "wavelet"])
def test_columns_are_found_on_denoised_pixels_and_measured_on_the_counts(method):
    truth, stack = frames()
    params = DenoiseImagesParams(method=method)
    constants = prepare(stack, params)
    stack[3].results.update(constants)
    found = run(stack[3], params)
    assert "denoise_images/measured" not in found
    error = np.sqrt(np.mean((found["denoise_images/for_finding"] - truth) ** 2))
    assert error < 0.6 * 0.4
    declared = {v.path: v for v in outputs(params)}
    assert set(constants) == {path for path, v in declared.items() if v.stage == "prepare"}
    assert set(found) == {p for p, v in declared.items() if v.stage == "run"}
    for path, array in constants.items():
        assert array.ndim == len(declared[path].dims), path


def test_measuring_on_denoised_pixels_must_be_asked_for():
    _, stack = frames(4)
    params = DenoiseImagesParams(method="gaussian", measure_on="filtered")
    stack[0].results.update(prepare(stack, params))
    found = run(stack[0], params)
    assert found["denoise_images/measured"] is found["denoise_images/for_finding"]


def test_the_shrinkage_is_said_in_words():
    _, stack = frames()
    for method, words in (("pca", "would lose"), ("gaussian", "no change")):
        params = DenoiseImagesParams(method=method)
        constants = prepare(stack, params)
        store = Stored({**constants, "denoise_images/removed": np.ones(3)})
        finish(store, params)
        assert words in store.attributes["denoise_images"]["statement"]
        assert "measured on the counts" in store.attributes["denoise_images"]["statement"]


@pytest.mark.slow
def test_the_page_on_denoising_states_the_ratios_as_they_are():
    page = (Path(__file__).parents[4] / "docs" / "denoising.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`(?:, (\d) components of 12 frames)? \| ([\d.]+), ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == 7
    stacks = [frames(noise=noise)[1] for noise in (0.2, 0.4)]
    for method, components, *stated in rows:
        more = {"n_components": int(components)} if components else {}
        found = [prepare(stack, DenoiseImagesParams(method=method, **more))["denoise_images/slope"] for stack in stacks]
        np.testing.assert_allclose(found, [float(ratio) for ratio in stated], atol=0.02, err_msg=method)


def test_a_frame_of_another_size_is_refused():
    _, stack = frames(4)
    params = DenoiseImagesParams()
    other = ImageFrame(9, np.ones((50, 50), dtype=np.float32), (0.03, 0.03), results=dict(prepare(stack, params)))
    with pytest.raises(FrameError, match="the size of the frame is not that"):
        run(other, params)


def test_a_number_of_components_belongs_to_pca():
    with pytest.raises(ValidationError, match="belongs to pca"):
        DenoiseImagesParams(method="tv", n_components=3)
