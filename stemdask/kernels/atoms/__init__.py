"""Neighbours, pair distribution and bond order of atomic structures: the functions on arrays that the analyses call."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemdask.kernels.atoms import kinds
    from stemdask.kernels.atoms.alignment import align, kabsch
    from stemdask.kernels.atoms.alpha_shape import alpha_shape
    from stemdask.kernels.atoms.bond_angles import bond_angle_counts, triplets
    from stemdask.kernels.atoms.bond_order import bond_order
    from stemdask.kernels.atoms.bonds import bonds, mean_bond_length
    from stemdask.kernels.atoms.centrosymmetry import centrosymmetry
    from stemdask.kernels.atoms.common_neighbours import classify
    from stemdask.kernels.atoms.components import connected_parts, largest_first
    from stemdask.kernels.atoms.convex_body import convex_body, particle_body
    from stemdask.kernels.atoms.coordination import coordination
    from stemdask.kernels.atoms.debye import debye_intensity, structure_factor
    from stemdask.kernels.atoms.facets import broken_bonds, hexagonal_planes, nearest_plane, planes, wulff_areas
    from stemdask.kernels.atoms.form_factors import form_factor
    from stemdask.kernels.atoms.fractions import fraction
    from stemdask.kernels.atoms.generalized_coordination import generalized_coordination
    from stemdask.kernels.atoms.grains import find_grains
    from stemdask.kernels.atoms.hull import equivalent_diameter, hull_volume
    from stemdask.kernels.atoms.ideal_gas import pair_distance_probability
    from stemdask.kernels.atoms.linking import link
    from stemdask.kernels.atoms.mean_bond import mean_bond
    from stemdask.kernels.atoms.nearest_distances import nearest_distances
    from stemdask.kernels.atoms.neighbour_rules import nearest, sann, voronoi
    from stemdask.kernels.atoms.neighbours import Neighbours, find_neighbours
    from stemdask.kernels.atoms.ordering import find_ordering
    from stemdask.kernels.atoms.pair_cutoffs import pair_cutoffs
    from stemdask.kernels.atoms.rdf import bin_edges, first_minimum, pair_counts, periodic_rdf, tutorial_rdf
    from stemdask.kernels.atoms.short_range_order import shell_edges, short_range_order
    from stemdask.kernels.atoms.surface import has_empty_cone
    from stemdask.kernels.atoms.surroundings import surroundings
    from stemdask.kernels.atoms.template_match import match_templates
    from stemdask.kernels.atoms.voronoi_cells import voronoi_cells

# Loaded on first use: a run needs a few of them.
_HOMES = {
    "Neighbours": "neighbours",
    "align": "alignment",
    "alpha_shape": "alpha_shape",
    "bin_edges": "rdf",
    "bond_angle_counts": "bond_angles",
    "bond_order": "bond_order",
    "bonds": "bonds",
    "broken_bonds": "facets",
    "centrosymmetry": "centrosymmetry",
    "classify": "common_neighbours",
    "connected_parts": "components",
    "convex_body": "convex_body",
    "coordination": "coordination",
    "debye_intensity": "debye",
    "equivalent_diameter": "hull",
    "find_grains": "grains",
    "find_neighbours": "neighbours",
    "find_ordering": "ordering",
    "first_minimum": "rdf",
    "form_factor": "form_factors",
    "fraction": "fractions",
    "generalized_coordination": "generalized_coordination",
    "has_empty_cone": "surface",
    "hexagonal_planes": "facets",
    "hull_volume": "hull",
    "kabsch": "alignment",
    "largest_first": "components",
    "link": "linking",
    "match_templates": "template_match",
    "mean_bond": "mean_bond",
    "mean_bond_length": "bonds",
    "nearest": "neighbour_rules",
    "nearest_distances": "nearest_distances",
    "nearest_plane": "facets",
    "pair_counts": "rdf",
    "pair_cutoffs": "pair_cutoffs",
    "pair_distance_probability": "ideal_gas",
    "particle_body": "convex_body",
    "periodic_rdf": "rdf",
    "planes": "facets",
    "sann": "neighbour_rules",
    "shell_edges": "short_range_order",
    "short_range_order": "short_range_order",
    "structure_factor": "debye",
    "surroundings": "surroundings",
    "triplets": "bond_angles",
    "tutorial_rdf": "rdf",
    "voronoi": "neighbour_rules",
    "voronoi_cells": "voronoi_cells",
    "wulff_areas": "facets",
}

__all__ = [
    "Neighbours",
    "align",
    "alpha_shape",
    "bin_edges",
    "bond_angle_counts",
    "bond_order",
    "bonds",
    "broken_bonds",
    "centrosymmetry",
    "classify",
    "connected_parts",
    "convex_body",
    "coordination",
    "debye_intensity",
    "equivalent_diameter",
    "find_grains",
    "find_neighbours",
    "find_ordering",
    "first_minimum",
    "form_factor",
    "fraction",
    "generalized_coordination",
    "has_empty_cone",
    "hexagonal_planes",
    "hull_volume",
    "kabsch",
    "kinds",
    "largest_first",
    "link",
    "match_templates",
    "mean_bond",
    "mean_bond_length",
    "nearest",
    "nearest_distances",
    "nearest_plane",
    "pair_counts",
    "pair_cutoffs",
    "pair_distance_probability",
    "particle_body",
    "periodic_rdf",
    "planes",
    "sann",
    "shell_edges",
    "short_range_order",
    "structure_factor",
    "surroundings",
    "triplets",
    "tutorial_rdf",
    "voronoi",
    "voronoi_cells",
    "wulff_areas",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


class _Functions(ModuleType):
    """A package in which a function goes before the file of the same name, whichever is loaded first."""

    def __setattr__(self, name: str, value: Any) -> None:
        named = isinstance(value, ModuleType) and _HOMES.get(name) == name
        super().__setattr__(name, getattr(value, name) if named else value)


sys.modules[__name__].__class__ = _Functions
