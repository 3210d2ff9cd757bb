"""Area and volume of the surface, its facets {hkl}, and how far these are from the Wulff shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.spatial import cKDTree

from stemdask.analyses.atoms.order import rdf, structure
from stemdask.kernels.arrays import Codes, Floats, Indices
from stemdask.kernels.atoms import kinds, ordering
from stemdask.kernels.atoms.alpha_shape import AlphaShape, alpha_shape
from stemdask.kernels.atoms.facets import (
    Planes,
    broken_bonds,
    hexagonal_planes,
    nearest_plane,
    planes,
    wulff_areas,
)
from stemdask.kernels.atoms.quaternions import rotation_of
from stemdask.kernels.atoms.surface_bonds import CRYSTALS, FLUORITE
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import LengthAngstrom

#: Lattices by whose cube axes facets are named.
CUBIC = (kinds.FCC, kinds.BCC, kinds.CUBIC_DIAMOND, kinds.SIMPLE_CUBIC)
#: Rows of atoms in the facets of a hexagonal crystal lie at two heights. A probe as many times larger doesn't sink in.
_ACROSS_ROWS = 2.0

_Index = Annotated[int, Field(ge=0, le=9)]


class FacetsParams(Params):
    """Surface and facets."""

    probe_radius: Literal["auto"] | LengthAngstrom = "auto"
    """Radius of the sphere that is rolled over the atoms: it must be too large to pass between atoms inside; auto: the
    first minimum of g(r)."""
    families: Annotated[tuple[tuple[_Index, _Index, _Index], ...], Field(min_length=1)] = (
        (1, 0, 0),
        (1, 1, 0),
        (1, 1, 1),
    )
    """Miller indices {hkl} of the facets to look for in cubic grains."""
    hexagonal_families: Annotated[tuple[tuple[_Index, _Index, _Index], ...], Field(min_length=1)] = (
        (0, 0, 1),
        (1, 0, 0),
        (1, 0, 1),
    )
    """Miller indices h, k, l of the facets {hkil} to look for in hexagonal close-packed grains."""
    max_angle: Annotated[float, Field(gt=0, le=30)] = 15.0
    """A part of the surface that is tilted by more than this [degree] from all families belongs to no facet."""
    surface_energies: Literal["broken_bonds"] | tuple[Annotated[float, Field(gt=0)], ...] = "broken_bonds"
    """Surface energy of each family, in any unit, for the Wulff shape; broken_bonds: proportional to the number of
    nearest neighbours lost at the surface."""

    @model_validator(mode="after")
    def _sensible(self) -> FacetsParams:
        if (0, 0, 0) in (*self.families, *self.hexagonal_families):
            raise ValueError("there is no plane (0 0 0)")
        if len({tuple(sorted(family)) for family in self.families}) < len(self.families):
            raise ValueError(f"a family is listed twice in {list(self.families)}")
        hexagonal = {(*sorted(hkl[:2]), hkl[2]) for hkl in self.hexagonal_families}
        if len(hexagonal) < len(self.hexagonal_families):
            raise ValueError(f"a family is listed twice in {list(self.hexagonal_families)}")
        given = self.surface_energies
        if given != "broken_bonds" and len(given) != len(self.families):
            raise ValueError(f"{len(self.families)} families need as many surface energies, got {len(given)}")
        return self


_FRAME, _FAMILY, _HEXAGONAL = ("frame",), ("frame", "facet_family"), ("frame", "hexagonal_family")
AREA = Variable("facets/surface_area", _FRAME, "float64", "angstrom^2", "area of the surface", trend=True)
VOLUME = Variable("facets/enclosed_volume", _FRAME, "float64", "angstrom^3", "volume inside the surface")
SPHERICITY = Variable("facets/sphericity", _FRAME, "float64", "1", "area of a sphere of that volume over the area")
MILLER = tuple(
    Variable(
        f"facets/{index}", ("facet_family",), "int32", "1", f"Miller index {index}", stage="prepare", coordinate=True
    )
    for index in "hkl"
)
HEXAGONAL_MILLER = tuple(
    Variable(
        f"facets/hexagonal_{index}",
        ("hexagonal_family",),
        "int32",
        "1",
        f"Miller index {index} of a hexagonal close-packed crystal",
        stage="prepare",
        coordinate=True,
    )
    for index in "hkl"
)
FACET = Variable(
    "atoms/facet",
    ("frame", "atom"),
    "int8",
    "1",
    "family of the facet on which the atom lies, by its number; hexagonal ones follow the cubic ones; -1: on none",
)
FACET_AREA = Variable("facets/area", _FAMILY, "float64", "angstrom^2", "area of the facets of the family")
FACET_FRACTION = Variable("facets/fraction", _FAMILY, "float64", "1", "fraction of the surface in the family")
DISTANCE = Variable(
    "facets/distance",
    _FAMILY,
    "float64",
    "angstrom",
    "mean distance of the facets of the family from the centre",
    "facets/distance_err",
)
DISTANCE_ERR = Variable(
    "facets/distance_err", _FAMILY, "float64", "angstrom", "standard error of the mean distance of the facets"
)
WULFF_FRACTION = Variable(
    "facets/wulff_fraction", _FAMILY, "float64", "1", "fraction of the surface of the Wulff shape in the family"
)
HEXAGONAL_AREA = Variable(
    "facets/hexagonal_area",
    _HEXAGONAL,
    "float64",
    "angstrom^2",
    "area of the facets of the family of hexagonal close-packed grains",
)
HEXAGONAL_FRACTION = Variable(
    "facets/hexagonal_fraction", _HEXAGONAL, "float64", "1", "fraction of the surface in the hexagonal family"
)


def outputs(params: FacetsParams) -> tuple[Variable, ...]:
    """Declare the surface, and each family of facets beside that of the Wulff shape."""
    of_families = (*MILLER, FACET, FACET_AREA, FACET_FRACTION, DISTANCE, DISTANCE_ERR, WULFF_FRACTION)
    return AREA, VOLUME, SPHERICITY, *of_families, *HEXAGONAL_MILLER, HEXAGONAL_AREA, HEXAGONAL_FRACTION


def prepare(frames: Sequence[Frame], params: FacetsParams) -> Mapping[str, Array]:
    """Name the families."""
    cubic, hexagonal = (np.array(each, np.int32) for each in (params.families, params.hexagonal_families))
    named = {variable.path: cubic[:, k] for k, variable in enumerate(MILLER)}
    return named | {variable.path: hexagonal[:, k] for k, variable in enumerate(HEXAGONAL_MILLER)}


def run(frame: AtomsFrame, params: FacetsParams) -> Mapping[str, Array]:
    """Measure the surface of one frame.

    All is NaN where the atoms fill no volume and in a periodic box, facets also where no grain has their lattice, and
    distances of cubic ones where there are several grains, which have no common centre.
    """
    radius = float(frame[rdf.CUTOFF]) if params.probe_radius == "auto" else params.probe_radius.angstrom()
    surface = None if any(frame.periodic) else alpha_shape(frame.positions, radius)
    n, n_hexagonal = len(params.families), len(params.hexagonal_families)
    area = volume = sphericity = np.nan
    areas, fractions, distances, errors, wulff = np.full((5, n), np.nan)
    hexagonal_areas, hexagonal_fractions = np.full((2, n_hexagonal), np.nan)
    facet = np.full(len(frame.positions), -1, np.int8)
    if surface is not None:
        area, volume = surface.area, surface.volume
        sphericity = np.cbrt(36 * np.pi * volume**2) / area
        every = planes(params.families)
        plane = _planes_of(frame, surface, radius, CUBIC, every, params.max_angle)
        if plane is not None:
            areas, fractions = _of_families(surface, every, plane)
            facet = _facet_of_atoms(surface, every.family, plane, len(facet))
            wulff = _wulff(frame, params)
            if frame[structure.N_GRAINS] == 1:
                distances, errors = _distances(frame, surface, every, plane)
        if kinds.HCP in frame[structure.GRAIN_LATTICE]:
            smooth = alpha_shape(frame.positions, _ACROSS_ROWS * radius)
            every = hexagonal_planes(params.hexagonal_families)
            plane = smooth and _planes_of(frame, smooth, radius, (kinds.HCP,), every, params.max_angle)
            if smooth is not None and plane is not None:
                hexagonal_areas, hexagonal_fractions = _of_families(smooth, every, plane)
                found = _facet_of_atoms(smooth, every.family, plane, len(facet))
                facet = np.where((facet < 0) & (found >= 0), n + found, facet).astype(np.int8)
    return {
        AREA.path: np.array(area),
        VOLUME.path: np.array(volume),
        SPHERICITY.path: np.array(sphericity),
        FACET.path: facet,
        FACET_AREA.path: areas,
        FACET_FRACTION.path: fractions,
        DISTANCE.path: distances,
        DISTANCE_ERR.path: errors,
        WULFF_FRACTION.path: wulff,
        HEXAGONAL_AREA.path: hexagonal_areas,
        HEXAGONAL_FRACTION.path: hexagonal_fractions,
    }


def _of_families(surface: AlphaShape, every: Planes, plane: Indices) -> tuple[Floats, Floats]:
    """Return the area of each family, and which part of the surface that is."""
    on = plane >= 0
    areas = np.bincount(every.family[plane[on]], surface.areas[on], every.family.max() + 1).astype(float)
    return areas, areas / surface.area


def _planes_of(
    frame: AtomsFrame, surface: AlphaShape, reach: float, lattices: tuple[int, ...], every: Planes, max_angle: float
) -> Indices | None:
    """Return the plane to which each triangle belongs, by the axes of the nearest grain of some lattices; -1 none."""
    grain, kept = frame[structure.GRAIN], frame[structure.GRAIN_LATTICE]
    crystalline = (grain >= 0) & (grain < len(kept))
    lattice = np.where(crystalline, kept[np.minimum(grain, len(kept) - 1)], -1)
    of_grains = np.flatnonzero(np.isin(lattice, (*CUBIC, kinds.HCP)))
    if not np.isin(lattice, lattices).any():
        return None
    middle = frame.positions[surface.triangles].mean(axis=1)
    away, nearest = cKDTree(frame.positions[of_grains]).query(middle)
    owner = grain[of_grains[nearest]]
    quaternions = np.column_stack([frame[part] for part in structure.GRAIN_ORIENTATION])
    normals = np.zeros_like(surface.normals)
    for one in np.unique(owner[np.isin(kept[owner], lattices)]):
        rotation = np.empty((3, 3))
        rotation_of(quaternions[one], rotation)
        normals[owner == one] = surface.normals[owner == one] @ rotation
    normals[away > 2 * reach] = 0.0
    return nearest_plane(normals, every, max_angle)


def _facet_of_atoms(surface: AlphaShape, family: Indices, plane: Indices, n: int) -> Codes:
    """Return the family that has most of the surface around each of `n` atoms; -1 where none has any."""
    of_triangle = np.where(plane >= 0, family[plane], -1)
    around = np.zeros((n, family.max() + 2))
    np.add.at(around, (surface.triangles, of_triangle[:, None]), surface.areas[:, None])  # none: the last column
    most = around.argmax(axis=1)
    on_none = (most == around.shape[1] - 1) | (around.max(axis=1) == 0)
    return np.where(on_none, -1, most).astype(np.int8)


def _wulff(frame: AtomsFrame, params: FacetsParams) -> Floats:
    """Return the Wulff shape of the largest cubic grain; NaN where energies are to be of bonds that aren't known."""
    if params.surface_energies != "broken_bonds":
        return wulff_areas(params.families, params.surface_energies)
    kept = frame[structure.GRAIN_LATTICE]
    largest = next(k for k, one in enumerate(kept) if one in CUBIC)
    atoms = frame[structure.GRAIN] == largest
    if (frame[structure.SUBLATTICE][atoms] == 1).any():
        return np.full(len(params.families), np.nan)
    of_fluorite = 2 * (frame[structure.ORDERING][atoms] == ordering.FLUORITE).sum() > atoms.sum()
    crystal = CRYSTALS[FLUORITE if of_fluorite else int(kept[largest])]
    return wulff_areas(params.families, broken_bonds(params.families, crystal).tolist())


