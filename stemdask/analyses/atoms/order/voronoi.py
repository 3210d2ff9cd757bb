"""Voronoi volume and index of each atom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from stemdask.analyses.atoms.order import rdf
from stemdask.analyses.atoms.shape import surface
from stemdask.kernels.atoms.voronoi_cells import INDEX, voronoi_cells
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable
from stemdask.units import LengthAngstrom

CLOSED, OPEN = 0, 1


class VoronoiParams(Params):
    """Voronoi cells."""

    largest_hole: Literal["auto"] | LengthAngstrom = "auto"
    """A cell with a corner farther from its atom than this counts as open, as cells of surface atoms are, and gets no
    volume or index; auto: the first minimum of g(r)."""


_ATOM, _FRAME = ("frame", "atom"), ("frame",)
VOLUME = Variable(
    "atoms/voronoi_volume", _ATOM, "float64", "angstrom^3", "volume of the Voronoi cell; none of an open one"
)
IS_OPEN = Variable(
    "atoms/voronoi_open",
    _ATOM,
    "int8",
    "1",
    "whether the Voronoi cell is open, as at a surface",
    flags={CLOSED: "closed", OPEN: "open"},
)
N_FACES = Variable("atoms/voronoi_faces", _ATOM, "int32", "1", "faces of the Voronoi cell; -1 of an open one")
FACES = tuple(
    Variable(f"atoms/voronoi_n{edges}", _ATOM, "int32", "1", f"faces with {edges} edges; -1 of an open cell")
    for edges in INDEX
)
N_OPEN = Variable("voronoi/n_open", _FRAME, "int32", "1", "atoms whose Voronoi cell is open")
MEAN_VOLUME = Variable(
    "voronoi/mean_volume",
    _FRAME,
    "float64",
    "angstrom^3",
    "mean volume of closed Voronoi cells",
    "voronoi/mean_volume_err",
    trend=True,
)
MEAN_VOLUME_ERR = Variable(
    "voronoi/mean_volume_err", _FRAME, "float64", "angstrom^3", "standard error of the mean volume of closed cells"
)


def outputs(params: VoronoiParams) -> tuple[Variable, ...]:
    """Declare what is known of each cell, and the mean volume."""
    return VOLUME, IS_OPEN, N_FACES, *FACES, N_OPEN, MEAN_VOLUME, MEAN_VOLUME_ERR


def run(frame: AtomsFrame, params: VoronoiParams) -> Mapping[str, Array]:
    """Make the cells of one frame; all are open where the largest hole isn't known."""
    hole = float(frame[rdf.CUTOFF]) if params.largest_hole == "auto" else params.largest_hole.angstrom()
    cells = voronoi_cells(frame.positions, hole, frame.cell, frame.periodic)
    is_open = cells.is_open | (frame[surface.AT_SURFACE] == surface.SURFACE)  # some of these reach not far outside
    volumes = cells.volume[~is_open]
    return {
        VOLUME.path: np.where(is_open, np.nan, cells.volume),
        IS_OPEN.path: is_open.astype(np.int8),
        N_FACES.path: np.where(is_open, np.int32(-1), cells.n_faces),
        **{variable.path: np.where(is_open, np.int32(-1), cells.indices[:, k]) for k, variable in enumerate(FACES)},
        N_OPEN.path: np.array(is_open.sum(), np.int32),
        MEAN_VOLUME.path: np.array(volumes.mean() if len(volumes) else np.nan),
        MEAN_VOLUME_ERR.path: np.array(volumes.std(ddof=1) / np.sqrt(len(volumes)) if len(volumes) > 1 else np.nan),
    }


ANALYSIS = Analysis(
    name="voronoi",
    kind="atoms",
    summary="Voronoi cell of each atom: volume, index <n3 n4 n5 n6>, open ones flagged",
    params=VoronoiParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.voronoi",
    needs=("positions", "rdf", "surface"),
    run=run,
)
