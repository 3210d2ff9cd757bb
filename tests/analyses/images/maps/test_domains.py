from __future__ import annotations

import re

import numpy as np
import pytest
from pydantic import ValidationError

from stemdask.analyses.given_file import GivenFile
from stemdask.analyses.images.maps import denoise
from stemdask.analyses.images.maps.domains import ANALYSIS, DomainsParams, finish, outputs
from stemdask.config.document import Document
from stemdask.errors import ConfigError, InputError
from stemdask.kernels.images.denoising.map_denoiser import METHODS
from stemdask.planning.resolve import resolve

pytestmark = pytest.mark.long


def labelled(maps, stack, *, first_denoise="pca", **params):
    if first_denoise and "denoised/u" not in stack.results:
        denoise.finish(stack, denoise.DenoiseParams(method=first_denoise))
    finish(stack, DomainsParams(**params))
    return maps.on_grid(stack, "domains/label")


def right(labels, truth):
    """Part of the labelled cells whose label is that of their domain, labels matched to domains."""
    found = 0
    for label in np.unique(labels[labels >= 0]):
        found += max(np.sum((labels == label) & (truth == domain)) for domain in np.unique(truth))
    return found / np.sum(labels >= 0)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("180", "gmm"),
        ("90", "hdbscan"),
        *(pytest.param("90", method, marks=pytest.mark.slow) for method in ("gmm", "kmeans")),
    ],
)
def test_two_domains_are_found_and_labelled(simulate, kind, method):
    maps = simulate(kind, 64, sigma=10, size=16)
    stack = maps.stack()
    labels = labelled(maps, stack, method=method)
    assert stack.attributes["domains"]["n_domains"] == 2
    assert right(labels, maps.domain) >= 0.98
    assert np.mean(labels >= 0) > 0.85


def test_noise_alone_has_no_domains_and_says_so(simulate):
    stack = simulate("noise", 8).stack()
    finish(stack, DomainsParams())
    assert stack.attributes["domains"]["n_domains"] == 0
    assert stack.attributes["domains"]["statement"].startswith("No domains")
    assert set(np.unique(stack.results["domains/label"])) == {-1}


def test_a_single_population_is_not_divided(simulate):
    maps = simulate("uniform", 4)
    stack = maps.stack()
    labels = labelled(maps, stack)
    assert stack.attributes["domains"]["n_domains"] == 1
    assert "single population" in stack.attributes["domains"]["statement"]
    assert set(np.unique(labels)) <= {-1, 0}


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "alike"), [(5, 0.995), (8, 0.98)])
def test_the_two_halves_of_a_run_get_the_labels_of_the_whole(simulate, sigma, alike):
    maps = simulate("90", 60, sigma=sigma, size=16)
    whole = maps.stack()
    labelled(maps, whole, first_denoise=None)
    for half in (slice(0, 30), slice(30, 60)):
        part = maps.stack()
        part.results = {path: values[half] for path, values in part.results.items()}
        part.n_frames = 30
        finish(part, DomainsParams())
        first, second = part.results["domains/label"], whole.results["domains/label"][half]
        both = (first >= 0) & (second >= 0)
        assert np.mean(first[both] == second[both]) > alike
        np.testing.assert_array_equal(first >= 0, second >= 0)


def test_labels_run_counter_clockwise(simulate):
    maps = simulate("90", 20, sigma=5)
    stack = maps.stack()
    labelled(maps, stack, first_denoise=None)
    np.testing.assert_allclose(stack.attributes["domains"]["directions"], [0, -90], atol=3)


def test_the_series_measures_areas_walls_and_means(simulate):
    maps = simulate("180", 40, shift=20, sigma=10)
    stack = maps.stack()
    labels = labelled(maps, stack)
    found = stack.results
    n = maps.domain[0].size
    for label, domain in ((0, 1), (1, 0)):
        true = (maps.domain == domain).sum(axis=(1, 2))
        np.testing.assert_allclose(found["domains/area"][:, label], true * 0.16, atol=0.08 * n * 0.16)
        sign = 1 if domain else -1
        pull = (found["domains/mean_u"][:, label] - sign * 20) / found["domains/mean_u_err"][:, label]
        assert np.sqrt(np.mean(pull**2)) < 1.6
        assert np.all(found["domains/fraction"][:, label] <= 1)
    assert labels.shape == maps.domain.shape
    length = 24 * 0.4 * np.hypot(1, 0.3)
    np.testing.assert_allclose(found["domains/wall_length"][:, 0, 1], length, rtol=0.2)
    middle = 0.4 * (24 * (0.35 + 0.3 * np.arange(40) / 39) - 0.5)
    assert np.abs(found["domains/wall_x"][:, 0, 1] - middle).mean() < 0.3


