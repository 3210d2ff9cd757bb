from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from stemdask.analyses.images import denoise
from stemdask.analyses.images.domains import ANALYSIS, DomainsParams, finish, outputs


def labelled(maps, stack, *, first_denoise="pca", **params):
    if first_denoise and "denoised/u" not in stack.results:
        denoise.finish(stack, denoise.DenoiseParams(method=first_denoise))
    finish(stack, DomainsParams(**params))
    return maps.on_grid(stack, "domains/label")


def right(labels, truth):
    """Part of the cells whose label is that of their domain, labels matched to domains."""
    found = 0
    for label in np.unique(labels[labels >= 0]):
        found += max(np.sum((labels == label) & (truth == domain)) for domain in np.unique(truth))
    return found / labels.size


@pytest.mark.parametrize("kind", ["180", "90"])
@pytest.mark.parametrize("method", ["gmm", "kmeans"])
def test_two_domains_are_found_and_labelled(simulate, kind, method):
    maps = simulate(kind, 64)
    stack = maps.stack()
    labels = labelled(maps, stack, method=method)
    assert stack.attributes["domains"]["n_domains"] == 2
    assert right(labels, maps.domain) >= 0.95


def test_all_declared_variables_are_written_and_no_other(simulate):
    maps = simulate("90", 8, sigma=5)
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


def test_the_order_of_the_frames_does_not_matter(simulate):
    maps = simulate("90", 40, sigma=5)
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
    with pytest.raises(ValidationError, match="learns from examples"):
        ANALYSIS.params.model_validate({"method": "svc"})
