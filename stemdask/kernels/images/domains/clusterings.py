"""Unsupervised partitions of displacement vectors, by name."""

from __future__ import annotations

from typing import Literal

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Floats
from stemdask.kernels.images.domains import deconvolved_mixture, directions, potts_mixture
from stemdask.kernels.images.domains.domain_count import CERTAIN
from stemdask.kernels.images.domains.domain_models import DomainModel, Features, as_features
from stemdask.kernels.quiet import quiet

Clustering = Literal["gmm", "kmeans", "minibatch_kmeans", "dbscan", "hdbscan", "spectral", "agglomerative"]

CLUSTERINGS: tuple[Clustering, ...] = (
    "gmm", "kmeans", "minibatch_kmeans", "dbscan", "hdbscan", "spectral", "agglomerative",
)  # fmt: skip
#: Find the number of clusters themselves.
OWN_NUMBER: tuple[Clustering, ...] = ("dbscan", "hdbscan")
#: Vectors at most for the methods that compare all with all.
MOST_PAIRS = 3000


def cluster(
    method: Clustering, points: Floats, noise: Floats, k: int, features: Features = "vector", seed: int = 0
) -> DomainModel:
    """Partition vectors and return a model that predicts the domain of any other vector.

    The domains are numbered by direction, counter-clockwise from `directions.SEAM`. The result doesn't depend on the
    order of the vectors.

    Parameters
    ----------
    method
        Which one. `gmm` takes each vector's own error into account.
    points, noise
        (n, 2), vectors and standard errors, pm; finite.
    k
        Number of domains; `dbscan` and `hdbscan` find their own.
    features
        Cluster vectors, or directions alone.
    seed
        Of the random starts.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> vectors = np.repeat([[20.0, 0.0], [-20.0, 0.0]], 100, axis=0) + random.normal(0, 3, (200, 2))
    >>> model = cluster("kmeans", vectors, np.full((200, 2), 3.0), 2)
    >>> np.bincount(model.predict(vectors, np.full((200, 2), 3.0))[0])
    array([100, 100])
    """
    order = np.lexsort(points.T)
    points, noise = points[order], noise[order]
    x, errors = as_features(points, noise, features)
    k = min(k, len(x))
    if k == 0:
        return DomainModel("centres", {"centres": np.zeros((0, 2))}, features=features)
    with quiet():
        if method == "gmm":
            model = _mixture(points, noise, x, errors, k, features, seed)
        elif method in ("kmeans", "minibatch_kmeans"):
            model = _centres(method, points, x, k, features, seed)
        else:
            thinned = np.linspace(0, len(x) - 1, min(len(x), MOST_PAIRS)).round().astype(int)
            model = _neighbours(method, points[thinned], x[thinned], errors[thinned], k, features, seed)
    return model.reordered(directions.order(model.centres))


def cluster_maps(vectors: Floats, errors: Floats, k: int, coupling: float | None = None, seed: int = 0) -> DomainModel:
    """Partition whole maps by a mixture of which neighbours are likely to be of one component.

    Parameters
    ----------
    vectors, errors
        (frame, row, column, 2), pm; NaN where there is no cell, errors finite where there is one.
    k
        Number of domains.
    coupling
        Of neighbours, as `potts.beliefs` takes it; None finds it.
    seed
        Of the random starts.
    """
    with quiet():
        mixture = potts_mixture.fit(vectors, errors, k, coupling, seed)
        whole = potts_mixture.with_undisplaced(mixture, vectors, errors)
        if coupling is None:
            whole = potts_mixture.coupled(whole, vectors, errors)
    present = potts_mixture.cells_present(vectors)
    weights = mixture.beliefs(vectors, errors)[present].mean(axis=0)
    noise = np.diag(np.mean(errors[present] ** 2, axis=0))
    cells = present.sum() / len(vectors)  # of one frame: another may show the same
    scatter = (mixture.covariances + noise) / np.maximum(weights * cells, 1)[:, None, None]
    squared = np.einsum("ki,kij,kj->k", mixture.means, np.linalg.inv(scatter), mixture.means)
    arrays = {
        "centres": mixture.means,
        "weights": weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
        "displaced": (squared >= CERTAIN**2).astype(float),
    }
    extra = {"coupling": whole.coupling, "undisplaced": float(whole.weights[-1])}
    return DomainModel("mixture", arrays, extra=extra).reordered(directions.order(mixture.means))


def _mixture(
    points: Floats, noise: Floats, x: Floats, errors: Floats, k: int, features: Features, seed: int
) -> DomainModel:
    mixture = deconvolved_mixture.fit(x, errors, k, seed)
    shares = deconvolved_mixture.posterior(mixture, x, errors)
    centres = mixture.means if features == "vector" else _means(points, shares.argmax(axis=1), k)
    arrays = {
        "centres": centres,
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
    }
    return DomainModel("mixture", arrays, features=features)


def _centres(method: Clustering, points: Floats, x: Floats, k: int, features: Features, seed: int) -> DomainModel:
    from sklearn.cluster import KMeans, MiniBatchKMeans

    kind = KMeans if method == "kmeans" else MiniBatchKMeans
    fit = kind(k, n_init=10, random_state=seed).fit(x)
    means = np.asarray(fit.cluster_centers_, dtype=float)
    spread = np.array([x[fit.labels_ == c].var(axis=0).mean() if (fit.labels_ == c).any() else 0.0 for c in range(k)])
    # Clusters are taken as they are measured: the spread holds the noise already.
    arrays = {"centres": _means(points, fit.labels_, k), "means": means, "variance": spread}
    return DomainModel("centres", arrays, features=features)


def _neighbours(
    method: Clustering, points: Floats, x: Floats, errors: Floats, k: int, features: Features, seed: int
) -> DomainModel:
    from sklearn.cluster import DBSCAN, HDBSCAN, AgglomerativeClustering, SpectralClustering

    reach = np.inf
    least = max(5, len(x) // 30)
    if method == "dbscan":
        reach = _usual_reach(x, least)
        labels = DBSCAN(eps=reach, min_samples=least).fit(x).labels_
    elif method == "hdbscan":
        labels = HDBSCAN(min_cluster_size=max(5, len(x) // 20), min_samples=5, copy=True).fit(x).labels_
    elif method == "spectral":
        scale = float(np.median(errors)) ** 2 + float(x.var(axis=0).mean()) / k
        labels = (
            SpectralClustering(
                k, affinity="rbf", gamma=0.5 / max(scale, 1e-12), assign_labels="cluster_qr", random_state=seed
            )
            .fit(x)
            .labels_
        )
    else:
        labels = AgglomerativeClustering(k, linkage="ward").fit(x).labels_
    kept = labels >= 0
    found, labels = np.unique(labels[kept], return_inverse=True)
    arrays = {
        "centres": _means(points[kept], labels, len(found)),
        "points": x[kept],
        "labels": labels.astype(float),
    }
    return DomainModel("neighbours", arrays, features=features, extra={"reach": float(reach)})


def _means(points: Floats, label: AnyIntegers, k: int) -> Floats:
    return np.array([points[label == c].mean(axis=0) if (label == c).any() else np.zeros(2) for c in range(k)]).reshape(
        k, 2
    )


def _usual_reach(x: Floats, least: int) -> float:
    """Distance within which nine in ten vectors have `least` neighbours (after Ester et al. 1996)."""
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(x).query(x, min(least, len(x)))
    return float(np.quantile(distance.reshape(len(x), -1)[:, -1], 0.9))
