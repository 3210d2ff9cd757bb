"""Finding, fitting and indexing of atomic columns: the functions on arrays that the analyses call."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemdask.kernels.images.crystal.atom_counting import count_atoms
    from stemdask.kernels.images.crystal.displacement import displacements
    from stemdask.kernels.images.crystal.lattice import fit_lattice
    from stemdask.kernels.images.crystal.strain import cell_vectors, complete_cells, lattice_parameters, strain_of
    from stemdask.kernels.images.crystal.voronoi import voronoi_cells
    from stemdask.kernels.images.denoising.gram_pca import pca
    from stemdask.kernels.images.denoising.image_denoising import filter_image, noise_level
    from stemdask.kernels.images.domains.clusterings import cluster
    from stemdask.kernels.images.domains.directions import angle, difference
    from stemdask.kernels.images.finding.columns import find_columns
    from stemdask.kernels.images.finding.polarity import polarity
    from stemdask.kernels.images.finding.separation import estimate_lattice
    from stemdask.kernels.images.fitting.centre_of_mass import centre_of_mass
    from stemdask.kernels.images.fitting.cramer_rao import isolated_bound
    from stemdask.kernels.images.fitting.joint_fit import fit_joint
    from stemdask.kernels.images.fitting.noise import estimate_noise
    from stemdask.kernels.images.fitting.single_fit import fit_single
    from stemdask.kernels.images.stacks.filters import flatten, gaussian, invert
    from stemdask.kernels.images.stacks.hot_pixels import find_hot_pixels
    from stemdask.kernels.images.stacks.shift import find_shift
    from stemdask.kernels.images.stacks.shift_image import shift_image

# Loaded on first use: a run needs a few of them.
_HOMES = {
    "angle": "domains.directions",
    "cell_vectors": "crystal.strain",
    "centre_of_mass": "fitting.centre_of_mass",
    "cluster": "domains.clusterings",
    "complete_cells": "crystal.strain",
    "count_atoms": "crystal.atom_counting",
    "difference": "domains.directions",
    "displacements": "crystal.displacement",
    "estimate_lattice": "finding.separation",
    "estimate_noise": "fitting.noise",
    "filter_image": "denoising.image_denoising",
    "find_columns": "finding.columns",
    "find_hot_pixels": "stacks.hot_pixels",
    "find_shift": "stacks.shift",
    "fit_joint": "fitting.joint_fit",
    "fit_lattice": "crystal.lattice",
    "fit_single": "fitting.single_fit",
    "flatten": "stacks.filters",
    "gaussian": "stacks.filters",
    "invert": "stacks.filters",
    "isolated_bound": "fitting.cramer_rao",
    "lattice_parameters": "crystal.strain",
    "noise_level": "denoising.image_denoising",
    "pca": "denoising.gram_pca",
    "polarity": "finding.polarity",
    "shift_image": "stacks.shift_image",
    "strain_of": "crystal.strain",
    "voronoi_cells": "crystal.voronoi",
}

__all__ = [
    "angle",
    "cell_vectors",
    "centre_of_mass",
    "cluster",
    "complete_cells",
    "count_atoms",
    "difference",
    "displacements",
    "estimate_lattice",
    "estimate_noise",
    "filter_image",
    "find_columns",
    "find_hot_pixels",
    "find_shift",
    "fit_joint",
    "fit_lattice",
    "fit_single",
    "flatten",
    "gaussian",
    "invert",
    "isolated_bound",
    "lattice_parameters",
    "noise_level",
    "pca",
    "polarity",
    "shift_image",
    "strain_of",
    "voronoi_cells",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
