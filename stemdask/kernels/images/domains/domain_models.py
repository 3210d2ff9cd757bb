"""Fitted partitions of displacement vectors into domains, as plain arrays: predict, save, load without pickle."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stemdask.kernels.arrays import Floats, Indices, Integers
from stemdask.kernels.images.domains.deconvolved_mixture import Mixture, posterior
from stemdask.kernels.images.domains.potts_mixture import PottsMixture

ModelKind = Literal["mixture", "centres", "neighbours", "logistic", "svc", "forest"]
Features = Literal["vector", "direction"]

#: Neighbours that vote.
VOTERS = 5


@dataclass(frozen=True, slots=True)
class DomainModel:
    """A partition of vectors (u, v) into `k` domains, numbered from 0."""

    kind: ModelKind
    arrays: dict[str, Floats]
    names: tuple[str, ...] = ()
    """Name of each domain, where they were named."""
    features: Features = "vector"
    """Whether lengths count, or only directions."""
    extra: dict[str, float] = field(default_factory=dict)
    """Numbers of the kind; `coupling` and `undisplaced` of a mixture whose neighbours have a say."""

    @property
    def centres(self) -> Floats:
        """(k, 2), mean vector of each domain in the fit, pm."""
        return self.arrays["centres"]

    @property
    def n_domains(self) -> int:
        """Number of domains."""
        return len(self.centres)

    @property
    def potts_mixture(self) -> PottsMixture | None:
        """The domains and, last, the cells that aren't displaced; None where neighbours have no say."""
        if "coupling" not in self.extra:
            return None
        weights = np.append(np.ones(self.n_domains), self.extra["undisplaced"])
        means = np.concatenate([self.arrays["means"], np.zeros((1, 2))])
        covariances = np.concatenate([self.arrays["covariances"], np.zeros((1, 2, 2))])
        return PottsMixture(weights, means, covariances, self.extra["coupling"])

    def predict(self, points: Floats, noise: Floats) -> tuple[Integers, Floats]:
        """Return the domain of each vector and the probability of it.

        Parameters
        ----------
        points, noise
            (n, 2), vectors and standard errors, pm; finite.

        Returns
        -------
        labels
            (n,), -1 where the model leaves a vector out.
        probability
            (n,), of the domain given.
        """
        if len(points) == 0 or self.n_domains == 0:
            return np.full(len(points), -1, dtype=np.int64), np.zeros(len(points))
        shares = self.probabilities(*as_features(points, noise, self.features))
        label = shares.argmax(axis=1).astype(np.int64)
        probability = shares[np.arange(len(points)), label]
        return np.where(probability > 0, label, -1), probability

    def probabilities(self, x: Floats, errors: Floats) -> Floats:
        """Return the probability of each domain, (n, k), for features (n, 2) and their errors; rows sum to 1 or 0."""
        a = self.arrays
        if self.kind == "mixture":
            return posterior(Mixture(a["weights"], a["means"], a["covariances"], 0.0), x, errors)
        if self.kind == "centres":
            return _nearest_centre(x, errors, a["means"], a["variance"])
        if self.kind == "neighbours":
            return _votes(x, a["points"], a["labels"].astype(int), self.n_domains, self.extra.get("reach", np.inf))
        scaled = (x - a["mean"]) / a["scale"]
        if self.kind == "logistic":
            return _softmax(scaled @ a["coefficients"].T + a["intercepts"])
        if self.kind == "svc":
            return _support_votes(scaled, a, self.extra["gamma"])
        return _forest(scaled, a)

    def reordered(self, order: Indices) -> DomainModel:
        """Return the model with its domains renumbered: `order[new] = old`."""
        a = dict(self.arrays)
        for name in ("centres", "weights", "means", "covariances", "variance", "displaced"):
            if name in a and self.kind in ("mixture", "centres", "neighbours"):
                a[name] = a[name][order]
        if self.kind == "neighbours":
            a["labels"] = np.argsort(order)[a["labels"].astype(int)].astype(float)
        return DomainModel(self.kind, a, self.names, self.features, self.extra)

    def packed(self) -> bytes:
        """Return the parameters as a plain .npz file of numbers and text; nothing in it can run."""
        file = io.BytesIO()
        np.savez(
            file,
            allow_pickle=False,
            kind=np.array(self.kind),
            features=np.array(self.features),
            names=np.array(self.names, dtype=str),
            extra_names=np.array(list(self.extra), dtype=str),
            extra=np.array(list(self.extra.values()), dtype=float),
            **{f"array_{name}": array for name, array in self.arrays.items()},
        )
        return file.getvalue()


