"""Surface and core of a particle: depth below the hull, surface atoms, generalized coordination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import rdf
from stemdask.kernels.arrays import Booleans
from stemdask.kernels.atoms.convex_body import convex_body
from stemdask.kernels.atoms.generalized_coordination import generalized_coordination
from stemdask.kernels.atoms.neighbour_rules import nearest
from stemdask.kernels.atoms.neighbours import Neighbours, find_neighbours
from stemdask.kernels.atoms.surface import has_empty_cone
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable
from stemdask.sources.atoms.elements import covalent_bonds, van_der_waals_radius

#: From the first minimum of g(r) to between the second and the third shell.
REACH = 1.3
#: Atoms with fewer neighbours than fcc's first shell up to there, as in quartz, also see as many as its first two hold:
#: bonds alone leave cones empty in the midst of a crystal.
FEW, SEEN = 12, 18
#: Non-metals, and what is bonded to them, see as far as what faces them across a gap, by twice the largest van der
#: Waals radius (2 angstrom where it isn't known): gaps between layers or molecules, and cages, are no surface.
FACING, _RADIUS = 1.5, 2.0

CORE, SURFACE = 0, 1


class SurfaceParams(Params):
    """Surface and core."""

    cone: Annotated[float, Field(gt=0, lt=90)] = 60.0
    """An atom is at the surface if an empty cone of this half angle [degree] can start from it."""
    bulk_coordination: Annotated[int, Field(ge=1, le=20)] = 12
    """Coordination number of the bulk, to which the generalized coordination refers."""


_ATOM, _FRAME = ("frame", "atom"), ("frame",)
DEPTH = Variable("atoms/depth", _ATOM, "float64", "angstrom", "depth below the nearest face of the convex hull")
AT_SURFACE = Variable(
    "atoms/surface",
    _ATOM,
    "int8",
    "1",
    "whether the atom is at the surface",
    flags={CORE: "core", SURFACE: "surface"},
)
GENERALIZED_COORDINATION = Variable(
    "atoms/generalized_coordination", _ATOM, "float64", "1", "generalized coordination number"
)
N_SURFACE = Variable("particle/n_surface", _FRAME, "int32", "1", "atoms at the surface")
FRACTION_SURFACE = Variable(
    "particle/fraction_surface", _FRAME, "float64", "1", "fraction of the atoms at the surface", trend=True
)


def outputs(params: SurfaceParams) -> tuple[Variable, ...]:
    """Declare what is known of each atom, and how many are at the surface."""
    return DEPTH, AT_SURFACE, GENERALIZED_COORDINATION, N_SURFACE, FRACTION_SURFACE


def run(frame: AtomsFrame, params: SurfaceParams) -> Mapping[str, Array]:
    """Tell surface from core; the depth is NaN where the atoms span no volume, all others where no cutoff is known."""
    positions, cutoff = frame.positions, float(frame[rdf.CUTOFF])
    placed = np.asarray(np.isfinite(positions).all(axis=1))
    known = placed & (cutoff > 0)
    far = find_neighbours(positions, REACH * cutoff, frame.cell, frame.periodic)
    empty = has_empty_cone(far, params.cone)
    few = empty & (far.counts < FEW)
    if few.any():
        around = nearest(positions, SEEN, frame.cell, frame.periodic)
        empty[few] = has_empty_cone(around, params.cone)[few]
    empty &= ~_facing_others(frame, far, empty, params.cone)
    surface = np.where(known, empty, -1).astype(np.int8)
    near = find_neighbours(positions, cutoff, frame.cell, frame.periodic)
    n_surface, n_known = int((surface == SURFACE).sum()), int(known.sum())
    return {
        DEPTH.path: _depth(frame, placed),
        AT_SURFACE.path: surface,
        GENERALIZED_COORDINATION.path: np.where(
            known, generalized_coordination(near, params.bulk_coordination), np.nan
        ),
        N_SURFACE.path: np.array(n_surface, np.int32),
        FRACTION_SURFACE.path: np.array(n_surface / n_known if n_known else np.nan),
    }


def _facing_others(frame: AtomsFrame, far: Neighbours, asked: Booleans, cone: float) -> Booleans:
    """Tell which non-metals and neighbours of such, among those asked for, have others on the far side of a gap."""
    elements, species = np.unique(frame.numbers, return_inverse=True)
    non_metals = covalent_bonds(elements).diagonal() > 0
    facing: Booleans = np.zeros(len(asked), bool)
    open_to = non_metals[species]
    open_to |= 2 * open_to.sum() > len(asked)  # beyond what counts as a bond here, as of calcium in CaB6
    open_to |= np.bincount(far.centre[open_to[far.other]], minlength=len(asked)) > 0
    asked = asked & open_to
    if asked.any():
        radius = max(van_der_waals_radius(number, _RADIUS) for number in elements[non_metals])
        around = find_neighbours(frame.positions, 2 * FACING * radius, frame.cell, frame.periodic)
        facing[asked] = ~has_empty_cone(around, cone)[asked]
    return facing


def _depth(frame: AtomsFrame, placed: Array) -> Array:
    depth = np.full(len(placed), np.nan)
    body = None if any(frame.periodic) else convex_body(frame.positions[placed])
    if body is not None:
        depth[placed] = np.maximum(body.depth(frame.positions[placed]), 0.0)  # corners are rounded to either side
    return depth


ANALYSIS = Analysis(
    name="surface",
    kind="atoms",
    summary="Surface and core: depth below the convex hull, surface atoms, generalized coordination number",
    params=SurfaceParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.surface",
    needs=("positions", "rdf"),
    run=run,
)
