"""The one table of analyses: a new one is one file and one line here."""

from __future__ import annotations

from stemdask.analyses.atoms.derived import radial_profile, uncertainty
from stemdask.analyses.atoms.order import (
    bond_angles,
    bond_order,
    centrosymmetry,
    coordination,
    diffraction,
    finite_rdf,
    nearest,
    rdf,
    short_range_order,
    structure,
    voronoi,
)
from stemdask.analyses.atoms.shape import clusters, composition, facets, lattice_fit, positions, shape, surface
from stemdask.analyses.atoms.time import tracks
from stemdask.analyses.images.cells import displacement, strain
from stemdask.analyses.images.columns import columns, intensity, lattice, scan_distortion
from stemdask.analyses.images.maps import denoise, domains
from stemdask.analyses.images.stack import denoise_images, preprocess, registration
from stemdask.model import Analysis, Kind, Source

ANALYSES: tuple[Analysis, ...] = (
    preprocess.ANALYSIS,
    denoise_images.ANALYSIS,
    registration.ANALYSIS,
    columns.ANALYSIS,
    lattice.ANALYSIS,
    scan_distortion.ANALYSIS,
    displacement.ANALYSIS,
    strain.ANALYSIS,
    intensity.ANALYSIS,
    denoise.ANALYSIS,
    domains.ANALYSIS,
    positions.ANALYSIS,
    shape.ANALYSIS,
    rdf.ANALYSIS,
    coordination.ANALYSIS,
    bond_order.ANALYSIS,
    surface.ANALYSIS,
    structure.ANALYSIS,
    tracks.ANALYSIS,
    lattice_fit.ANALYSIS,
    finite_rdf.ANALYSIS,
    nearest.ANALYSIS,
    diffraction.ANALYSIS,
    bond_angles.ANALYSIS,
    centrosymmetry.ANALYSIS,
    voronoi.ANALYSIS,
    short_range_order.ANALYSIS,
    clusters.ANALYSIS,
    composition.ANALYSIS,
    facets.ANALYSIS,
    radial_profile.ANALYSIS,
    uncertainty.ANALYSIS,
)

#: What a run does when its config names no analyses.
DEFAULTS: dict[Kind, tuple[str, ...]] = {
    "images": ("columns", "lattice", "displacement"),
    "atoms": ("shape", "rdf", "coordination", "bond_order"),
}

#: Done as well where one file holds several frames, which then show one area as a rule.
DEFAULTS_OF_A_STACK: dict[Kind, tuple[str, ...]] = {"images": ("registration",), "atoms": ()}

_BY_NAME = {(analysis.kind, analysis.name): analysis for analysis in ANALYSES}


def of_kind(kind: Kind) -> list[Analysis]:
    """Return the analyses of a kind, in the order of the table."""
    return [analysis for analysis in ANALYSES if analysis.kind == kind]


def names(kind: Kind) -> list[str]:
    """Return the names of the analyses of a kind, in the order of the table."""
    return [analysis.name for analysis in of_kind(kind)]


def defaults(source: Source) -> tuple[str, ...]:
    """Return what a run of the source does when its config names no analyses."""
    of_stack = source.n_frames > 1 and source.file_of(0) == source.file_of(source.n_frames - 1)
    return DEFAULTS[source.kind] + (DEFAULTS_OF_A_STACK[source.kind] if of_stack else ())


def get(kind: Kind, name: str) -> Analysis:
    """Return the analysis of that name; raise KeyError where there is none."""
    return _BY_NAME[kind, name]