def _distances(frame: AtomsFrame, surface: AlphaShape, every: Planes, plane: Indices) -> tuple[Floats, Floats]:
    """Return how far the facets of each family are from the middle of the atoms, and the standard error."""
    corners = frame.positions[surface.triangles]
    centre = frame.positions[np.isfinite(frame.positions).all(axis=1)].mean(axis=0)
    height = np.einsum("tj,tj->t", corners.mean(axis=1) - centre, surface.normals)
    n_planes = len(every.normals)
    weight = np.bincount(plane[plane >= 0], surface.areas[plane >= 0], n_planes)
    sums = np.bincount(plane[plane >= 0], (surface.areas * height)[plane >= 0], n_planes)
    found, errors = np.full((2, every.family.max() + 1), np.nan)
    for k in range(len(found)):
        own = (every.family == k) & (weight > 0)
        if own.any():
            of_planes = sums[own] / weight[own]
            found[k] = of_planes.mean()
            if own.sum() > 1:
                errors[k] = of_planes.std(ddof=1) / np.sqrt(own.sum())
    return found, errors


ANALYSIS = Analysis(
    name="facets",
    kind="atoms",
    summary="Area and volume of the surface, facets {hkl} with their areas, and the Wulff shape beside",
    params=FacetsParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.facets",
    needs=("positions", "rdf", "structure"),
    prepare=prepare,
    run=run,
)
