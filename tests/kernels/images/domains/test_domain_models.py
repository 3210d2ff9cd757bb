from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from stemdask.kernels.images.domains import directions
from stemdask.kernels.images.domains.classifiers import CLASSIFIERS, confusion, ideal_vectors, train
from stemdask.kernels.images.domains.clusterings import CLUSTERINGS, cluster
from stemdask.kernels.images.domains.domain_models import unpacked


def vectors(angles, n=150, length=15.0, spread=3.0, seed=0):
    random = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(angles)), n)
    points = length * directions.vector(np.array(angles, dtype=float))[label] + spread * random.normal(
        size=(len(label), 2)
    )
    return points, np.full(points.shape, 1.0), label


@pytest.mark.parametrize("method", CLUSTERINGS)
@pytest.mark.parametrize("features", ["vector", "direction"])
def test_domains_across_the_seam_at_180_degrees_stay_whole(method, features):
    points, noise, label = vectors([0, 90, 180])
    model = cluster(method, points, noise, 3, features)
    found, probability = model.predict(points, noise)
    assert model.n_domains == 3
    labelled = found >= 0
    assert labelled.mean() > 0.85
    assert np.mean(found[labelled] == label[labelled]) > 0.97
    assert ((probability >= 0) & (probability <= 1 + 1e-12)).all()


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_domains_are_numbered_by_direction_and_not_by_the_order_of_the_points(method):
    points, noise, _ = vectors([10, 100, 190, 280])
    order = np.random.default_rng(5).permutation(len(points))
    first, second = cluster(method, points, noise, 4), cluster(method, points[order], noise[order], 4)
    np.testing.assert_array_equal(
        first.predict(points, noise)[0][order], second.predict(points[order], noise[order])[0]
    )
    np.testing.assert_allclose(directions.angle(*first.centres.T) % 360, [10, 100, 190, 280], atol=3)


def reference(method, x, label):
    if method == "logistic":
        return LogisticRegression(max_iter=1000).fit(x, label).predict(x)
    if method == "svc":
        return SVC(gamma="scale").fit(x, label).predict(x)
    if method == "knn":
        return KNeighborsClassifier(5).fit(x, label).predict(x)
    return RandomForestClassifier(100, min_samples_leaf=max(2, len(x) // 200), random_state=0).fit(x, label).predict(x)


@pytest.mark.parametrize("method", CLASSIFIERS)
@pytest.mark.parametrize("k", [2, 3])
def test_a_classifier_of_plain_numbers_predicts_what_scikit_learn_does(method, k):
    points, noise, label = vectors([0, 80, 170][:k], spread=7.0)
    model = train(method, points, noise, label, tuple("abc"[:k]))
    x = points if method == "knn" else (points - points.mean(axis=0)) / points.std(axis=0)
    np.testing.assert_array_equal(model.predict(points, noise)[0], reference(method, x, label))


@pytest.mark.parametrize("method", CLASSIFIERS)
def test_a_saved_model_predicts_the_same(method):
    points, noise, label = vectors([0, 90], spread=6.0)
    model = train(method, points, noise, label, ("right", "up"))
    again = unpacked(model.packed())
    assert again.packed() == model.packed()
    assert again.names == ("right", "up")
    for first, second in zip(model.predict(points, noise), again.predict(points, noise), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_file_that_could_run_code_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, kind=np.array(["mixture"], dtype=object), array_centres=np.zeros((1, 2)))
    with pytest.raises(ValueError, match="allow_pickle"):
        unpacked(path.read_bytes())
    with pytest.raises(ValueError, match="allow_pickle"):
        unpacked(pickle.dumps({"kind": "mixture"}))


def test_any_other_or_damaged_file_is_no_model(tmp_path):
    points, noise, label = vectors([0, 90], spread=6.0)
    whole = train("knn", points, noise, label, ("right", "up")).packed()
    np.save(tmp_path / "one.npy", np.zeros(3))
    choose = np.random.default_rng(0)
    damaged = [whole[: choose.integers(len(whole))] for _ in range(30)]
    for content in [b"", b"text", (tmp_path / "one.npy").read_bytes(), *damaged]:
        with pytest.raises(ValueError, match=r"\w"):
            unpacked(content)


@pytest.mark.parametrize("method", CLASSIFIERS)
def test_the_confusion_matrix_tells_noise_from_separation(method):
    clear = vectors([0, 180], spread=2.0)
    mixed = vectors([0, 20], spread=12.0)
    right = []
    for points, noise, label in (clear, mixed):
        groups = np.arange(len(points)) // 10
        matrix = confusion(method, points, noise, label, groups, ("a", "b"))
        assert matrix.sum() == len(points)
        right.append(np.trace(matrix) / matrix.sum())
    assert right[0] > 0.99
    assert 0.45 < right[1] < 0.8


def test_a_class_without_groups_to_hold_back_has_no_confusion_matrix():
    points, noise, label = vectors([0, 180])
    assert np.isnan(confusion("knn", points, noise, label, label, ("a", "b"))).all()


def test_ideal_vectors_are_as_long_and_noisy_as_the_measured_ones():
    points, noise, _ = vectors([30], n=2000, spread=3.0)
    noise = np.full(points.shape, 3.0)
    ideal, errors, label = ideal_vectors(np.array([90.0, 0.0]), points, noise)
    up = ideal[label == 0]
    assert np.abs(directions.angle(*up.mean(axis=0)) - 90) < 2
    assert np.hypot(*up.T).mean() == pytest.approx(np.hypot(*points.T).mean(), rel=0.05)
    assert up[:, 0].std() == pytest.approx(3.0, rel=0.1)
    np.testing.assert_array_equal(errors, 3.0)
