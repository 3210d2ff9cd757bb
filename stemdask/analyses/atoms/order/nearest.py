"""Distances to the nearest atoms: of each element around each other one, neighbour by neighbour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.sample import elements
from stemdask.kernels.atoms.nearest_distances import nearest_distances
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable

#: Frames looked at for the elements, spread evenly.
PROBES = 32


class NearestParams(Params):
    """Nearest atoms."""

    n_nearest: Annotated[int, Field(ge=1, le=50)] = 12
    """Number of nearest atoms of each element whose distance is stored for each atom."""


_PAIR, _RANK = ("ordered_pair",), ("neighbor_rank",)
_ALL = ("frame", *_PAIR, *_RANK)
NEAREST_DISTANCE = Variable(
    "atoms/nearest_distance", ("frame", "atom"), "float64", "angstrom", "distance of the nearest atom of any element"
)
CENTER = Variable("nearest/center", _PAIR, "uint8", "1", "atomic number of the atom", stage="prepare", coordinate=True)
NEIGHBOR = Variable(
    "nearest/neighbor", _PAIR, "uint8", "1", "atomic number of its neighbours", stage="prepare", coordinate=True
)
RANK = Variable("nearest/neighbor_rank", _RANK, "int32", "1", "1 the nearest, 2 the second nearest", stage="prepare")
N_ATOMS = Variable("nearest/n_atoms", _ALL, "int32", "1", "atoms that have such a neighbour")
MEAN = Variable("nearest/mean", _ALL, "float64", "angstrom", "mean distance", "nearest/mean_err")
MEAN_ERR = Variable("nearest/mean_err", _ALL, "float64", "angstrom", "standard error of the mean distance")
SPREAD = Variable("nearest/std", _ALL, "float64", "angstrom", "standard deviation of the distance")
SHORTEST = Variable("nearest/min", _ALL, "float64", "angstrom", "shortest distance")
MEDIAN = Variable("nearest/median", _ALL, "float64", "angstrom", "median distance")
LONGEST = Variable("nearest/max", _ALL, "float64", "angstrom", "longest distance")
#: In the order of `_statistics`.
STATISTICS = (N_ATOMS, MEAN, MEAN_ERR, SPREAD, SHORTEST, MEDIAN, LONGEST)


def outputs(params: NearestParams) -> tuple[Variable, ...]:
    """Declare the distance of each atom's nearest one, and the statistics of each pair of elements."""
    return (NEAREST_DISTANCE, CENTER, NEIGHBOR, RANK, *STATISTICS)


def prepare(frames: Sequence[Frame], params: NearestParams) -> Mapping[str, Array]:
    """Name the pairs of elements, and number the neighbours."""
    known = elements(frames, PROBES)
    center, neighbor = np.meshgrid(known, known, indexing="ij")
    ranks = np.arange(1, params.n_nearest + 1, dtype=np.int32)
    return {CENTER.path: center.ravel(), NEIGHBOR.path: neighbor.ravel(), RANK.path: ranks}


def run(frame: AtomsFrame, params: NearestParams) -> Mapping[str, Array]:
    """Measure the distances of one frame; NaN where no atom has such a neighbour."""
    pairs = list(zip(frame[CENTER], frame[NEIGHBOR], strict=True))
    statistics = np.empty((len(STATISTICS), len(pairs), params.n_nearest))
    for row, (center, neighbor) in enumerate(pairs):
        around, of = frame.numbers == center, frame.numbers == neighbor
        distances = nearest_distances(frame.positions, around, of, params.n_nearest, frame.cell, frame.periodic)
        statistics[:, row] = np.transpose([_statistics(of_rank) for of_rank in distances.T])
    every = np.ones(len(frame.numbers), bool)
    nearest = nearest_distances(frame.positions, every, every, 1, frame.cell, frame.periodic)[:, 0]
    of_pairs = {v.path: values.astype(v.dtype) for v, values in zip(STATISTICS, statistics, strict=True)}
    return {NEAREST_DISTANCE.path: nearest, **of_pairs}


def _statistics(distances: Array) -> tuple[float, ...]:
    """Return number, mean, its standard error, standard deviation, least, median and greatest of what is known."""
    known = distances[np.isfinite(distances)]
    n = len(known)
    if not n:
        return 0, *(np.nan,) * 6
    spread = known.std(ddof=1) if n > 1 else np.nan
    return n, known.mean(), spread / np.sqrt(n), spread, known.min(), float(np.median(known)), known.max()


ANALYSIS = Analysis(
    name="nearest",
    kind="atoms",
    summary="Distances of the nearest atoms, the second nearest and so on, for each two elements",
    params=NearestParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.nearest",
    needs=("positions",),
    prepare=prepare,
    run=run,
)
