"""Centrosymmetry parameter of each atom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import structure
from stemdask.analyses.atoms.shape import surface
from stemdask.kernels.atoms import kinds
from stemdask.kernels.atoms.centrosymmetry import centrosymmetry
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable

#: Nearest neighbours in lattices other than the close-packed ones.
NEIGHBOURS = {kinds.BCC: 8, kinds.SIMPLE_CUBIC: 6}
CLOSE_PACKED = 12
#: Lattices whose atoms have no centre of symmetry even when perfect.
WITHOUT_CENTRE = (kinds.HCP, kinds.CUBIC_DIAMOND, kinds.HEXAGONAL_DIAMOND)


class CentrosymmetryParams(Params):
    """Centrosymmetry."""

    n_neighbors: Literal["auto"] | Annotated[int, Field(ge=2, le=20, multiple_of=2)] = "auto"
    """Nearest neighbours that are paired; auto: those of the lattice of most atoms, 8 of bcc, 6 of simple cubic and
    rock salt, 12 otherwise."""


CENTROSYMMETRY = Variable(
    "atoms/centrosymmetry",
    ("frame", "atom"),
    "float64",
    "angstrom^2",
    "centrosymmetry parameter, 0 in surroundings with a centre of symmetry",
)
N_PAIRED = Variable(
    "particle/centrosymmetry_neighbors", ("frame",), "int32", "1", "nearest neighbours paired for the centrosymmetry"
)
MEDIAN = Variable(
    "particle/centrosymmetry_core", ("frame",), "float64", "angstrom^2", "median centrosymmetry of the core", trend=True
)


def outputs(params: CentrosymmetryParams) -> tuple[Variable, ...]:
    """Declare the parameter of each atom, and its median inside the particle."""
    return CENTROSYMMETRY, N_PAIRED, MEDIAN


def run(frame: AtomsFrame, params: CentrosymmetryParams) -> Mapping[str, Array]:
    """Pair the neighbours of each atom of one frame; the median is NaN without a core."""
    n_paired = params.n_neighbors
    if n_paired == "auto":
        n_paired = NEIGHBOURS.get(structure.usual_lattice(frame[structure.LATTICE_COUNT]), CLOSE_PACKED)
    values = centrosymmetry(frame.positions, n_paired, frame.cell, frame.periodic)
    core = values[(frame[surface.AT_SURFACE] == surface.CORE) & np.isfinite(values)]
    return {
        CENTROSYMMETRY.path: values,
        N_PAIRED.path: np.array(n_paired, np.int32),
        MEDIAN.path: np.array(np.median(core) if len(core) else np.nan),
    }


ANALYSIS = Analysis(
    name="centrosymmetry",
    kind="atoms",
    summary="Centrosymmetry parameter of each atom: large at defects and surfaces",
    params=CentrosymmetryParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.centrosymmetry",
    needs=("positions", "surface", "structure"),
    run=run,
)
