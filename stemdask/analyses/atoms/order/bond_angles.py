"""Distribution of the angles between the bonds of the atoms, for each triplet of elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import coordination
from stemdask.analyses.atoms.sample import elements, species
from stemdask.kernels.atoms.bond_angles import bond_angle_counts, triplets
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.workspace import thread_workspace
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable

#: Frames looked at for the elements, spread evenly.
PROBES = 32


class BondAnglesParams(Params):
    """Bond angles."""

    n_bins: Annotated[int, Field(ge=6, le=1800)] = 180
    """Number of steps from 0 to 180 degrees; bins are centred on them, so the first and the last are half as wide."""


_TRIPLET, _ANGLE = ("triplet",), ("frame", "triplet", "angle")
ELEMENTS = tuple(
    Variable(
        f"bond_angles/{name}",
        _TRIPLET,
        "uint8",
        "1",
        f"atomic number of the atom {where}",
        stage="prepare",
        coordinate=True,
    )
    for name, where in (("center", "in the middle"), ("end_1", "at the one end"), ("end_2", "at the other end"))
)
ANGLE = Variable("bond_angles/angle", ("angle",), "float64", "degree", "bond angle, middle of the bin", stage="prepare")
COUNT = Variable("bond_angles/count", _ANGLE, "int64", "1", "bond angles in the bin")
DENSITY = Variable("bond_angles/density", _ANGLE, "float64", "1/degree", "distribution of bond angles")


def outputs(params: BondAnglesParams) -> tuple[Variable, ...]:
    """Declare the triplets of elements, and the distribution of each."""
    return (*ELEMENTS, ANGLE, COUNT, DENSITY)


def prepare(frames: Sequence[Frame], params: BondAnglesParams) -> Mapping[str, Array]:
    """Name the triplets of elements, and choose the bins."""
    known = elements(frames, PROBES)
    every = np.array(triplets(len(known)), int).reshape(-1, 3)
    return {
        **{variable.path: known[every[:, k]] for k, variable in enumerate(ELEMENTS)},
        ANGLE.path: np.linspace(0.0, 180.0, params.n_bins + 1),
    }


def run(frame: AtomsFrame, params: BondAnglesParams) -> Mapping[str, Array]:
    """Count the angles between the bonds of one frame; the density is NaN for triplets that don't occur."""
    known = np.unique(frame[ELEMENTS[0]])
    cutoffs = coordination.cutoffs_of(frame, known)
    longest, space = float(cutoffs.max(initial=0.0)), thread_workspace()
    neighbours = find_neighbours(frame.positions, longest, frame.cell, frame.periodic, workspace=space)
    counts = bond_angle_counts(neighbours, species(frame.numbers, known), cutoffs, params.n_bins)
    width = np.full(params.n_bins + 1, 180.0 / params.n_bins)
    width[[0, -1]] /= 2
    sums = counts.sum(axis=1, keepdims=True)
    part = np.divide(counts, sums, out=np.full(counts.shape, np.nan), where=sums > 0)
    return {COUNT.path: counts, DENSITY.path: part / width}


ANALYSIS = Analysis(
    name="bond_angles",
    kind="atoms",
    summary="Distribution of bond angles, for each element in the middle and both ends",
    params=BondAnglesParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.bond_angles",
    needs=("positions", "coordination"),
    prepare=prepare,
    run=run,
)
