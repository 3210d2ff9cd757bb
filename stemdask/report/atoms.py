"""The parts of a report on atomic structures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from stemdask.figures import atoms
from stemdask.report.parts import Part, config, number, values

#: Scalars of the particle drawn against the frame.
SERIES = ("diameter", "n_disordered", "mean_coordination")


def parts(tree: xr.DataTree, index: int) -> Iterator[Part]:
    """Yield what there is to say of one frame, and of all of them."""
    yield _structure(tree, index)
    particle = tree["particle"].to_dataset() if "particle" in tree else xr.Dataset()
    series = {name: particle[name].attrs["long_name"] for name in SERIES if name in particle}
    if series and tree["frames"].sizes["frame"] > 1:
        part = Part("Frame after frame")
        part.figures.append((atoms.time_series(particle, series), "The particle in time."))
        yield part


def summary(tree: xr.DataTree, index: int) -> str:
    """Return one frame in a line."""
    words = [f"{int(values(tree, 'frames/n_atoms')[index])} atoms"]
    if "particle" in tree:
        particle = tree.stemdask.at("particle", index)
        if "diameter" in particle:
            words.append(f"diameter {float(particle['diameter']):.3f} {particle['diameter'].attrs['units']}")
        if "n_disordered" in particle:
            fraction = float(particle["fraction_disordered"])
            words.append(f"{int(particle['n_disordered'])} disordered (fraction {fraction:.3f})")
    if "rdf" in tree:
        rdf = tree.stemdask.at("rdf", index)
        words.append(f"first minimum of g(r) {float(rdf['cutoff']):.2f} {rdf['cutoff'].attrs['units']}")
    return "; ".join(words)


def _structure(tree: xr.DataTree, index: int) -> Part:
    part = Part(f"Structure of frame {index}")
    found = tree.stemdask.at("atoms", index)
    part.rows.append(("atoms", str(int(np.isfinite(found["x"].values).sum()))))
    if "rdf" in tree:
        rdf = tree.stemdask.at("rdf", index)
        part.rows.append(("first minimum of g(r)", number(rdf["cutoff"], 4)))
        part.figures.append((atoms.pair_distribution(rdf), "Pair distribution function."))
    if "particle" in tree:
        particle = tree.stemdask.at("particle", index)
        scalars = [variable for variable in particle.data_vars.values() if variable.ndim == 0]
        part.rows += [(str(variable.attrs["long_name"]), number(variable)) for variable in scalars]
    if "mean_bond_length" in found:
        mean = found["mean_bond_length"].mean(keep_attrs=True)
        part.rows.append(("mean distance to the neighbours", number(mean)))
    if "q6_avg" in found:
        normalised = config(tree)["analyses"]["bond_order"]["normalisation"] != "none"
        maps = atoms.order_maps(found, normalised=normalised)
        part.figures.append((maps, "Bond order of every atom; crosses mark perfect crystals."))
        part.figures.append((atoms.structure(found), "The structure in two projections."))
    if "particle" in tree and "coordination_histogram" in particle:
        part.figures.append((atoms.coordination(particle), "Atoms by coordination number."))
    return part