@pytest.mark.slow
def test_neighbours_lower_the_part_without_label(simulate):
    maps = simulate("180", 8)
    labelled_part = []
    for weight in (0.0, 1.0):
        stack = maps.stack()
        labels = labelled(maps, stack, first_denoise=None, n_domains=2, coupling=0, neighbourhood=weight)
        labelled_part.append(np.mean(labels >= 0))
        assert right(labels, maps.domain) > 0.95
    assert labelled_part[1] > 1.5 * labelled_part[0]


@pytest.mark.parametrize("kind", ["180", "90", "closure"])
def test_domains_of_one_map_as_noisy_as_they_are_displaced_are_found_and_labelled(simulate, kind):
    maps = simulate(kind, 1, size=28, shift=10, sigma=10)
    stack = maps.stack()
    labels = labelled(maps, stack, first_denoise=None)
    assert stack.attributes["domains"]["n_domains"] == len(np.unique(maps.domain))
    assert np.mean(labels >= 0) > 0.98
    assert right(labels, maps.domain) > 0.92


@pytest.mark.parametrize("seed", [0, 4, 7])
def test_domains_whose_walls_were_smoothed_are_those_between_the_walls(simulate, seed):
    maps = simulate("closure", 1, shift=20, sigma=10, size=28, seed=seed)
    labels = labelled(maps, maps.stack(), first_denoise="patch_pca")
    assert np.mean(labels >= 0) > 0.98
    assert right(labels, maps.domain) > 0.95


