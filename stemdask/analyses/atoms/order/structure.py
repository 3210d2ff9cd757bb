"""Structure type of each atom; grains, twin boundaries, stacking faults and five-fold axes that they form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import bond_order, rdf
from stemdask.analyses.atoms.shape import surface
from stemdask.kernels.atoms import common_neighbours, grains, kinds, ordering, stacking
from stemdask.kernels.atoms.incomplete_shell import FEWEST
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.repeated_surroundings import repeats
from stemdask.kernels.atoms.surroundings import Surroundings, surroundings
from stemdask.kernels.atoms.template_match import Match
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable

DISORDERED, SURFACE, INCOMPLETE_SHELL, OTHER_CRYSTALLINE = 0, 5, 10, 11
LATTICES = {
    kinds.FCC: "fcc",
    kinds.HCP: "hcp",
    kinds.BCC: "bcc",
    kinds.ICOSAHEDRAL: "ico",
    kinds.CUBIC_DIAMOND: "cubic_diamond",
    kinds.HEXAGONAL_DIAMOND: "hexagonal_diamond",
    kinds.SIMPLE_CUBIC: "simple_cubic",
    kinds.FIVE_FOLD_AXIS: "five_fold_axis",
}
_WITHOUT_LATTICE = {
    DISORDERED: "disordered",
    SURFACE: "surface",
    INCOMPLETE_SHELL: "incomplete_shell",
    OTHER_CRYSTALLINE: "other_crystalline",
}
KINDS = dict(sorted((LATTICES | _WITHOUT_LATTICE).items()))
ORDERINGS = {
    ordering.UNORDERED: "none",
    ordering.L1_0: "L1_0",
    ordering.L1_2: "L1_2",
    ordering.B2: "B2",
    ordering.ZINCBLENDE: "zincblende",
    ordering.WURTZITE: "wurtzite",
    ordering.ROCK_SALT: "rock_salt",
    ordering.FLUORITE: "fluorite",
    ordering.PEROVSKITE: "perovskite",
}
#: Atoms of a lattice are bonded up to this multiple of the mean distance in its first shell.
LONGEST_BOND = 1.2
LAYERS = {stacking.TWIN: "twin_boundary", stacking.FAULT: "stacking_fault", stacking.LAMELLA: "hcp_lamella"}


class StructureParams(Params):
    """Structure types."""

    method: Literal["ptm", "cna"] = "ptm"
    """How fully coordinated atoms are classified: polyhedral template matching, which is robust to noise in the
    coordinates, or adaptive common neighbour analysis."""
    max_rmsd: Annotated[float, Field(gt=0, le=0.3)] = 0.12
    """Largest distance from a template (RMSD), in units of the mean distance of its neighbours."""
    max_misorientation: Annotated[float, Field(gt=0, le=30)] = 10.0
    """Neighbours whose orientations differ by more than this [degree] belong to different grains."""
    min_grain: Annotated[int, Field(ge=1)] = 8
    """Smallest number of atoms in a grain."""
    max_grains: Annotated[int, Field(ge=1, le=1000)] = 32
    """Largest number of grains kept per frame."""
    min_layer: Annotated[int, Field(ge=1)] = 3
    """Atoms that an hcp layer must have to count as part of a twin boundary or stacking fault."""
    max_planes: Annotated[int, Field(ge=1, le=1000)] = 32
    """Largest number of hcp layers kept per frame."""


_ATOM, _PLANE, _GRAIN, _FRAME = ("frame", "atom"), ("frame", "plane"), ("frame", "grain"), ("frame",)
STRUCTURE = Variable("atoms/structure", _ATOM, "int8", "1", "structure type of the atom", flags=KINDS)
LATTICE = Variable(
    "atoms/lattice",
    _ATOM,
    "int8",
    "1",
    "crystal of which the atom is part, also where neighbours are missing",
    flags={kinds.OTHER: "none", **LATTICES},
)
N_MISSING = Variable("atoms/n_missing", _ATOM, "int32", "1", "neighbours that are missing in the first shell")
TEMPLATE_RMSD = Variable("atoms/template_rmsd", _ATOM, "float64", "1", "distance from the template of the lattice")
INTERATOMIC_DISTANCE = Variable(
    "atoms/interatomic_distance", _ATOM, "float64", "angstrom", "distance of nearest neighbours of the template"
)
ORIENTATION = tuple(
    Variable(f"atoms/orientation_{part}", _ATOM, "float64", "1", f"{part} of the quaternion of the orientation")
    for part in "wxyz"
)
ORDERING = Variable("atoms/ordering", _ATOM, "int8", "1", "ordered structure of the elements", flags=ORDERINGS)
GRAIN = Variable("atoms/grain", _ATOM, "int32", "1", "grain of the atom, 0 is the largest")
HCP_LAYER = Variable("atoms/hcp_layer", _ATOM, "int32", "1", "layer of hcp atoms that holds the atom")
STRUCTURE_KIND = Variable(
    "structure/structure_kind", ("structure_kind",), "int8", "1", "structure type", flags=KINDS, stage="prepare"
)
COUNT = Variable("structure/count", ("frame", "structure_kind"), "int32", "1", "atoms of each structure type")
LATTICE_COUNT = Variable(
    "structure/lattice_count", ("frame", "structure_kind"), "int32", "1", "atoms of each lattice, at the surface too"
)
N_GRAINS = Variable("structure/n_grains", _FRAME, "int32", "1", "grains")
N_TWIN_BOUNDARIES = Variable(
    "structure/n_twin_boundaries", _FRAME, "int32", "1", "twin boundaries: single layers of hcp atoms"
)
N_STACKING_FAULTS = Variable(
    "structure/n_stacking_faults", _FRAME, "int32", "1", "intrinsic stacking faults: two hcp layers"
)
N_HCP_LAMELLAE = Variable("structure/n_hcp_lamellae", _FRAME, "int32", "1", "lamellae of three hcp layers or more")
N_FIVE_FOLD_AXES = Variable("structure/n_five_fold_axes", _FRAME, "int32", "1", "axes at which five twins meet")
PLANE_KIND = Variable(
    "structure/plane_kind", _PLANE, "int8", "1", "defect of which the hcp layer is part", flags=LAYERS
)
PLANE_ATOMS = Variable("structure/plane_atoms", _PLANE, "int32", "1", "atoms in the hcp layer")
PLANE_NORMAL = tuple(
    Variable(f"structure/plane_normal_{axis}", _PLANE, "float64", "1", f"normal of the hcp layer along {axis}")
    for axis in "xyz"
)
PLANE_OFFSET = Variable(
    "structure/plane_offset", _PLANE, "float64", "angstrom", "hcp layer from the centre, along its normal"
)
GRAIN_LATTICE = Variable("structure/grain_lattice", _GRAIN, "int8", "1", "lattice of the grain", flags=LATTICES)
GRAIN_ATOMS = Variable("structure/grain_atoms", _GRAIN, "int32", "1", "atoms in the grain")
GRAIN_ORIENTATION = tuple(
    Variable(f"structure/grain_orientation_{part}", _GRAIN, "float64", "1", f"{part} of the grain's mean quaternion")
    for part in "wxyz"
)


def outputs(params: StructureParams) -> tuple[Variable, ...]:
    """Declare the structure type and lattice of each atom, the number of each, the grains and the layers."""
    atoms = (STRUCTURE, LATTICE, N_MISSING, TEMPLATE_RMSD, INTERATOMIC_DISTANCE, *ORIENTATION, ORDERING, GRAIN)
    planes = (PLANE_KIND, PLANE_ATOMS, *PLANE_NORMAL, PLANE_OFFSET)
    counts = (N_GRAINS, N_TWIN_BOUNDARIES, N_STACKING_FAULTS, N_HCP_LAMELLAE, N_FIVE_FOLD_AXES)
    of_grains = (GRAIN_LATTICE, GRAIN_ATOMS, *GRAIN_ORIENTATION)
    return (*atoms, HCP_LAYER, STRUCTURE_KIND, COUNT, LATTICE_COUNT, *counts, *planes, *of_grains)


def prepare(frames: Sequence[Frame], params: StructureParams) -> Mapping[str, Array]:
    """Name the structure types."""
    return {STRUCTURE_KIND.path: np.array(list(KINDS), np.int8)}


def run(frame: AtomsFrame, params: StructureParams) -> Mapping[str, Array]:
    """Tell the structure type of each atom, and join atoms to grains and layers; -1 where no cutoff is known."""
    positions, cutoff = frame.positions, float(frame[rdf.CUTOFF])
    found = surroundings(positions, frame.numbers, frame.cell, frame.periodic, params.max_rmsd)
    match = found.match
    kind = _kinds(frame, found, params)
    lattice = np.where(kind >= 0, match.kind, -1).astype(np.int8)
    near = find_neighbours(positions, _reach(match, cutoff), frame.cell, frame.periodic)
    w, x, y, z = match.quaternion.T
    normal = np.column_stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    on_hcp = np.asarray(lattice == kinds.HCP)
    layers = stacking.hcp_layers(positions, on_hcp & (kind == kinds.HCP), normal, near, params.min_layer)
    at_boundary = stacking.at_boundary(on_hcp, layers, near)
    of_one = grains.find_grains(match, near, at_boundary, params.max_misorientation, params.min_grain)
    axis = grains.five_fold_axes(match, near)
    orientation = grains.reduced(match.quaternion, match.kind)
    return {
        STRUCTURE.path: kind,
        LATTICE.path: lattice,
        N_MISSING.path: found.missing,
        TEMPLATE_RMSD.path: match.rmsd,
        INTERATOMIC_DISTANCE.path: match.distance,
        **{variable.path: orientation[:, k] for k, variable in enumerate(ORIENTATION)},
        ORDERING.path: ordering.find_ordering(positions, frame.numbers, found, frame.cell, frame.periodic),
        GRAIN.path: of_one.label,
        HCP_LAYER.path: layers.label,
        COUNT.path: np.bincount(kind[kind >= 0], minlength=len(KINDS)).astype(np.int32),
        LATTICE_COUNT.path: np.bincount(lattice[lattice > 0], minlength=len(KINDS)).astype(np.int32),
        N_GRAINS.path: np.array(len(of_one.size), np.int32),
        N_FIVE_FOLD_AXES.path: np.array(axis.max(initial=-1) + 1, np.int32),
        **_of_planes(frame, layers, params.max_planes),
        **_of_grains(of_one, params.max_grains),
    }


def _reach(match: Match, cutoff: float) -> float:
    """Return how far apart atoms of a grain may be; the first minimum of g(r) may lie within a distorted shell."""
    found = match.distance[match.kind != kinds.OTHER]
    return max(cutoff, LONGEST_BOND * float(np.median(found))) if len(found) else cutoff


def usual_lattice(count: Array) -> int:
    """Return the lattice of most atoms that have one, 0 where none has.

    Parameters
    ----------
    count
        (kinds,), atoms of each lattice.
    """
    return list(KINDS)[int(np.argmax(count))] if count.any() else 0


def _kinds(frame: AtomsFrame, found: Surroundings, params: StructureParams) -> Array:
    """Tell the structure type of each atom.

    Disordered is only what lies on no lattice, has no crystalline surroundings by s6, and none that are found again at
    other atoms either.
    """
    lattice = found.match.kind
    complete = np.where(found.missing == 0, lattice, kinds.OTHER).astype(np.int8)
    cutoff = float(frame[rdf.CUTOFF])
    if params.method == "cna":
        wide = find_neighbours(frame.positions, surface.REACH * cutoff, frame.cell, frame.periodic)
        complete = common_neighbours.classify(wide).kind
    at_surface = frame[surface.AT_SURFACE] == surface.SURFACE
    crystalline = frame[bond_order.CRYSTALLINE] == 1
    alone = frame[bond_order.N_NEIGHBORS] < FEWEST
    asked = (lattice == kinds.OTHER) & (complete == kinds.OTHER) & ~crystalline
    repeated = repeats(frame.positions, frame.numbers, asked, frame.cell, frame.periodic)
    kind = np.select(
        [
            complete != kinds.OTHER,
            at_surface & ((lattice != kinds.OTHER) | crystalline | repeated | alone),
            ~at_surface & (found.missing > 0),
            crystalline | (found.missing == 0) | repeated,
        ],
        [complete, SURFACE, INCOMPLETE_SHELL, OTHER_CRYSTALLINE],
        DISORDERED,
    ).astype(np.int8)
    kind[~(np.isfinite(frame.positions).all(axis=1) & (cutoff > 0))] = -1
    return kind


def _of_planes(frame: AtomsFrame, layers: stacking.Layers, most: int) -> Mapping[str, Array]:
    normal = _padded(layers.normal[:most], most, np.nan)
    middle = frame.positions.mean(axis=0) if len(frame.positions) else np.zeros(3)
    offset = np.einsum("pk,pk->p", layers.centre - middle, layers.normal)
    defects = layers.kind[np.unique(layers.defect, return_index=True)[1]]
    return {
        N_TWIN_BOUNDARIES.path: _count(defects, stacking.TWIN),
        N_STACKING_FAULTS.path: _count(defects, stacking.FAULT),
        N_HCP_LAMELLAE.path: _count(defects, stacking.LAMELLA),
        PLANE_KIND.path: _padded(layers.kind[:most], most, -1),
        PLANE_ATOMS.path: _padded(layers.size[:most].astype(np.int32), most, -1),
        **{variable.path: normal[:, k] for k, variable in enumerate(PLANE_NORMAL)},
        PLANE_OFFSET.path: _padded(offset[:most], most, np.nan),
    }


def _of_grains(found: grains.Grains, most: int) -> Mapping[str, Array]:
    orientation = _padded(found.quaternion[:most], most, np.nan)
    return {
        GRAIN_LATTICE.path: _padded(found.kind[:most], most, -1),
        GRAIN_ATOMS.path: _padded(found.size[:most].astype(np.int32), most, -1),
        **{variable.path: orientation[:, k] for k, variable in enumerate(GRAIN_ORIENTATION)},
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
    summary="Structure type, orientation and chemical order of each atom; grains, twins, stacking faults, surface",
    params=StructureParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.structure",
    needs=("positions", "rdf", "surface", "bond_order"),
    prepare=prepare,
    run=run,
)
