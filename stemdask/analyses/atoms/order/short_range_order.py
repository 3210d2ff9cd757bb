"""Warren-Cowley order parameters of each two elements, shell by shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import rdf, structure
from stemdask.analyses.atoms.sample import elements, species
from stemdask.kernels.arrays import Floats
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.short_range_order import SHELLS, shell_edges, short_range_order
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable

#: Frames looked at for the elements, spread evenly.
PROBES = 32


class ShortRangeOrderParams(Params):
    """Short-range order."""

    n_shells: Annotated[int, Field(ge=1, le=4)] = 3
    """Number of shells of neighbours, defined by the lattice of most atoms; without a lattice only the first."""


_PAIR, _SHELL = ("ordered_pair",), ("neighbor_shell",)
_ALL = ("frame", *_PAIR, *_SHELL)
CENTER = Variable(
    "short_range_order/center", _PAIR, "uint8", "1", "atomic number of the atom", stage="prepare", coordinate=True
)
NEIGHBOR = Variable(
    "short_range_order/neighbor", _PAIR, "uint8", "1", "atomic number of neighbours", stage="prepare", coordinate=True
)
SHELL = Variable("short_range_order/neighbor_shell", _SHELL, "int32", "1", "shell of neighbours", stage="prepare")
SHELL_EDGE = Variable(
    "short_range_order/shell_edge", ("frame", *_SHELL), "float64", "angstrom", "outer radius of the shell"
)
ALPHA = Variable(
    "short_range_order/alpha", _ALL, "float64", "1", "Warren-Cowley parameter", error="short_range_order/alpha_err"
)
ALPHA_ERR = Variable(
    "short_range_order/alpha_err", _ALL, "float64", "1", "standard error of the Warren-Cowley parameter"
)
N_BONDS = Variable("short_range_order/n_neighbors", _ALL, "int64", "1", "neighbours of that element in the shell")


def outputs(params: ShortRangeOrderParams) -> tuple[Variable, ...]:
    """Declare the pairs of elements, the shells, and the parameters."""
    return CENTER, NEIGHBOR, SHELL, SHELL_EDGE, ALPHA, ALPHA_ERR, N_BONDS


def prepare(frames: Sequence[Frame], params: ShortRangeOrderParams) -> Mapping[str, Array]:
    """Name the pairs of elements, and number the shells."""
    known = elements(frames, PROBES)
    center, neighbor = np.meshgrid(known, known, indexing="ij")
    return {
        CENTER.path: center.ravel(),
        NEIGHBOR.path: neighbor.ravel(),
        SHELL.path: np.arange(1, params.n_shells + 1, dtype=np.int32),
    }


def run(frame: AtomsFrame, params: ShortRangeOrderParams) -> Mapping[str, Array]:
    """Count the neighbours of each shell of one frame; all is NaN without a first minimum of g(r)."""
    known = np.unique(frame[CENTER])
    edges = _edges(frame, params.n_shells)
    near = find_neighbours(frame.positions, np.nanmax(edges, initial=0.0), frame.cell, frame.periodic)
    found = short_range_order(near, species(frame.numbers, known), len(known), edges)
    shape = (len(known) ** 2, params.n_shells)
    return {
        SHELL_EDGE.path: edges,
        ALPHA.path: found.parameter.reshape(shape),
        ALPHA_ERR.path: found.error.reshape(shape),
        N_BONDS.path: found.neighbours.reshape(shape),
    }


def _edges(frame: AtomsFrame, n_shells: int) -> Floats:
    """Return the shells of the lattice of most atoms, or the first alone, up to the first minimum of g(r).

    Where the elements have lattices of their own, as in fluorite, a nearer shell of the other element ends at a
    minimum before the nearest atoms of the lattice.
    """
    kind, cutoff = structure.usual_lattice(frame[structure.LATTICE_COUNT]), float(frame[rdf.CUTOFF])
    if kind in SHELLS:
        distance = float(np.median(frame[structure.INTERATOMIC_DISTANCE][frame[structure.LATTICE] == kind]))
        if not cutoff < distance:
            return shell_edges(kind, distance, n_shells)
    edges = np.full(n_shells, np.nan)
    edges[0] = cutoff
    return edges


ANALYSIS = Analysis(
    name="short_range_order",
    kind="atoms",
    summary="Warren-Cowley parameters: which elements prefer or avoid each other, shell by shell",
    params=ShortRangeOrderParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.short_range_order",
    needs=("positions", "rdf", "structure"),
    prepare=prepare,
    run=run,
)
