"""A picture of how alike the surroundings of the cells are: t-SNE of a sample, for looking only."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from stemdask.analyses.images.maps.domain_cells import DomainCells
from stemdask.kernels.images.domains.domain_models import DomainModel
from stemdask.kernels.quiet import quiet
from stemdask.model import Array, Stack, Variable

#: Cells in the picture.
SHOWN = 1500
POSITION = Variable("embedding/position", ("shown", "axis"), "float32", "1", "place in the plane", stage="finish")
U = Variable("embedding/u", ("shown",), "float32", "pm", "displacement along +x", stage="finish")
V = Variable("embedding/v", ("shown",), "float32", "pm", "displacement along +y (down)", stage="finish")
LABEL = Variable("embedding/label", ("shown",), "int8", "1", "domain of the cell", stage="finish")
EMBEDDING = (POSITION, U, V, LABEL)


def write_embedding(stack: Stack, cells: DomainCells, model: DomainModel, seed: int) -> None:
    """Lay out cells, spread evenly over frames and places, by u and v of the 3 × 3 cells about each."""
    around, points, noise = _surroundings(cells)
    position = np.zeros((len(around), 2))
    if len(around) > 10:
        from sklearn.manifold import TSNE

        with quiet():
            position = TSNE(2, perplexity=min(30.0, len(around) / 4), init="pca", random_state=seed).fit_transform(
                around
            )
    label, _ = model.predict(points, noise)
    stack.write(POSITION.path, position.astype(np.float32))
    stack.write(U.path, points[:, 0].astype(np.float32))
    stack.write(V.path, points[:, 1].astype(np.float32))
    stack.write(LABEL.path, label.astype(np.int8))


def _surroundings(cells: DomainCells) -> tuple[Array, Array, Array]:
    frames = cells.maps.frames
    per_frame = max(SHOWN // max(len(frames), 1), 1)
    shown = (
        set(frames[np.linspace(0, len(frames) - 1, min(len(frames), SHOWN)).round().astype(int)])
        if len(frames)
        else set()
    )
    around, points, noise = [np.empty((0, 18))], [np.empty((0, 2))], [np.empty((0, 2))]
    for block in cells.blocks():
        if min(block.vectors.shape[1:3]) < 3:
            continue
        for frame in range(len(block.vectors)):
            if block.frames.start + frame not in shown:
                continue
            windows = sliding_window_view(block.vectors[frame], (3, 3), axis=(0, 1)).reshape(-1, 18)
            whole = np.flatnonzero(np.isfinite(windows).all(axis=1))
            whole = whole[np.linspace(0, len(whole) - 1, min(len(whole), per_frame)).round().astype(int)]
            around.append(windows[whole])
            points.append(block.vectors[frame, 1:-1, 1:-1].reshape(-1, 2)[whole])
            noise.append(block.errors[frame, 1:-1, 1:-1].reshape(-1, 2)[whole])
    return np.concatenate(around), np.concatenate(points), np.concatenate(noise)
