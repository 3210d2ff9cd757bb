"""How far the displacement in a real image moves with what shouldn't matter: crop, rotation, pixels, masks, start.

    python benchmarks/one_answer.py IMAGE [IMAGE ...] [--write docs/accuracy.md]

The displacement of B against the mean of the A columns beside it, over the cells that both fits have: the median of all
of them moves by the first pair of numbers (along x and y), single cells about that by the second (standard deviation).
In thousandths of a pixel where the image has no pixel size.
`--write` puts the tables between the marks `<!-- one answer -->` and `<!-- /one answer -->` of a page.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pages
from scipy.ndimage import affine_transform, zoom
from scipy.spatial import cKDTree

import stemdask as sd
from stemdask.kernels.images.finding.columns import MAX_SUBLATTICES, find_columns
from stemdask.kernels.images.fitting.column_model import ColumnModel
from stemdask.kernels.images.fitting.joint_fit import fit_joint

USUAL = ColumnModel()


class Vectors(NamedTuple):
    """Displacements of n cells, px."""

    place: np.ndarray
    value: np.ndarray


class Variation(NamedTuple):
    """An image of the same crystal, and what takes its pixels back to those of the first one."""

    name: str
    image: np.ndarray
    back: Callable[[np.ndarray], np.ndarray] = lambda place: place
    back_vector: Callable[[np.ndarray], np.ndarray] = lambda vector: vector
    start: float = 1.0
    model: ColumnModel = USUAL


def displacements(image: np.ndarray, start: float = 1.0, model: ColumnModel = USUAL) -> Vectors:
    """Fit an image and return the displacement of B against the mean of the A columns next to it."""
    found = find_columns(image)
    fit = fit_joint(
        image,
        np.concatenate([found.positions, found.ghosts]),
        np.concatenate([found.sublattice, found.ghost_sublattice])
        + MAX_SUBLATTICES * np.concatenate([found.grain, found.ghost_grain]),
        np.repeat(start * found.widths, MAX_SUBLATTICES),
        model=model,
        held=np.repeat([False, True], [len(found.positions), len(found.ghosts)]),
    )
    n = len(found.positions)
    good = fit.good[:n]
    a, b = (fit.positions[:n][good & (found.sublattice == s)] for s in (0, 1))
    if len(a) < 4 or not len(b):
        return Vectors(np.zeros((0, 2)), np.zeros((0, 2)))
    tree = cKDTree(a)
    distance, index = tree.query(b, k=6)
    beside = int(np.median(np.count_nonzero(distance < 1.25 * distance[:, :1], axis=1)))
    near = np.median(distance[:, 0])
    centre = a[index[:, :beside]].mean(axis=1)
    whole = (distance[:, beside - 1] < 1.25 * near) & (np.hypot(*(b - centre).T) < 0.35 * near)
    return Vectors(centre[whole], (b - centre)[whole])


def variations(image: np.ndarray, nm: float) -> Iterator[Variation]:
    """Yield what shouldn't matter; `nm` is a nanometre in pixels, or what is cut off."""
    height, width = image.shape
    edge = round(nm)
    yield Variation("1 nm cut off", image[edge:-edge, edge:-edge], lambda p: p + edge)
    yield Variation("left half", image[:, : width // 2])
    yield Variation("right half", image[:, width // 2 :], lambda p: p + np.array([0, width // 2]))
    yield Variation("upper half", image[: height // 2])
    yield Variation("lower half", image[height // 2 :], lambda p: p + np.array([height // 2, 0]))
    angle = np.deg2rad(5.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = 0.5 * (np.array(image.shape) - 1)
    turned = affine_transform(image, turn, middle - turn @ middle, order=5, cval=np.nan)
    yield Variation("turned by 5°", turned, lambda p: (p - middle) @ turn.T + middle, lambda v: v @ turn.T)
    finer = zoom(image, 2, order=5, grid_mode=True, mode="nearest")
    yield Variation("twice the pixels", finer, lambda p: 0.5 * (p + 0.5) - 0.5, lambda v: 0.5 * v)
    y, x = np.indices(image.shape)
    reach = 0.17 * min(image.shape)
    holes = np.where((y + x < reach) | (height + width - y - x < reach), np.nan, image)
    yield Variation(f"{100 * np.isnan(holes).mean():.0f} % missing in two corners", holes)
    yield Variation("constant background", image, model=ColumnModel(background="constant"))
    for factor in (0.8, 0.9, 1.1, 1.3):
        yield Variation(f"start width × {factor}", image, start=factor)


def moved(first: Vectors, other: Vectors) -> np.ndarray:
    """Return how far common cells moved (n, 2)."""
    if not len(first.place) or not len(other.place):
        return np.zeros((0, 2))
    distance, index = cKDTree(first.place).query(other.place)
    near = distance < 3.0
    return other.value[near] - first.value[index[near]]


def table(path: str) -> str:
    """Return the table of one image."""
    source = sd.open_images(path)
    frame = source[0]
    image = np.asarray(frame, dtype=np.float32)
    calibrated = frame["y"].attrs["units"] == "nm"
    unit, scale = ("pm", 1000.0 * float(np.sqrt(np.prod(frame.pixel_size)))) if calibrated else ("mpx", 1000.0)
    first = displacements(image)
    u, v = scale * np.median(first.value[:, ::-1], axis=0)
    lines = [
        f"`{Path(path).stem}`, {scale:.1f} {unit} per pixel, {len(first.value)} cells: "
        f"median (u, v) = ({u:.2f}, {v:.2f}) {unit}.",
        "",
        "| | common cells | median shift | standard deviation |",
        "|---|---|---|---|",
    ]
    for name, varied, back, back_vector, start, model in variations(image, 1000.0 / scale if calibrated else 33.0):
        other = displacements(varied.astype(np.float32), start, model)
        by = scale * moved(first, Vectors(back(other.place), back_vector(other.value)))[:, ::-1]
        if len(by):
            (x, y), (sx, sy) = np.median(by, axis=0), by.std(axis=0)
            lines.append(f"| {name} | {len(by)} | {x:.2f}, {y:.2f} {unit} | {sx:.2f}, {sy:.2f} {unit} |")
        else:
            lines.append(f"| {name} | 0 | – | – |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+")
    pages.add_argument(parser)
    arguments = parser.parse_args()
    text = "\n\n".join(table(path) for path in arguments.images)
    pages.put(text, "one answer", arguments.write)


if __name__ == "__main__":
    main()
