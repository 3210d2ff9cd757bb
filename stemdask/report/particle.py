"""The parts of a report on a particle as a body, and on it in time; each where its analysis ran."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

from stemdask.figures import atoms, motion
from stemdask.figures import particle as figures
from stemdask.model import FrameStatus
from stemdask.report.parts import Part, number

#: Numbers of a frame drawn in time, by group.
SERIES = {
    "particle": ("diameter", "n_disordered", "mean_coordination", "fraction_surface", "largest_cluster"),
    "lattice_fit": ("lattice_parameter",),
}


def parts(tree: xr.DataTree, index: int) -> Iterator[Part]:
    """Yield what there is to say of the particle of one frame."""
    found = tree.stemdask.at("atoms", index)
    if "rdf" in tree and "g_finite" in tree["rdf"]:
        part = Part("Pair distribution without the surface")
        part.sentences.append("Divided by the pairs of an ideal gas in the same body, so that it tends to 1.")
        part.figures.append(
            (figures.finite_pair_distribution(tree.stemdask.at("rdf", index)), "Corrected, and as counted.")
        )
        yield part
    if "structure" in found:
        yield _types(tree, found, index)
    if "strain_volume" in found:
        part = Part("Strain")
        reference = tree.stemdask.config()["analyses"]["lattice_fit"]["lattice_parameter"]
        against = "the lattice of its core" if reference == "auto" else f"a lattice parameter of {reference}"
        part.sentences.append(f"Against {against}; atoms without strain have too few bonds of the lattice.")
        part.figures.append((figures.strain(found), "Change of volume around every atom; grey: no strain."))
        yield part
    if "profile" in tree:
        names = tree.stemdask.config()["analyses"]["radial_profile"]["properties"]
        profile = tree.stemdask.at("profile", index)
        part = Part("Profiles")
        part.figures.append((figures.profiles(profile, names), "Means of the shells, with their standard errors."))
        yield part


def in_time(tree: xr.DataTree) -> Iterator[Part]:
    """Yield what there is to say of all frames together."""
    series, errors = _series(tree)
    part = Part("Frame after frame")
    if series:
        caption = "The particle in time" + ("; bands: standard errors." if errors else ".")
        part.figures.append((atoms.time_series(series, errors), caption))
    if "structure" in tree and "count" in tree["structure"]:
        found = _good(tree, tree["structure"].to_dataset().load())
        part.figures.append((motion.structure_in_time(found), "Atoms of each structure type."))
    if part.figures:
        yield part
    if "tracks" in tree:
        yield _tracks(tree)


def _types(tree: xr.DataTree, found: xr.Dataset, index: int) -> Part:
    part = Part("Structure types")
    about = tree.stemdask.at("structure", index)
    for name in ("n_twin_boundaries", "n_stacking_faults", "n_hcp_lamellae"):
        part.rows.append((str(about[name].attrs["long_name"]), number(about[name])))
    part.figures.append(
        (
            figures.structure_types(found),
            "Atoms by the structure of their surroundings; those at the surface lie behind.",
        )
    )
    return part


def _tracks(tree: xr.DataTree) -> Part:
    found = tree["tracks"].to_dataset().load()
    part = Part("Atoms in time")
    part.rows = [
        ("atoms followed", str(found.sizes["track"])),
        ("frames that could not be linked", str(int((_good(tree, found)["flag"] > 0).sum()))),
        (str(found["lindemann"].attrs["long_name"]), number(found["lindemann"], 4)),
    ]
    part.figures.append(
        (motion.tracks(found), "Motion; lost atoms are given up some frames after they were seen last.")
    )
    part.figures.append((motion.shaking(found), "How much every atom shakes against its neighbours."))
    return part


def _series(tree: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the numbers of the frames and their standard errors, by the same names; NaN where a frame failed."""
    series, errors = xr.Dataset(), xr.Dataset()
    for group, names in SERIES.items():
        for name in names:
            if group not in tree or name not in tree[group]:
                continue
            series[name] = tree[group][name]
            if name == "lattice_parameter":
                errors[name] = tree[group]["lattice_parameter_err"]
            elif "uncertainty" in tree and name in tree["uncertainty"]:
                errors[name] = tree["uncertainty"][name]
    return _good(tree, series), _good(tree, errors)


def _good(tree: xr.DataTree, found: xr.Dataset) -> xr.Dataset:
    """Return the dataset with NaN, or nothing, in the frames without results."""
    good = tree["frames/frame_status"] == FrameStatus.OK
    return found.map(lambda array: array.where(good) if "frame" in array.dims else array, keep_attrs=True)