@pytest.mark.parametrize("moving", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_domains_of_frames_noisier_than_they_are_displaced_are_labelled(simulate, moving):
    maps = simulate("180", 64, size=16, shift=15, sigma=16, moving=moving)
    labels = labelled(maps, maps.stack())
    assert np.mean(labels >= 0) > 0.98
    assert right(labels, maps.domain) > 0.95


def test_the_probability_of_a_label_is_that_of_being_right(simulate):
    maps = simulate("180", 12, size=20, shift=10, sigma=12)
    stack = maps.stack()
    labels = labelled(maps, stack, first_denoise=None)
    probability = maps.on_grid(stack, "domains/probability")
    # Label 0 points along +x, which is domain 1.
    unsure, sure = probability < 0.9, probability >= 0.9
    for chosen in (unsure, sure):
        assert np.mean((labels == 1 - maps.domain)[chosen]) == pytest.approx(probability[chosen].mean(), abs=0.08)


@pytest.mark.parametrize("method", ["none", "kernel_pca", "patch_pca"])
def test_a_map_that_varies_continuously_is_not_divided_however_it_was_denoised(simulate, method):
    maps = simulate("vortex", 1, size=24, shift=12, sigma=4)
    stack = maps.stack()
    denoise.finish(stack, denoise.DenoiseParams(method=method, n_components=2))
    finish(stack, DomainsParams())
    assert stack.attributes["domains"]["n_domains"] <= 1
    assert "would divide what is continuous" in stack.attributes["domains"]["statement"]


@pytest.mark.slow
def test_denoising_changes_nothing_of_what_is_counted(simulate):
    maps, counted = simulate("uniform", 1, size=10, shift=10, sigma=10), []
    for method in METHODS:
        stack = maps.stack()
        denoise.finish(stack, denoise.DenoiseParams(method=method, n_components=2))
        finish(stack, DomainsParams(max_domains=3))
        counted.append([stack.results[f"domains/{name}"] for name in ("bic", "evidence", "spatial", "stability")])
        assert stack.attributes["domains"]["n_domains"] == 1
    np.testing.assert_array_equal(counted[1:], [counted[0]] * (len(METHODS) - 1))


def test_undisplaced_cells_have_no_label(simulate):
    maps = simulate("180", 8, size=20, shift=15, sigma=5)
    core = (slice(None), slice(8, 13), slice(8, 13))
    for axis in range(2):
        maps.noisy[:, axis][core] -= maps.truth[:, axis][core]
    labels = labelled(maps, maps.stack(), first_denoise=None)
    assert np.mean(labels[core] == -1) > 0.9
    labels[core] = -1
    assert np.mean(labels >= 0) > 0.9


def test_sentences_are_in_the_units_of_the_store(simulate):
    for kind, words in (("180", "2 domains: "), ("uniform", "a single population about ")):
        stack = simulate(kind, 4, size=16, sigma=5).stack()
        stack.calibrated = False
        finish(stack, DomainsParams())
        said = stack.attributes["domains"]["statement"]
        assert words in said
        assert re.search(r"0\.0[12]\d\d px towards", said)
        assert "pm" not in said


def test_a_classifier_of_ideal_directions_says_what_can_be_right(simulate):
    maps = simulate("180", 4, size=20, shift=15, sigma=10)
    stack = maps.stack()
    labels = labelled(maps, stack, first_denoise=None, method="logistic", classes={"right": 0, "left": 180})
    said = stack.attributes["domains"]["statement"]
    assert re.search(r"of the ideal vectors [\d.]+ % are right in cross-validation", said)
    expected = re.search(r"Of the cells of this run ([\d.]+) % are expected to have the label of their true", said)
    assert expected is not None
    true = np.where(maps.domain == 1, 0, 1)
    assert 100 * np.mean((labels == true)[labels >= 0]) == pytest.approx(float(expected[1]), abs=5)


def test_classes_by_ideal_direction_label_a_vortex(simulate):
    maps = simulate("vortex", 12, shift=20, sigma=10)
    stack = maps.stack()
    classes = {"right": 0, "up": "90 degree", "left": 180, "down": "-90 degree"}
    labels = labelled(maps, stack, first_denoise="patch_pca", method="logistic", classes=classes)
    assert stack.attributes["domains"]["classes"] == list(classes)
    truth = np.round(np.degrees(np.arctan2(-maps.truth[:, 1], maps.truth[:, 0])) / 90) % 4
    chosen = labels >= 0
    assert np.mean(labels[chosen] == truth[chosen]) > 0.9
    matrix = stack.results["domains/confusion"]
    assert np.trace(matrix) / matrix.sum() > 0.9


def regions():
    return [
        {"name": "left", "polygon": [(-0.1, -0.1), (1.4, -0.1), (1.4, 9.9), (-0.1, 9.9)]},
        {"name": "right", "cells": [(i, j) for i in range(19, 24) for j in range(24)]},
    ]


@pytest.mark.parametrize("method", ["logistic", "svc", "random_forest", "knn"])
def test_labelled_regions_teach_the_rest(simulate, method):
    maps = simulate("180", 20, sigma=8)
    stack = maps.stack()
    labels = labelled(maps, stack, method=method, regions=regions())
    chosen = labels >= 0
    assert np.mean(labels[chosen] == maps.domain[chosen]) > 0.95


def test_labels_from_a_csv_are_those_of_the_config(simulate, tmp_path):
    maps = simulate("180", 6, sigma=8)
    path = tmp_path / "labels.csv"
    lines = [
        f"{name},{i},{j}"
        for name, columns in (("left", range(4)), ("right", range(19, 24)))
        for i in columns
        for j in range(24)
    ]
    path.write_text("class,i,j\n" + "\n".join(lines))
    first, second = maps.stack(), maps.stack()
    labelled(maps, first, method="knn", labels=str(path))
    cells = [{"name": "left", "cells": [(i, j) for i in range(4) for j in range(24)]}, regions()[1]]
    labelled(maps, second, method="knn", regions=cells)
    np.testing.assert_array_equal(first.results["domains/label"], second.results["domains/label"])


def test_unreadable_labels_say_what_is_wrong(simulate, tmp_path):
    stack = simulate("180", 2).stack()
    path = tmp_path / "labels.csv"
    for text, match in (
        ("name,i\nup,1", "class, i, j"),
        ("class,i,j\nup,1,x\n", "line 2"),
        ("class,i,j\nup,1,1", "only one class"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=match):
            finish(stack, DomainsParams(method="knn", labels=str(path)))
    with pytest.raises(InputError, match="can't be read"):
        finish(stack, DomainsParams(method="knn", labels=str(tmp_path / "none.csv")))


def test_a_model_saved_by_one_run_labels_another(simulate, tmp_path):
    path = str(tmp_path / "model.npz")
    first, second = simulate("180", 30, sigma=8, size=16), simulate("180", 5, sigma=8, seed=9)
    labelled(first, first.stack(), save_model=path)
    stack = second.stack()
    labels = labelled(second, stack, model=path)
    assert right(labels, second.domain) > 0.98
    with pytest.raises(InputError, match=r"none\.npz: the file can't be read"):
        finish(stack, DomainsParams(model=str(tmp_path / "none.npz")))
    (tmp_path / "text.npz").write_text("no model")
    with pytest.raises(InputError, match="model can't be read"):
        finish(stack, DomainsParams(model=str(tmp_path / "text.npz")))


def test_a_model_replaces_a_model_and_no_other_file(simulate, tmp_path):
    maps, path = simulate("180", 4), tmp_path / "model.npz"
    for _ in range(2):
        finish(maps.stack(), DomainsParams(save_model=str(path)))
    path.write_text("a thesis")
    with pytest.raises(InputError, match=r"model\.npz: the file is not a model of domains, and no other kind"):
        finish(maps.stack(), DomainsParams(save_model=str(path)))
    assert path.read_text() == "a thesis"


def test_labels_that_changed_since_the_run_was_planned_are_refused(simulate, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("class,i,j\nleft,1,1\nright,20,1\n")
    planned = DomainsParams(method="knn", labels=GivenFile(path=str(path)).sealed())
    path.write_text("class,i,j\nleft,1,1\nright,21,1\n")
    with pytest.raises(InputError, match="its content has changed"):
        finish(simulate("180", 2).stack(), planned)


@pytest.mark.parametrize("key", ["labels", "model"])
def test_what_a_file_of_domains_holds_is_part_of_what_a_run_is(tmp_path, key):
    np.save(tmp_path / "stack.npy", np.zeros((1, 64, 64), np.float32))
    given = tmp_path / "given"

    def found():
        domains = {key: str(given), **({"method": "knn"} if key == "labels" else {})}
        data = {"input": {"path": str(tmp_path / "stack.npy"), "invert": False}, "output": str(tmp_path / "a.zarr")}
        return resolve(Document(data | {"analyses": {"domains": domains}}))

    given.write_bytes(b"one")
    first = found()
    assert found().fingerprint == first.fingerprint
    given.write_bytes(b"two")
    second = found()
    assert second.fingerprint != first.fingerprint
    changed = {name for name, one in second.analysis_hashes.items() if first.analysis_hashes[name] != one}
    assert changed == {"domains"}
    given.unlink()
    with pytest.raises(ConfigError, match=rf"analyses\.domains\.{key}: .*the file can't be read"):
        found()


def test_an_empty_run_is_no_error(simulate):
    stack = simulate("180", 3).stack(missing=1.0)
    finish(stack, DomainsParams())
    assert set(np.unique(stack.results["domains/label"])) == {-1}


def test_all_declared_variables_are_written_and_no_other(simulate):
    maps = simulate("90", 2, sigma=5, size=12)
    for given in (
        {},
        {"method": "hdbscan"},
        {"method": "logistic", "classes": {"right": 0, "down": "-90 degree"}, "embedding": "tsne"},
    ):
        stack = maps.stack()
        before = set(stack.results)
        params = DomainsParams(**given)
        finish(stack, params)
        declared = {variable.path: variable for variable in outputs(params)}
        assert set(stack.results) - before == set(declared)
        for path, variable in declared.items():
            assert stack.results[path].ndim == len(variable.dims), path
            assert stack.results[path].dtype == variable.dtype, path


@pytest.mark.slow
def test_the_order_of_the_frames_does_not_matter(simulate):
    maps = simulate("90", 40, sigma=5, size=16)
    stack, shuffled = maps.stack(), maps.stack()
    order = np.random.default_rng(3).permutation(40)
    for path in shuffled.results:
        shuffled.results[path] = shuffled.results[path][order]
    labelled(maps, stack, first_denoise=None)
    labelled(maps, shuffled, first_denoise=None)
    np.testing.assert_array_equal(shuffled.results["domains/label"], stack.results["domains/label"][order])


def test_the_short_forms_of_the_config_are_valid():
    params = ANALYSIS.params.model_validate({"method": "gmm", "n_domains": "auto"})
    assert params.max_domains >= 4


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"method": "svc"}, "learns from examples"),
        ({"classes": {"up": 90, "right": 0}}, "needs a method that learns"),
        ({"method": "dbscan", "n_domains": 3}, "settles the number"),
        ({"method": "knn", "classes": {"up": "north", "right": 0}}, "is not a direction"),
        ({"method": "knn", "classes": {"up": 90, "right": 0}, "model": "m.npz"}, "give one of"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reason(given, match):
    with pytest.raises(ValidationError, match=match):
        ANALYSIS.params.model_validate(given)
