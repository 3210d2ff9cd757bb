"""Learning domains from cells whose class is known, or from ideal directions."""

from __future__ import annotations

import csv
import io

import numpy as np

from stemdask.analyses.given_file import GivenFile
from stemdask.analyses.images.maps.domain_cells import CellBlock, DomainCells
from stemdask.analyses.images.maps.domain_params import DomainsParams, Region
from stemdask.errors import InputError
from stemdask.kernels.arrays import Integers
from stemdask.kernels.images.domains.classifiers import CLASSIFIERS, Classifier, confusion, ideal_vectors, train
from stemdask.kernels.images.domains.domain_models import DomainModel
from stemdask.model import Array

#: Side, in cells, of the squares that stay together in cross-validation.
_GROUP_SIDE = 4
#: Labelled vectors at most.
_MOST = 10_000


def learn(cells: DomainCells, params: DomainsParams) -> tuple[DomainModel, Array]:
    """Train the classifier that the params name.

    Returns
    -------
    The model and its cross-validated confusion matrix (true class, predicted class).

    Raises
    ------
    InputError
        The labels can't be read, or a class has no significant cell to learn from.
    """
    assert params.method in CLASSIFIERS
    method: Classifier = params.method
    if params.classes is not None:
        names = tuple(params.classes)
        sample = cells.sample()
        if not sample.significant.any():
            raise InputError(
                "no displacement differs from zero, so there is nothing to sort into classes",
                where="analyses.domains.classes",
                remedy="Lower 'significance', or leave the classes out",
            )
        points, noise, labels = ideal_vectors(
            np.array(list(params.classes.values())),
            sample.points[sample.significant],
            sample.noise[sample.significant],
            seed=params.seed,
        )
        groups = np.arange(len(points))
    else:
        labelled = params.labels
        regions = params.regions or (read_labels(labelled) if labelled is not None else ())
        names = tuple(dict.fromkeys(region.name for region in regions))
        points, noise, labels, groups = _labelled(cells, regions, names)
        for k, name in enumerate(names):
            if not (labels == k).any():
                raise InputError(
                    f"no cell with a significant displacement is labelled '{name}'",
                    where=labelled.path if labelled is not None else "analyses.domains.regions",
                    remedy="Label more cells, or lower 'significance'",
                )
    matrix = confusion(method, points, noise, labels, groups, names, params.features, params.seed)
    return train(method, points, noise, labels, names, params.features, params.seed), matrix


def read_labels(labels: GivenFile) -> tuple[Region, ...]:
    """Read labelled cells from a CSV file with the columns class, i, j and, optionally, frame.

    Raises
    ------
    InputError
        The file is missing or another than was planned with, or a column or a number in it is missing.
    """
    path = labels.path
    rows = list(csv.DictReader(io.StringIO(labels.text(), newline="")))
    if not rows or not {"class", "i", "j"} <= set(rows[0]):
        raise InputError(
            "the labels need a header with the columns class, i, j",
            where=path,
            value=", ".join(rows[0]) if rows else "an empty file",
            allowed="class, i, j and, optionally, frame",
        )
    regions: dict[tuple[str, int | None], list[tuple[int, int]]] = {}
    for line, row in enumerate(rows, start=2):
        try:
            frame = int(row["frame"]) if row.get("frame") else None
            regions.setdefault((row["class"].strip(), frame), []).append((int(row["i"]), int(row["j"])))
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                "a label can't be read",
                where=f"{path}, line {line}",
                value=dict(row),
                allowed="a name and whole numbers i, j and, optionally, frame",
            ) from error
    if len({name for name, _ in regions}) < 2:
        raise InputError("the labels name only one class", where=path, remedy="Label cells of at least two classes")
    return tuple(Region(name=name, cells=tuple(found), frame=frame) for (name, frame), found in regions.items())


def _labelled(
    cells: DomainCells, regions: tuple[Region, ...], names: tuple[str, ...]
) -> tuple[Array, Array, Integers, Integers]:
    points, noise = [np.empty((0, 2))], [np.empty((0, 2))]
    labels, groups = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    columns = cells.maps.shape[1]
    row, column = np.indices(cells.maps.shape)
    square = (row // _GROUP_SIDE) * (columns // _GROUP_SIDE + 1) + column // _GROUP_SIDE
    for block in cells.blocks():
        label = _label(cells, block, regions, names)
        chosen = (label >= 0) & block.significant
        points.append(block.vectors[chosen])
        noise.append(block.errors[chosen])
        labels.append(label[chosen])
        groups.append(np.broadcast_to(square, label.shape)[chosen])
    found = np.concatenate(labels)
    thinned = np.linspace(0, len(found) - 1, min(len(found), _MOST)).round().astype(int)
    return (
        np.concatenate(points)[thinned],
        np.concatenate(noise)[thinned],
        found[thinned],
        np.concatenate(groups)[thinned],
    )


def _label(cells: DomainCells, block: CellBlock, regions: tuple[Region, ...], names: tuple[str, ...]) -> Integers:
    """Class of every grid place of a block, (frame, row, column); -1 unknown. Later regions win."""
    from skimage.measure import points_in_poly

    label = np.full(block.significant.shape, -1, dtype=np.int64)
    positions = cells.maps.positions(block.frames, block.maps.places)
    for region in regions:
        frames = range(len(label)) if region.frame is None else [region.frame - block.frames.start]
        for frame in frames:
            if not 0 <= frame < len(label):
                continue
            if region.polygon is not None:
                xy = positions[frame, ..., ::-1].reshape(-1, 2)
                inside = points_in_poly(np.nan_to_num(xy, nan=np.inf), np.asarray(region.polygon))  # type: ignore[no-untyped-call]
                label[frame][inside.reshape(label.shape[1:])] = names.index(region.name)
            else:
                ij = np.asarray(region.cells)
                steps = cells.maps.steps[block.frames.start + frame]
                place = cells.maps.grid.place(ij[:, 0] + steps[0], ij[:, 1] + steps[1], np.ones(len(ij), dtype=bool))
                label[frame].reshape(-1)[place[place >= 0]] = names.index(region.name)
    return label
