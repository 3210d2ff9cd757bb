"""Structure type of each atom; grains, twin boundaries, stacking faults and five-fold axes that they form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import bond_order, rdf
from stemdask.analyses.atoms.shape import surface
from stemdask.kernels.arrays import Booleans
from stemdask.kernels.atoms import common_neighbours, grains, kinds, ordering, stacking
from stemdask.kernels.atoms.incomplete_shell import FEWEST
from stemdask.kernels.atoms.molecules import in_molecules
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.repeated_surroundings import repeats
from stemdask.kernels.atoms.surroundings import Surroundings, surroundings, without
from stemdask.kernels.atoms.template_match import Match
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.sources.atoms.elements import covalent_bonds, longest_bonds

DISORDERED, SURFACE, INCOMPLETE_SHELL, OTHER_CRYSTALLINE, IN_MOLECULE = 0, 5, 10, 11, 12
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
    IN_MOLECULE: "in_molecule",
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
#: Non-metals that form molecules, and those of which a few atoms bonded to each other are a cluster all the same.
MOLECULAR = (1, 6, 7, 8, 9, 15, 16, 17, 34, 35, 53)
CLUSTERS = (5, 14, 32, 33, 52)
#: Part of an element's atoms that must be ordered as a compound for its lattice to be part of that.
_USUAL = 0.5
#: Atoms on fcc lattices, for each on an hcp one, below which there is no fcc crystal.
_FEW_FCC = 0.02
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
SUBLATTICE = Variable(
    "atoms/sublattice",
    _ATOM,
    "int8",
    "1",
    "whether the lattice is that of the atoms of this element alone, in a compound that isn't known here",
    flags={0: "no", 1: "yes"},
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
    "structure/lattice_count",
    ("frame", "structure_kind"),
    "int32",
    "1",
    "atoms of each lattice, at the surface too, sublattices left out",
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
    atoms = (
        STRUCTURE,
        LATTICE,
        SUBLATTICE,
        N_MISSING,
        TEMPLATE_RMSD,
        INTERATOMIC_DISTANCE,
        *ORIENTATION,
        ORDERING,
        GRAIN,
    )
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
    order = ordering.find_ordering(positions, frame.numbers, found, frame.cell, frame.periodic)
    # The cuboctahedron of anions around the large cation of a perovskite is no fcc crystal.
    found = without(found, np.isin(frame.numbers, _usually(frame, order, ordering.PEROVSKITE)) & ~found.own)
    found, repeated = _recurring(frame, found)
    sublattice = _sublattices(frame, found, order)
    match = found.match
    kind = _kinds(frame, found, sublattice, repeated, params)
    lattice = np.where(kind >= 0, match.kind, -1).astype(np.int8)
    near = find_neighbours(positions, _reach(match, cutoff), frame.cell, frame.periodic)
    w, x, y, z = match.quaternion.T
    normal = np.column_stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    on_hcp = np.asarray((lattice == kinds.HCP) & ~sublattice)
    # Where hardly an atom is fcc, hcp layers are those of a crystal and no defects of another.
    in_fcc = bool((lattice == kinds.FCC).sum() > _FEW_FCC * on_hcp.sum())
    layers = stacking.hcp_layers(positions, on_hcp & (kind == kinds.HCP) & in_fcc, normal, near, params.min_layer)
    at_boundary = stacking.at_boundary(on_hcp & in_fcc, layers, near)
    of_one = grains.find_grains(
        _one_sublattice(frame, match, sublattice), near, at_boundary, params.max_misorientation, params.min_grain
    )
    axis = grains.five_fold_axes(match, near)
    orientation = grains.reduced(match.quaternion, match.kind)
    return {
        STRUCTURE.path: kind,
        LATTICE.path: lattice,
        SUBLATTICE.path: np.where(kind >= 0, sublattice, -1).astype(np.int8),
        N_MISSING.path: found.missing,
        TEMPLATE_RMSD.path: match.rmsd,
        INTERATOMIC_DISTANCE.path: match.distance,
        **{variable.path: orientation[:, k] for k, variable in enumerate(ORIENTATION)},
        ORDERING.path: order,
        GRAIN.path: of_one.label,
        HCP_LAYER.path: layers.label,
        COUNT.path: np.bincount(kind[kind >= 0], minlength=len(KINDS)).astype(np.int32),
        LATTICE_COUNT.path: np.bincount(lattice[(lattice > 0) & ~sublattice], minlength=len(KINDS)).astype(np.int32),
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


def _recurring(frame: AtomsFrame, found: Surroundings) -> tuple[Surroundings, Booleans]:
    """Tell whose surroundings are found again at other atoms, where no lattice explains that.

    Icosahedra stand alone in particles and melts. Those that recur are of a crystal, as A15 or a Laves phase, and the
    icosahedron is the surroundings of one of its sites.
    """
    alone = found.match.kind == kinds.ICOSAHEDRAL
    asked = alone | ((found.match.kind == kinds.OTHER) & (frame[bond_order.CRYSTALLINE] != 1))
    repeated = repeats(frame.positions, frame.numbers, asked, frame.cell, frame.periodic)
    return without(found, alone & repeated), repeated


def _sublattices(frame: AtomsFrame, found: Surroundings, order: Array) -> Booleans:
    """Tell the atoms whose template says how those of their element lie, and not what the structure is."""
    of_compound = np.isin(frame.numbers, _usually(frame, order, ordering.FLUORITE))
    sublattice: Booleans = found.own & ~of_compound
    return sublattice


def _usually(frame: AtomsFrame, order: Array, compound: int) -> Array:
    """Return the elements of which most atoms are ordered as a compound."""
    elements, species = np.unique(frame.numbers, return_inverse=True)
    ordered = np.bincount(species[order == compound], minlength=len(elements))
    return elements[ordered > _USUAL * np.bincount(species, minlength=len(elements))]


def _one_sublattice(frame: AtomsFrame, match: Match, sublattice: Booleans) -> Match:
    """Leave all sublattices but that of most atoms out, which alone says how the crystals lie."""
    if not sublattice.any():
        return match
    most = np.argmax(np.bincount(frame.numbers[sublattice]))
    return match._replace(kind=np.where(sublattice & (frame.numbers != most), kinds.OTHER, match.kind).astype(np.int8))


def _kinds(
    frame: AtomsFrame, found: Surroundings, sublattice: Booleans, repeated: Booleans, params: StructureParams
) -> Array:
    """Tell the structure type of each atom.

    Disordered is only what lies on no lattice, has no crystalline surroundings by s6, none that are found again at
    other atoms, and is in no molecule either, which surroundings say nothing of.
    """
    lattice = found.match.kind
    complete = np.where((found.missing == 0) & ~sublattice, lattice, kinds.OTHER).astype(np.int8)
    cutoff = float(frame[rdf.CUTOFF])
    if params.method == "cna":
        wide = find_neighbours(frame.positions, surface.REACH * cutoff, frame.cell, frame.periodic)
        complete = common_neighbours.classify(wide).kind
    at_surface = frame[surface.AT_SURFACE] == surface.SURFACE
    crystalline = frame[bond_order.CRYSTALLINE] == 1
    alone = frame[bond_order.N_NEIGHBORS] < FEWEST
    kind = np.select(
        [
            complete != kinds.OTHER,
            (lattice == kinds.OTHER) & ~crystalline & ~repeated & _molecules(frame),
            at_surface & ((lattice != kinds.OTHER) | crystalline | repeated | alone),
            ~at_surface & (found.missing > 0),
            crystalline | (found.missing == 0) | repeated,
        ],
        [complete, IN_MOLECULE, SURFACE, INCOMPLETE_SHELL, OTHER_CRYSTALLINE],
        DISORDERED,
    ).astype(np.int8)
    kind[~(np.isfinite(frame.positions).all(axis=1) & (cutoff > 0))] = -1
    return kind


def _molecules(frame: AtomsFrame) -> Booleans:
    """Tell the atoms of molecules of non-metals, of which few atoms of silicon or boron alone are none."""
    elements, species = np.unique(frame.numbers, return_inverse=True)
    non_metal = covalent_bonds(elements).diagonal() > 0
    if not np.isin(elements, MOLECULAR).any():
        return np.zeros(len(species), bool)
    found = in_molecules(frame.positions, species, longest_bonds(elements), frame.cell, frame.periodic)
    return found & non_metal[species] & ~np.isin(frame.numbers, CLUSTERS)


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
