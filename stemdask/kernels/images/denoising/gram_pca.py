"""Exact PCA of rows that come in blocks, by the Gram matrix of their shorter side.

Memory is one block + min(n, p)² × 8 bytes + the components, whatever the number of rows n, as long as p <= n; for
p > n (more grid places than frames) two groups of rows of at most `GROUP` bytes are held instead of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from scipy.linalg import eigh

from stemdask.kernels.arrays import Floats, Integers
from stemdask.kernels.images.denoising.low_rank import LowRank, fill

Blocks = Callable[[], Iterable[Floats]]

#: Bytes of rows held at once while the Gram matrix between rows is built.
GROUP = 64 * 2**20
#: RMS change of the filled entries over the noise at which the iteration of missing entries ends.
TOLERANCE = 1e-3
#: Largest side of a Gram matrix: 20,000² × 8 bytes = 3.2 GB.
LARGEST_SIDE = 20_000


def column_means(blocks: Blocks, p: int) -> tuple[Floats, Integers, int]:
    """Return the mean and the number of the entries present in each column, and the number of rows.

    Parameters
    ----------
    blocks
        Gives the rows anew at each call, block by block, (n_b, p); NaN is missing.
    p
        Number of columns. The mean of a column without entries is 0.
    """
    total, count, n = np.zeros(p), np.zeros(p, dtype=np.int64), 0
    for rows in blocks():
        present = np.isfinite(rows)
        total += np.where(present, rows, 0.0).sum(axis=0)
        count += present.sum(axis=0)
        n += len(rows)
    return total / np.maximum(count, 1), count, n


def pca(blocks: Blocks, p: int, rank: int, *, centre: bool = True) -> LowRank:
    """Fit mean and leading components to complete rows; the same as `sklearn.decomposition.PCA` in memory.

    Parameters
    ----------
    blocks
        Gives the rows anew at each call, block by block, (n_b, p).
    p
        Number of columns.
    rank
        Components wanted; fewer come back where the rows don't have them.
    centre
        False leaves the mean in, as a plain SVD does; the mean of the model is then 0.

    Raises
    ------
    MemoryError
        Where both sides exceed `LARGEST_SIDE`.

    Examples
    --------
    >>> rows = np.outer([1.0, 2, 3, 4], [1.0, 0, 2])
    >>> pca(lambda: iter([rows]), 3, 1).mean
    array([2.5, 0. , 5. ])
    """
    mean, _, n = column_means(blocks, p)
    mean = mean if centre else np.zeros(p)
    rank = max(min(rank, n - centre, p), 0)
    if min(n, p) > LARGEST_SIDE:
        raise MemoryError(f"a Gram matrix of side {min(n, p)} is too large; incremental PCA does without")
    if p <= n:
        gram = np.zeros((p, p))
        for rows in blocks():
            centred = rows - mean
            gram += centred.T @ centred
        values, vectors = _leading(gram, rank)
        components = vectors.T
    else:
        gram = _row_gram(blocks, mean, n)
        values, vectors = _leading(gram, rank)
        components = np.zeros((rank, p))
        start = 0
        for rows in blocks():
            components += vectors[start : start + len(rows)].T @ (rows - mean)
            start += len(rows)
        lengths = np.linalg.norm(components, axis=1)
        components /= np.where(lengths > 0, lengths, 1.0)[:, None]
    values = np.maximum(values, 0.0)
    outside = max(float(np.trace(gram)) - float(values.sum()), 0.0)
    freedom = max((n - 1 - rank) * (p - rank), 1)
    return LowRank(mean, upright(components), np.sqrt(values), n, outside / freedom, centre)


def pca_with_missing(blocks: Blocks, p: int, rank: int, passes: int = 30) -> LowRank:
    """Fit mean and components to rows with missing entries, by regularised iterative PCA.

    Missing entries start at the column's mean and are replaced by their expectation under the last fit until they
    move by less than `TOLERANCE` of the noise (Josse & Husson 2012). Complete rows need one fit.

    Parameters
    ----------
    blocks, p, rank
        As for `pca`; NaN is missing.
    passes
        Fits at most.
    """
    mean, count, n = column_means(blocks, p)
    model = LowRank(mean, np.zeros((0, p)), np.zeros(0), n, 0.0)
    complete = bool(np.all(count == n))
    before: LowRank | None = None
    for _ in range(passes):
        model, before = pca(_filled(blocks, model), p, rank), model
        if complete or _change(blocks, before, model) <= TOLERANCE * np.sqrt(model.noise_variance):
            break
    return model


def upright(components: Floats) -> Floats:
    """Give each component the sign that makes its largest entry positive, as scikit-learn does."""
    if components.size == 0:
        return components
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    return components * np.where(largest < 0, -1.0, 1.0)[:, None]


def _filled(blocks: Blocks, model: LowRank) -> Blocks:
    def filled() -> Iterator[Floats]:
        return (fill(model, rows) for rows in blocks())

    return filled


def _change(blocks: Blocks, before: LowRank, after: LowRank) -> float:
    """RMS difference of the entries that two models fill in."""
    total, count = 0.0, 0
    for rows in blocks():
        missing = np.isnan(rows)
        total += float(np.sum((fill(before, rows) - fill(after, rows))[missing] ** 2))
        count += int(missing.sum())
    return float(np.sqrt(total / max(count, 1)))


def _leading(gram: Floats, rank: int) -> tuple[Floats, Floats]:
    """Return the largest eigenvalues, falling, and their vectors as columns."""
    side = len(gram)
    if rank == 0:
        return np.zeros(0), np.zeros((side, 0))
    values, vectors = eigh(gram, subset_by_index=[side - rank, side - 1], overwrite_a=False, check_finite=False)
    return values[::-1], vectors[:, ::-1]


def _row_gram(blocks: Blocks, mean: Floats, n: int) -> Floats:
    gram = np.empty((n, n))
    for first, start in _groups(blocks, mean):
        for second, other in _groups(blocks, mean):
            if other > start:
                break
            product = first @ second.T
            gram[start : start + len(first), other : other + len(second)] = product
            gram[other : other + len(second), start : start + len(first)] = product.T
    return gram


def _groups(blocks: Blocks, mean: Floats) -> Iterator[tuple[Floats, int]]:
    """Yield centred rows in groups of at most `GROUP` bytes (or one block), with their first index."""
    held: list[Floats] = []
    start = 0
    for rows in blocks():
        centred = rows - mean
        if held and sum(map(len, held)) * mean.nbytes + centred.nbytes > GROUP:
            group = np.concatenate(held)
            yield group, start
            start += len(group)
            held = []
        held.append(centred)
    if held:
        yield np.concatenate(held), start
