"""Structure type of each atom, and the twin boundaries and stacking faults they form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

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


def outputs(params: StructureParams) -> tuple[Variable, ...]:
    """Declare the structure type of each atom, the number of each and the layers."""
    frame, plane = ("frame",), ("frame", "plane")
    return (
        Variable("atoms/structure", ("frame", "atom"), "int8", "1", "structure type of the atom", flags=KINDS),
        Variable("atoms/hcp_layer", ("frame", "atom"), "int32", "1", "layer of hcp atoms that holds the atom"),
        Variable(
            "structure/structure_kind", ("structure_kind",), "int8", "1", "structure type", flags=KINDS, stage="prepare"
        ),
        Variable("structure/count", ("frame", "structure_kind"), "int32", "1", "atoms of each structure type"),
        Variable("structure/n_twin_boundaries", frame, "int32", "1", "twin boundaries: single layers of hcp atoms"),
        Variable("structure/n_stacking_faults", frame, "int32", "1", "intrinsic stacking faults: two hcp layers"),
        Variable("structure/n_hcp_lamellae", frame, "int32", "1", "lamellae of three hcp layers or more"),
        Variable("structure/plane_kind", plane, "int8", "1", "defect of which the hcp layer is part", flags=LAYERS),
        Variable("structure/plane_atoms", plane, "int32", "1", "atoms in the hcp layer"),
        Variable("structure/plane_normal_x", plane, "float64", "1", "normal of the hcp layer along x"),
        Variable("structure/plane_normal_y", plane, "float64", "1", "normal of the hcp layer along y"),
        Variable("structure/plane_normal_z", plane, "float64", "1", "normal of the hcp layer along z"),
        Variable("structure/plane_offset", plane, "float64", "angstrom", "hcp layer from the centre, along its normal"),
    )


def prepare(frames: Sequence[Frame], params: StructureParams) -> Mapping[str, Array]:
    """Name the structure types."""
    return {"structure/structure_kind": np.array(list(KINDS), np.int8)}


def run(frame: AtomsFrame, params: StructureParams) -> Mapping[str, Array]:
    """Tell the structure type of each atom and join hcp atoms to layers; -1 where no cutoff is known."""
    positions, n = frame.positions, len(frame.positions)
    cutoff = float(frame.results["rdf/cutoff"])
    neighbours = find_neighbours(positions, surface.REACH * cutoff, frame.cell, frame.periodic)
    order = common_neighbours.classify(neighbours)
    kind = order.kind
    kind[(kind == common_neighbours.OTHER) & (frame.results["atoms/surface"] == surface.SURFACE)] = SURFACE
    kind[~(np.isfinite(positions).all(axis=1) & (cutoff > 0))] = -1
    near = find_neighbours(positions, cutoff, frame.cell, frame.periodic)
    layers = stacking.hcp_layers(positions, kind == common_neighbours.HCP, order.normal, near, params.min_layer)
    shown = slice(params.max_planes)
    normal = _padded(layers.normal[shown], params.max_planes, np.nan)
    offset = np.einsum("pk,pk->p", layers.centre - positions.mean(axis=0), layers.normal) if n else np.empty(0)
    defects = layers.kind[np.unique(layers.defect, return_index=True)[1]]
    return {
        "atoms/structure": kind,
        "atoms/hcp_layer": layers.label,
        "structure/count": np.bincount(kind[kind >= 0], minlength=len(KINDS)).astype(np.int32),
        "structure/n_twin_boundaries": _count(defects, stacking.TWIN),
        "structure/n_stacking_faults": _count(defects, stacking.FAULT),
        "structure/n_hcp_lamellae": _count(defects, stacking.LAMELLA),
        "structure/plane_kind": _padded(layers.kind[shown], params.max_planes, -1),
        "structure/plane_atoms": _padded(layers.size[shown].astype(np.int32), params.max_planes, -1),
        "structure/plane_normal_x": normal[:, 0],
        "structure/plane_normal_y": normal[:, 1],
        "structure/plane_normal_z": normal[:, 2],
        "structure/plane_offset": _padded(offset[shown], params.max_planes, np.nan),
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
    needs=("positions", "rdf", "surface"),
    prepare=prepare,
    run=run,
)
