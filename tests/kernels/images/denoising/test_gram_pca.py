from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.decomposition import PCA

from stemdask.kernels.images.denoising import gram_pca
from stemdask.kernels.images.denoising.gram_pca import pca, pca_with_missing
from stemdask.kernels.images.denoising.low_rank import fill, reconstruct


def rows_of_rank(n, p, rank, noise=0.5, seed=0):
    random = np.random.default_rng(seed)
    truth = random.normal(size=(n, rank)) * np.arange(rank, 0, -1) @ random.normal(size=(rank, p)) + random.normal(
        size=p
    )
    return truth, truth + noise * random.normal(size=(n, p))


def in_blocks(rows, size):
    return lambda: (rows[k : k + size] for k in range(0, len(rows), size))


@pytest.mark.parametrize(("n", "p"), [(200, 30), (30, 200), (64, 64)])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_blockwise_pca_is_that_of_scikit_learn(n, p, block):
    _, rows = rows_of_rank(n, p, 4)
    model = pca(in_blocks(rows, block), p, 4)
    reference = PCA(4, svd_solver="full").fit(rows)
    np.testing.assert_allclose(model.mean, reference.mean_, atol=1e-10)
    np.testing.assert_allclose(model.components, reference.components_, atol=1e-8)
    np.testing.assert_allclose(model.singular_values, reference.singular_values_, rtol=1e-8)
    np.testing.assert_allclose(
        reconstruct(model, rows), reference.inverse_transform(reference.transform(rows)), atol=1e-8
    )


def test_groups_of_rows_do_not_change_the_gram_matrix(monkeypatch):
    _, rows = rows_of_rank(40, 300, 3)
    whole = pca(in_blocks(rows, 6), 300, 3)
    monkeypatch.setattr(gram_pca, "GROUP", 10 * 300 * 8)
    np.testing.assert_allclose(pca(in_blocks(rows, 6), 300, 3).components, whole.components, atol=1e-10)


def test_an_uncentred_fit_is_the_svd():
    _, rows = rows_of_rank(50, 20, 3)
    model = pca(in_blocks(rows, 8), 20, 3, centre=False)
    u, s, v = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(reconstruct(model, rows), u[:, :3] * s[:3] @ v[:3], atol=1e-8)


def test_missing_entries_are_filled_by_what_the_others_say():
    truth, rows = rows_of_rank(150, 60, 2, noise=0.3)
    holed = np.where(np.random.default_rng(1).random(rows.shape) < 0.2, np.nan, rows)
    model = pca_with_missing(in_blocks(holed, 20), 60, 2)
    filled = fill(model, holed)
    missing = np.isnan(holed)
    np.testing.assert_array_equal(filled[~missing], rows[~missing])
    by_mean = np.nanmean(holed, axis=0) - truth
    assert np.sqrt(np.mean((filled - truth)[missing] ** 2)) < 0.1
    assert np.sqrt(np.mean(by_mean[missing] ** 2)) > 1.0


def test_complete_rows_with_missing_neighbours_are_left_alone():
    _, rows = rows_of_rank(40, 10, 1)
    rows[3, 4] = np.nan
    model = pca_with_missing(in_blocks(rows, 9), 10, 1)
    np.testing.assert_array_equal(np.delete(fill(model, rows), 3, axis=0), np.delete(rows, 3, axis=0))


def test_memory_does_not_grow_with_the_rows():
    def peak(n):
        def blocks():
            random = np.random.default_rng(0)
            for _ in range(n // 50):
                yield random.normal(size=(50, 80))

        tracemalloc.start()
        pca(blocks, 80, 3)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(200)
    assert peak(20_000) < 1.1 * peak(1000)


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (2, 5), (5, 1)])
def test_few_rows_give_few_components(shape):
    model = pca(in_blocks(np.ones(shape), 2), shape[1], 3)
    assert model.rank == max(min(shape[0] - 1, shape[1], 3), 0)
    assert np.isfinite(model.components).all()
