"""Supervised partitions of displacement vectors: learnt from labelled cells or from ideal directions."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Floats, Integers
from stemdask.kernels.images.domains import directions
from stemdask.kernels.images.domains.domain_models import DomainModel, Features, as_features
from stemdask.kernels.noise_stream import noise_stream
from stemdask.kernels.quiet import quiet

Classifier = Literal["logistic", "svc", "random_forest", "knn"]

CLASSIFIERS: tuple[Classifier, ...] = ("logistic", "svc", "random_forest", "knn")
#: Folds of the cross-validation.
FOLDS = 5
#: Ideal vectors of each class at most.
_IDEAL = 1000
#: Repeats of the noise from which the accuracy is expected.
_REPEATS = 4


def train(
    method: Classifier,
    points: Floats,
    noise: Floats,
    labels: Integers,
    names: tuple[str, ...],
    features: Features = "vector",
    seed: int = 0,
) -> DomainModel:
    """Train a classifier and return it as plain arrays.

    Parameters
    ----------
    method
        Which one.
    points, noise
        (n, 2), vectors and standard errors, pm; finite.
    labels
        (n,), 0 ... k - 1; every class has at least one vector.
    names
        k names.
    features
        Learn from vectors, or from directions alone.
    seed
        Of the random forest.
    """
    x, _ = as_features(points, noise, features)
    centres = np.array([points[labels == c].mean(axis=0) for c in range(len(names))])
    if method == "knn":
        arrays = {"centres": centres, "points": x, "labels": labels.astype(float)}
        return DomainModel("neighbours", arrays, names, features)
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-12)
    arrays = {"centres": centres, "mean": mean, "scale": scale}
    with quiet():
        return _fitted(method, arrays, (x - mean) / scale, labels, names, features, seed)


def confusion(
    method: Classifier,
    points: Floats,
    noise: Floats,
    labels: Integers,
    groups: AnyIntegers,
    names: tuple[str, ...],
    features: Features = "vector",
    seed: int = 0,
) -> Floats:
    """Return the cross-validated confusion matrix: rows are the true classes, columns the predicted ones.

    Parameters
    ----------
    groups
        (n,), vectors of one group are never on both sides of a split: cells near each other are alike, and a random
        split would show off.

    Returns
    -------
    (k, k), numbers of vectors; NaN where a class has too few groups to hold some back.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    k = len(names)
    folds = min(FOLDS, *(len(np.unique(groups[labels == c])) for c in range(k)))
    if folds < 2:
        return np.full((k, k), np.nan)
    counted = np.zeros((k, k))
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for learnt, held in splits.split(points, labels, groups):
        if len(np.unique(labels[learnt])) < k:
            return np.full((k, k), np.nan)
        model = train(method, points[learnt], noise[learnt], labels[learnt], names, features, seed)
        predicted, _ = model.predict(points[held], noise[held])
        known = predicted >= 0
        np.add.at(counted, (labels[held][known], predicted[known]), 1)
    return counted


def expected_accuracy(model: DomainModel, points: Floats, noise: Floats, seed: int = 0) -> float:
    """Return the part of measured vectors whose label is expected to be that of the vector without noise.

    Where nothing more is known of a vector than its measurement (n, 2) and its standard errors, the true one lies about
    it as it lies about the true one: labels are as often right as they stay with new noise.

    Returns
    -------
    0 to 1; NaN without vectors.
    """
    if len(points) == 0:
        return float("nan")
    random = noise_stream(seed)
    label, _ = model.predict(points, noise)
    again = [model.predict(points + noise * random.standard_normal(points.shape), noise)[0] for _ in range(_REPEATS)]
    return float(np.mean(np.stack(again) == label))


def ideal_vectors(ideal: Floats, points: Floats, noise: Floats, seed: int = 0) -> tuple[Floats, Floats, Integers]:
    """Make labelled vectors from ideal directions: as long as the measured ones and as noisy.

    Parameters
    ----------
    ideal
        (k,), directions, degree counter-clockwise from +x as displayed.
    points, noise
        (n, 2), measured vectors and their standard errors, pm.
    seed
        Of the noise.

    Returns
    -------
    vectors and errors, (k · m, 2), pm, and their labels, (k · m,).
    """
    random = np.random.default_rng(seed)
    order = np.lexsort(points.T)
    chosen = order[np.linspace(0, len(order) - 1, min(len(order), _IDEAL)).round().astype(int)]
    # The noise makes a measured vector longer than the true one.
    squared = np.sum(points[chosen] ** 2 - noise[chosen] ** 2, axis=1)
    length = np.sqrt(np.maximum(squared, 0.25 * np.sum(points[chosen] ** 2, axis=1)))
    errors = np.tile(noise[chosen], (len(ideal), 1))
    true = (directions.vector(ideal)[:, None] * length[:, None]).reshape(-1, 2)
    labels = np.repeat(np.arange(len(ideal)), len(chosen))
    return true + errors * random.standard_normal(true.shape), errors, labels


def _fitted(
    method: Classifier,
    arrays: dict[str, Floats],
    x: Floats,
    labels: Integers,
    names: tuple[str, ...],
    features: Features,
    seed: int,
) -> DomainModel:
    if method == "logistic":
        from sklearn.linear_model import LogisticRegression

        logistic = LogisticRegression(max_iter=1000).fit(x, labels)
        coefficients, intercepts = logistic.coef_, logistic.intercept_
        if len(names) == 2:  # scikit-learn keeps the difference of the two
            coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
            intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
        arrays |= {"coefficients": coefficients, "intercepts": intercepts}
        return DomainModel("logistic", arrays, names, features)
    if method == "svc":
        from sklearn.svm import SVC

        gamma = 1 / max(x.shape[1] * float(x.var()), 1e-12)
        svc = SVC(gamma=gamma).fit(x, labels)
        dual, intercepts = svc.dual_coef_, svc.intercept_
        if len(names) == 2:  # scikit-learn turns the sign of the only duel
            dual, intercepts = -dual, -intercepts
        arrays |= {
            "support": svc.support_vectors_,
            "dual": dual,
            "intercepts": intercepts,
            "n_support": svc.n_support_.astype(float),
        }
        return DomainModel("svc", arrays, names, features, {"gamma": gamma})
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(100, min_samples_leaf=max(2, len(x) // 200), random_state=seed, n_jobs=1)
    forest.fit(x, labels)
    return DomainModel("forest", arrays | _trees(forest.estimators_), names, features)


def _trees(estimators: list[Any]) -> dict[str, Floats]:
    """All trees one after the other, their node numbers moved along."""
    parts: dict[str, list[Floats]] = {name: [] for name in ("feature", "threshold", "left", "right", "shares")}
    roots, start = [], 0
    for estimator in estimators:
        tree = estimator.tree_
        roots.append(start)
        parts["feature"].append(np.where(tree.children_left >= 0, tree.feature, -1))
        parts["threshold"].append(tree.threshold)
        parts["left"].append(tree.children_left + start)
        parts["right"].append(tree.children_right + start)
        values = tree.value[:, 0]
        parts["shares"].append(values / values.sum(axis=1, keepdims=True))
        start += tree.node_count
    arrays = {name: np.concatenate(part).astype(float) for name, part in parts.items()}
    return arrays | {"roots": np.array(roots, dtype=float)}
