"""The one table of analyses: a new one is one file and one line here. Each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from stemdask.model import Analysis, Kind, Source

#: Module of each analysis within its half.
_MODULES: dict[Kind, tuple[str, ...]] = {
    "images": (
        "stack.preprocess",
        "stack.denoise_images",
        "stack.registration",
        "columns.columns",
        "columns.lattice",
        "columns.scan_distortion",
        "cells.displacement",
        "cells.strain",
        "columns.intensity",
        "maps.denoise",
        "maps.domains",
    ),
    "atoms": (
        "shape.positions",
        "shape.shape",
        "order.rdf",
        "order.coordination",
        "order.bond_order",
        "shape.surface",
        "order.structure",
        "shape.lattice_fit",
        "order.finite_rdf",
        "order.nearest",
        "order.diffraction",
        "order.bond_angles",
        "order.centrosymmetry",
        "order.voronoi",
        "order.short_range_order",
        "shape.clusters",
        "shape.composition",
        "shape.facets",
        "time.tracks",
        "time.phases",
        "derived.radial_profile",
        "derived.uncertainty",
    ),
}

#: Module of each analysis, with its `ANALYSIS`. Importing them all takes a second of a core; most runs need a few.
TABLE: dict[tuple[Kind, str], str] = {
    (kind, module.rpartition(".")[2]): f"stemdask.analyses.{kind}.{module}"
    for kind, modules in _MODULES.items()
    for module in modules
}

#: What a run does when its config names no analyses.
DEFAULTS: dict[Kind, tuple[str, ...]] = {
    "images": ("columns", "lattice", "displacement"),
    "atoms": ("shape", "rdf", "coordination", "bond_order"),
}

#: Done as well where one file holds several frames, which then show one area as a rule.
DEFAULTS_OF_A_STACK: dict[Kind, tuple[str, ...]] = {"images": ("registration",), "atoms": ()}


def every() -> list[Analysis]:
    """Return all analyses, in the order of the table."""
    return [get(kind, name) for kind, name in TABLE]


def of_kind(kind: Kind) -> list[Analysis]:
    """Return the analyses of a kind, in the order of the table."""
    return [get(kind, name) for name in names(kind)]


def names(kind: Kind) -> list[str]:
    """Return the names of the analyses of a kind, in the order of the table."""
    return [name for half, name in TABLE if half == kind]


def defaults(source: Source) -> tuple[str, ...]:
    """Return what a run of the source does when its config names no analyses."""
    of_stack = source.n_frames > 1 and source.file_of(0) == source.file_of(source.n_frames - 1)
    return DEFAULTS[source.kind] + (DEFAULTS_OF_A_STACK[source.kind] if of_stack else ())


def get(kind: Kind, name: str) -> Analysis:
    """Return the analysis of that name; raise KeyError where there is none."""
    analysis: Analysis = import_module(TABLE[kind, name]).ANALYSIS
    return analysis
