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
from stemdask.kernels.atoms.facets import Planes, broken_bonds, nearest_plane, planes, wulff_areas
from stemdask.kernels.atoms.quaternions import rotation_of
from stemdask.kernels.atoms.surface_bonds import CRYSTALS, FLUORITE
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import LengthAngstrom

#: Lattices by whose cube axes facets are named.
CUBIC = (kinds.FCC, kinds.BCC, kinds.CUBIC_DIAMOND, kinds.SIMPLE_CUBIC)

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
    """Miller indices {hkl} of the facets to look for."""
    max_angle: Annotated[float, Field(gt=0, le=30)] = 15.0
    """A part of the surface that is tilted by more than this [degree] from all families belongs to no facet."""
    surface_energies: Literal["broken_bonds"] | tuple[Annotated[float, Field(gt=0)], ...] = "broken_bonds"
    """Surface energy of each family, in any unit, for the Wulff shape; broken_bonds: proportional to the number of
    nearest neighbours lost at the surface."""

    @model_validator(mode="after")
    def _sensible(self) -> FacetsParams:
        if (0, 0, 0) in self.families:
            raise ValueError("there is no plane (0 0 0)")
        if len({tuple(sorted(family)) for family in self.families}) < len(self.families):
            raise ValueError(f"a family is listed twice in {list(self.families)}")
        given = self.surface_energies
        if given != "broken_bonds" and len(given) != len(self.families):
            raise ValueError(f"{len(self.families)} families need as many surface energies, got {len(given)}")
        return self


_FRAME, _FAMILY = ("frame",), ("frame", "facet_family")
AREA = Variable("facets/surface_area", _FRAME, "float64", "angstrom^2", "area of the surface", trend=True)
VOLUME = Variable("facets/enclosed_volume", _FRAME, "float64", "angstrom^3", "volume inside the surface")
SPHERICITY = Variable("facets/sphericity", _FRAME, "float64", "1", "area of a sphere of that volume over the area")
MILLER = tuple(
    Variable(
        f"facets/{index}", ("facet_family",), "int32", "1", f"Miller index {index}", stage="prepare", coordinate=True
    )
    for index in "hkl"
)
FACET = Variable(
    "atoms/facet",
    ("frame", "atom"),
    "int8",
    "1",
    "family of the facet on which the atom lies, by its number; -1: on none",
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


def outputs(params: FacetsParams) -> tuple[Variable, ...]:
    """Declare the surface, and each family of facets beside that of the Wulff shape."""
    return AREA, VOLUME, SPHERICITY, *MILLER, FACET, FACET_AREA, FACET_FRACTION, DISTANCE, DISTANCE_ERR, WULFF_FRACTION


def prepare(frames: Sequence[Frame], params: FacetsParams) -> Mapping[str, Array]:
    """Name the families."""
    indices = np.array(params.families, np.int32)
    return {variable.path: indices[:, k] for k, variable in enumerate(MILLER)}


def run(frame: AtomsFrame, params: FacetsParams) -> Mapping[str, Array]:
    """Measure the surface of one frame.

    All is NaN where the atoms fill no volume and in a periodic box, facets also where there is no cubic grain, and
    their distances where there are several grains, which have no common centre.
    """
    radius = float(frame[rdf.CUTOFF]) if params.probe_radius == "auto" else params.probe_radius.angstrom()
    surface = None if any(frame.periodic) else alpha_shape(frame.positions, radius)
    n = len(params.families)
    area = volume = sphericity = np.nan
    areas, fractions, distances, errors, wulff = np.full((5, n), np.nan)
    facet = np.full(len(frame.positions), -1, np.int8)
    if surface is not None:
        area, volume = surface.area, surface.volume
        sphericity = np.cbrt(36 * np.pi * volume**2) / area
        every, plane = planes(params.families), _planes_of(frame, surface, radius, params)
        if plane is not None:
            areas = np.bincount(every.family[plane[plane >= 0]], surface.areas[plane >= 0], n)
            fractions = areas / area
            facet = _facet_of_atoms(surface, every.family, plane, len(facet))
            wulff = _wulff(frame, params)
            if frame[structure.N_GRAINS] == 1:
                distances, errors = _distances(frame, surface, every, plane)
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
    }


def _planes_of(frame: AtomsFrame, surface: AlphaShape, reach: float, params: FacetsParams) -> Indices | None:
    """Return the plane to which each triangle belongs, by the cube axes of the grain that is nearest to it; -1 none."""
    grain = frame[structure.GRAIN]
    kept = frame[structure.GRAIN_LATTICE]
    of_cube = np.flatnonzero(
        (grain >= 0) & (grain < len(kept)) & np.isin(kept[np.minimum(grain, len(kept) - 1)], CUBIC)
    )
    if not len(of_cube):
        return None
    middle = frame.positions[surface.triangles].mean(axis=1)
    away, nearest = cKDTree(frame.positions[of_cube]).query(middle)
    owner = grain[of_cube[nearest]]
    quaternions = np.column_stack([frame[part] for part in structure.GRAIN_ORIENTATION])
    normals = np.zeros_like(surface.normals)
    for one in np.unique(owner):
        rotation = np.empty((3, 3))
        rotation_of(quaternions[one], rotation)
        normals[owner == one] = surface.normals[owner == one] @ rotation
    normals[away > 2 * reach] = 0.0
    return nearest_plane(normals, planes(params.families), params.max_angle)


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
