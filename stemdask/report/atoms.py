"""The parts of a report on atomic structures: one frame as it is, and all of them in time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from stemdask.figures import atoms
from stemdask.report import particle
from stemdask.report.parts import Part, measured, number, values

#: Numbers of the particle in the table, in its order.
NUMBERS = (
    "diameter",
    "hull_volume",
    "mean_coordination",
    "n_surface",
    "fraction_surface",
    "n_disordered",
    "fraction_disordered",
    "n_clusters",
    "largest_cluster",
)


def parts(tree: xr.DataTree, index: int, ideal: xr.DataTree | None = None) -> Iterator[Part]:
    """Yield what there is to say of one frame, beside an ideal particle where there is one, and of all of them."""
    yield _structure(tree, index, ideal)
    yield from particle.parts(tree, index)
    if tree["frames"].sizes["frame"] > 1:
        yield from particle.in_time(tree)


def summary(tree: xr.DataTree, index: int) -> str:
    """Return one frame in a line."""
    words = [f"{int(values(tree, 'frames/n_atoms')[index])} atoms"]
    if "particle" in tree:
        found = tree.stemdask.at("particle", index)
        if "diameter" in found:
            words.append(f"diameter {float(found['diameter']):.3f} {found['diameter'].attrs['units']}")
        if "n_disordered" in found:
            fraction = float(found["fraction_disordered"])
            words.append(f"{int(found['n_disordered'])} disordered (fraction {fraction:.3f})")
    if "rdf" in tree:
        rdf = tree.stemdask.at("rdf", index)
        words.append(f"first minimum of g(r) {float(rdf['cutoff']):.2f} {rdf['cutoff'].attrs['units']}")
    return "; ".join(words)


def _structure(tree: xr.DataTree, index: int, ideal: xr.DataTree | None) -> Part:
    part = Part(f"Structure of frame {index}", rows=_rows(tree, index))
    if "uncertainty" in tree:
        error = tree.stemdask.config()["analyses"]["uncertainty"]["coordinate_error"]
        part.sentences.append(
            f"± is the standard error that errors of {error} of the coordinates give a number; in brackets, how "
            "far they move its mean, where that is more. First minimum and lattice parameter have errors of their own."
        )
    found = tree.stemdask.at("atoms", index)
    if "rdf" in tree:
        figure = atoms.pair_distribution(tree.stemdask.at("rdf", index), _of(ideal, "rdf", "g"))
        part.figures.append((figure, "Pair distribution function."))
    if "q6_avg" in found:
        normalised = tree.stemdask.config()["analyses"]["bond_order"]["normalisation"] != "none"
        maps = atoms.order_maps(found, normalised=normalised)
        part.figures.append(
            (maps, "Bond order of every atom; crosses mark perfect crystals, the dashed line Q6 = 0.54.")
        )
        part.figures.append((atoms.structure(found), "The structure in two projections."))
    if "particle" in tree and "coordination_histogram" in tree["particle"]:
        figure = atoms.coordination(
            tree.stemdask.at("particle", index), _of(ideal, "particle", "coordination_histogram")
        )
        part.figures.append((figure, "Atoms by coordination number."))
    return part


def _of(ideal: xr.DataTree | None, group: str, name: str) -> xr.Dataset | None:
    """Return a group of the first good frame of the ideal particle, where it has the variable."""
    if ideal is None or group not in ideal or name not in ideal[group]:
        return None
    found: xr.Dataset = ideal.stemdask.at(group, int(ideal.stemdask.good()[0]))
    return found


def _rows(tree: xr.DataTree, index: int) -> list[tuple[str, str]]:
    """Return the numbers of a frame; those of all atoms are their means."""
    found = tree.stemdask.at("atoms", index)
    errors = tree.stemdask.at("uncertainty", index) if "uncertainty" in tree else xr.Dataset()

    def row(text: str, array: xr.DataArray) -> tuple[str, str]:
        return text, measured(array, errors.get(array.name), errors.get(f"{array.name}_shift"))

    rows = [("atoms", str(int(np.isfinite(found["x"].values).sum())))]
    if "rdf" in tree:
        rdf = tree.stemdask.at("rdf", index)
        rows.append(("first minimum of g(r)", measured(rdf["cutoff"], rdf.get("cutoff_err"))))
    if "particle" in tree:
        particle = tree.stemdask.at("particle", index)
        rows += [row(str(particle[name].attrs["long_name"]), particle[name]) for name in NUMBERS if name in particle]
    for name, text in (
        ("mean_bond_length", "mean distance to the neighbours"),
        ("crystallinity", "mean crystallinity"),
    ):
        if name in found:
            rows.append(row(text, found[name].mean(keep_attrs=True)))
    if "lattice_fit" in tree:
        fit = tree.stemdask.at("lattice_fit", index)
        rows.append(("lattice parameter", measured(fit["lattice_parameter"], fit["lattice_parameter_err"])))
        rows.append(("distance of core atoms from sites, RMS", number(fit["rms"], 3)))
    return rows
