"""Radial distribution function of each frame, and its first minimum: the cutoff of the first shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from stemdask.analyses.atoms.sample import sample
from stemdask.kernels.atoms.rdf import FirstMinimum, bin_edges, first_minimum, pair_counts, periodic_rdf, tutorial_rdf
from stemdask.kernels.atoms.workspace import thread_workspace
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import Length, LengthAngstrom

#: Frames looked at, spread evenly, for what is one for all frames.
PROBES = 32
#: Longest distance [angstrom] found automatically, of a particle and of a periodic box.
LONGEST, LONGEST_PERIODIC = 30.0, 12.0


class RdfParams(Params):
    """Radial distribution function."""

    bin_width: LengthAngstrom = Length(0.02, "angstrom")
    """Width of the bins of distance."""
    r_max: Literal["auto"] | LengthAngstrom = "auto"
    """Longest distance; auto: all pairs of a particle up to 30 angstrom, 12 angstrom in a periodic box."""
    cutoff: Annotated[Literal["frame", "shared"] | LengthAngstrom, Field(union_mode="left_to_right")] = "frame"
    """First minimum: of each frame, one shared by all frames (from a sample of them), or a given length."""

    @model_validator(mode="after")
    def _bins_fit(self) -> RdfParams:
        if isinstance(self.r_max, Length) and self.r_max.angstrom() <= self.bin_width.angstrom():
            raise ValueError(f"r_max must be longer than bin_width, got {self.r_max} and {self.bin_width}")
        return self


_FRAME = ("frame",)
R = Variable("rdf/r", ("r",), "float64", "angstrom", "distance, middle of the bin", stage="prepare")
G = Variable("rdf/g", ("frame", "r"), "float64", "1", "radial distribution function")
COUNTS = Variable("rdf/counts", ("frame", "r"), "int64", "1", "pairs of atoms in the bin")
CUTOFF = Variable("rdf/cutoff", _FRAME, "float64", "angstrom", "first minimum of g(r)", error="rdf/cutoff_err")
CUTOFF_ERR = Variable("rdf/cutoff_err", _FRAME, "float64", "angstrom", "standard error of the first minimum")
SHARED_CUTOFF = Variable("rdf/shared_cutoff", (), "float64", "angstrom", "first minimum of all frames", stage="prepare")
SHARED_CUTOFF_ERR = Variable(
    "rdf/shared_cutoff_err", (), "float64", "angstrom", "standard error of the shared minimum", stage="prepare"
)


def outputs(params: RdfParams) -> tuple[Variable, ...]:
    """Declare the distribution and the cutoff."""
    shared = (SHARED_CUTOFF, SHARED_CUTOFF_ERR) if params.cutoff == "shared" else ()
    return (R, G, COUNTS, CUTOFF, CUTOFF_ERR, *shared)


def prepare(frames: Sequence[Frame], params: RdfParams) -> Mapping[str, Array]:
    """Choose the bins, and the shared cutoff if there is to be one."""
    width = params.bin_width.angstrom()
    edges = bin_edges(_longest(frames) if params.r_max == "auto" else params.r_max.angstrom(), width)
    prepared = {R.path: edges[:-1] + width / 2}
    if params.cutoff == "shared":
        counts = np.zeros(len(edges) - 1, np.int64)
        for frame in sample(frames, PROBES):
            counts += _counts(frame, edges)
        minimum = first_minimum(counts, edges)
        prepared |= {SHARED_CUTOFF.path: np.array(minimum.cutoff), SHARED_CUTOFF_ERR.path: np.array(minimum.error)}
    return prepared


def run(frame: AtomsFrame, params: RdfParams) -> Mapping[str, Array]:
    """Count the pairs of one frame and find the first minimum."""
    r = frame[R]
    edges = np.arange(len(r) + 1, dtype=np.float64) * params.bin_width.angstrom()
    counts = _counts(frame, edges)
    if frame.cell is not None and all(frame.periodic):
        g = periodic_rdf(counts, edges, len(frame.positions), abs(float(np.linalg.det(frame.cell))))
    else:
        g = tutorial_rdf(counts, edges, frame.positions)
    if params.cutoff == "frame":
        minimum = first_minimum(counts, edges)
    elif params.cutoff == "shared":
        minimum = FirstMinimum(float(frame[SHARED_CUTOFF]), float(frame[SHARED_CUTOFF_ERR]))
    else:
        minimum = FirstMinimum(params.cutoff.angstrom(), 0.0)
    return {
        G.path: g,
        COUNTS.path: counts,
        CUTOFF.path: np.array(minimum.cutoff),
        CUTOFF_ERR.path: np.array(minimum.error),
    }


def _counts(frame: AtomsFrame, edges: Array) -> Array:
    return pair_counts(frame.positions, edges, frame.cell, frame.periodic, workspace=thread_workspace())


def _longest(frames: Sequence[Frame]) -> float:
    """Return a whole number of angstrom that no pair of a particle exceeds by much, up to the limit."""
    longest = 4.0
    for frame in sample(frames, PROBES):
        if frame.cell is not None and any(frame.periodic):
            return LONGEST_PERIODIC
        finite = frame.positions[np.isfinite(frame.positions).all(axis=1)]
        if len(finite):
            middle = (finite.min(axis=0) + finite.max(axis=0)) / 2
            longest = max(longest, 2.0 * float(np.linalg.norm(finite - middle, axis=1).max()))
    return min(float(np.ceil(longest)), LONGEST)


ANALYSIS = Analysis(
    name="rdf",
    kind="atoms",
    summary="Radial distribution function of the particle and its first minimum, with its uncertainty",
    params=RdfParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.rdf",
    needs=("positions",),
    prepare=prepare,
    run=run,
)
