"""Structure type of each atom, and the twin boundaries and stacking faults they form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import rdf
from stemdask.analyses.atoms.shape import surface
from stemdask.kernels.atoms import common_neighbours, stacking
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable

SURFACE = 5
KINDS = {
    common_neighbours.OTHER: "disordered",
    common_neighbours.FCC: "fcc",
    common_neighbours.HCP: "hcp",
    common_neighbours.BCC: "bcc",
    common_neighbours.ICOSAHEDRAL: "icosahedral",
    SURFACE: "surface",
}
LAYERS = {stacking.TWIN: "twin_boundary", stacking.FAULT: "stacking_fault", stacking.LAMELLA: "hcp_lamella"}


class StructureParams(Params):
    """Structure types."""

    min_layer: Annotated[int, Field(ge=1)] = 3
    """Atoms that an hcp layer must have to count as part of a twin boundary or stacking fault."""
    max_planes: Annotated[int, Field(ge=1, le=1000)] = 32
    """hcp layers kept for each frame, the largest ones."""


_ATOM, _PLANE, _FRAME = ("frame", "atom"), ("frame", "plane"), ("frame",)
STRUCTURE = Variable("atoms/structure", _ATOM, "int8", "1", "structure type of the atom", flags=KINDS)
HCP_LAYER = Variable("atoms/hcp_layer", _ATOM, "int32", "1", "layer of hcp atoms that holds the atom")
STRUCTURE_KIND = Variable(
    "structure/structure_kind", ("structure_kind",), "int8", "1", "structure type", flags=KINDS, stage="prepare"
)
COUNT = Variable("structure/count", ("frame", "structure_kind"), "int32", "1", "atoms of each structure type")
N_TWIN_BOUNDARIES = Variable(
    "structure/n_twin_boundaries", _FRAME, "int32", "1", "twin boundaries: single layers of hcp atoms"
)
N_STACKING_FAULTS = Variable(
    "structure/n_stacking_faults", _FRAME, "int32", "1", "intrinsic stacking faults: two hcp layers"
)
N_HCP_LAMELLAE = Variable("structure/n_hcp_lamellae", _FRAME, "int32", "1", "lamellae of three hcp layers or more")
PLANE_KIND = Variable(
    "structure/plane_kind", _PLANE, "int8", "1", "defect of which the hcp layer is part", flags=LAYERS
)
PLANE_ATOMS = Variable("structure/plane_atoms", _PLANE, "int32", "1", "atoms in the hcp layer")
PLANE_NORMAL_X = Variable("structure/plane_normal_x", _PLANE, "float64", "1", "normal of the hcp layer along x")
PLANE_NORMAL_Y = Variable("structure/plane_normal_y", _PLANE, "float64", "1", "normal of the hcp layer along y")
PLANE_NORMAL_Z = Variable("structure/plane_normal_z", _PLANE, "float64", "1", "normal of the hcp layer along z")
PLANE_OFFSET = Variable(
    "structure/plane_offset", _PLANE, "float64", "angstrom", "hcp layer from the centre, along its normal"
)


def outputs(params: StructureParams) -> tuple[Variable, ...]:
    """Declare the structure type of each atom, the number of each and the layers."""
    planes = (PLANE_KIND, PLANE_ATOMS, PLANE_NORMAL_X, PLANE_NORMAL_Y, PLANE_NORMAL_Z, PLANE_OFFSET)
    counts = (COUNT, N_TWIN_BOUNDARIES, N_STACKING_FAULTS, N_HCP_LAMELLAE)
    return (STRUCTURE, HCP_LAYER, STRUCTURE_KIND, *counts, *planes)


def prepare(frames: Sequence[Frame], params: StructureParams) -> Mapping[str, Array]:
    """Name the structure types."""
    return {STRUCTURE_KIND.path: np.array(list(KINDS), np.int8)}


def run(frame: AtomsFrame, params: StructureParams) -> Mapping[str, Array]:
    """Tell the structure type of each atom and join hcp atoms to layers; -1 where no cutoff is known."""
    positions, n = frame.positions, len(frame.positions)
    cutoff = float(frame[rdf.CUTOFF])
    neighbours = find_neighbours(positions, surface.REACH * cutoff, frame.cell, frame.periodic)
    order = common_neighbours.classify(neighbours)
    kind = order.kind
    kind[(kind == common_neighbours.OTHER) & (frame[surface.AT_SURFACE] == surface.SURFACE)] = SURFACE
    kind[~(np.isfinite(positions).all(axis=1) & (cutoff > 0))] = -1
    near = find_neighbours(positions, cutoff, frame.cell, frame.periodic)
    layers = stacking.hcp_layers(positions, kind == common_neighbours.HCP, order.normal, near, params.min_layer)
    shown = slice(params.max_planes)
    normal = _padded(layers.normal[shown], params.max_planes, np.nan)
    offset = np.einsum("pk,pk->p", layers.centre - positions.mean(axis=0), layers.normal) if n else np.empty(0)
    defects = layers.kind[np.unique(layers.defect, return_index=True)[1]]
    return {
        STRUCTURE.path: kind,
        HCP_LAYER.path: layers.label,
        COUNT.path: np.bincount(kind[kind >= 0], minlength=len(KINDS)).astype(np.int32),
        N_TWIN_BOUNDARIES.path: _count(defects, stacking.TWIN),
        N_STACKING_FAULTS.path: _count(defects, stacking.FAULT),
        N_HCP_LAMELLAE.path: _count(defects, stacking.LAMELLA),
        PLANE_KIND.path: _padded(layers.kind[shown], params.max_planes, -1),
        PLANE_ATOMS.path: _padded(layers.size[shown].astype(np.int32), params.max_planes, -1),
        PLANE_NORMAL_X.path: normal[:, 0],
        PLANE_NORMAL_Y.path: normal[:, 1],
        PLANE_NORMAL_Z.path: normal[:, 2],
        PLANE_OFFSET.path: _padded(offset[shown], params.max_planes, np.nan),
    }


def _count(kinds: Array, kind: int) -> Array:
    return np.array((kinds == kind).sum(), np.int32)


def _padded(values: Array, length: int, fill: float) -> Array:
    padded = np.full((length, *values.shape[1:]), fill, values.dtype)
    padded[: len(values)] = values
    return padded


ANALYSIS = Analysis(
    name="structure",
    kind="atoms",
    summary="Structure type of each atom (fcc, hcp, bcc, icosahedral, surface, disordered), twins and stacking faults",
    params=StructureParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.structure",
    needs=("positions", "rdf", "surface"),
    prepare=prepare,
    run=run,
)