def unpacked(content: bytes) -> DomainModel:
    """Return the model that a file holds which `DomainModel.packed` made.

    Raises
    ------
    ValueError
        It is no such model, or holds Python objects.
    """
    try:
        return _unpacked(content)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _unpacked(content: bytes) -> DomainModel:
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("it holds a single array")
    with loaded as data:
        if "kind" not in data or "array_centres" not in data:
            raise ValueError("it holds no model of domains")
        kind, features = str(data["kind"]), str(data["features"])
        if kind not in ("mixture", "centres", "neighbours", "logistic", "svc", "forest"):
            raise ValueError(f"it holds a model of an unknown kind, {kind}")
        return DomainModel(
            kind,  # type: ignore[arg-type]
            {name.removeprefix("array_"): data[name] for name in data.files if name.startswith("array_")},
            tuple(str(name) for name in data["names"]),
            "direction" if features == "direction" else "vector",
            dict(zip(map(str, data["extra_names"]), map(float, data["extra"]), strict=True)),
        )


def as_features(points: Floats, noise: Floats, features: Features) -> tuple[Floats, Floats]:
    """Return vectors as they are, or as unit vectors with their errors; directions so have no seam at ±180°."""
    if features == "vector":
        return points, noise
    length = np.maximum(np.hypot(points[:, 0], points[:, 1]), 1e-12)
    unit = points / length[:, None]
    across = np.hypot(unit[:, 1] * noise[:, 0], unit[:, 0] * noise[:, 1]) / length
    # A unit vector errs across its direction only; at most by the circle itself.
    errors = np.minimum(across, 1.0)[:, None] * np.maximum(np.abs(unit[:, ::-1]), 0.1)
    return unit, errors


def _nearest_centre(x: Floats, errors: Floats, means: Floats, variance: Floats) -> Floats:
    """Probability that a vector belongs to its nearest centre, clusters being round and equally wide."""
    total = float(variance.mean()) + np.mean(errors**2, axis=1, keepdims=True)
    squared = ((x[:, None] - means) ** 2).sum(axis=2)
    return _softmax(-0.5 * squared / np.maximum(total, 1e-12))


def _votes(x: Floats, points: Floats, labels: Integers, k: int, reach: float) -> Floats:
    from scipy.spatial import cKDTree

    near = min(VOTERS, len(points))
    distance, index = cKDTree(points).query(x, near)
    distance, index = distance.reshape(len(x), near), index.reshape(len(x), near)
    voters = distance <= reach
    shares = np.zeros((len(x), k))
    for voter in range(near):
        rows = np.flatnonzero(voters[:, voter])
        shares[rows, labels[index[rows, voter]]] += 1
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    return shares


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _support_votes(x: Floats, a: dict[str, Floats], gamma: float) -> Floats:
    """Share of the one-against-one duels that each class wins, of a support vector machine with an RBF kernel."""
    k = len(a["centres"])
    start = np.concatenate([[0], np.cumsum(a["n_support"])]).astype(int)
    shares = np.zeros((len(x), k))
    for rows in range(0, len(x), 4096):
        part = x[rows : rows + 4096]
        distance = ((part[:, None] - a["support"]) ** 2).sum(axis=2)
        kernel = np.exp(-gamma * distance)
        duel = 0
        for first in range(k):
            for second in range(first + 1, k):
                one, two = slice(start[first], start[first + 1]), slice(start[second], start[second + 1])
                margin = (
                    kernel[:, one] @ a["dual"][second - 1, one]
                    + kernel[:, two] @ a["dual"][first, two]
                    + a["intercepts"][duel]
                )
                shares[rows : rows + 4096, first] += margin > 0
                shares[rows : rows + 4096, second] += margin <= 0
                duel += 1
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    return shares


def _forest(x: Floats, a: dict[str, Floats]) -> Floats:
    """Mean over the trees of the class shares in the leaf that a vector falls into."""
    roots = a["roots"].astype(int)
    feature, left, right = (a[name].astype(int) for name in ("feature", "left", "right"))
    shares = np.zeros((len(x), a["shares"].shape[1]))
    rows = np.arange(len(x))
    for root in roots:
        node = np.full(len(x), root)
        while True:
            inner = feature[node] >= 0
            if not inner.any():
                break
            # scikit-learn's trees compare in float32
            value = x[rows, np.maximum(feature[node], 0)].astype(np.float32)
            node = np.where(inner, np.where(value <= a["threshold"][node], left[node], right[node]), node)
        shares += a["shares"][node]
    return shares / len(roots)
