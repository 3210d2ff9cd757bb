"""The fitted lattice, and the strain of the atoms against it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import structure
from stemdask.analyses.atoms.shape import lattice_fit, positions, surface
from stemdask.figures.atoms.projection import from_far, project
from stemdask.figures.numbers import Row, row, with_error
from stemdask.figures.style import ACCENT, INK, MUTED, new, quantity, style
from stemdask.model import Array
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results

#: Widest step of depth over which strain is averaged, angstrom; about a layer of close-packed atoms.
LAYER = 2.0
#: Grains that the report names, the largest ones.
MOST_GRAINS = 8
#: Deviation from right angles [degree] from which a lattice has another name; those of strained particles are smaller.
SHEARED = 2.0


def strain(atoms: xr.Dataset) -> Figure:
    """Draw the change of volume of each atom of one frame: where it is, and against the depth below the surface.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z`, `depth` in angstrom, `strain_volume`; `depth` may be missing.
    """
    percent = 100 * atoms[lattice_fit.STRAIN_VOLUME.name].values
    known = np.isfinite(percent)
    limit = max(float(np.quantile(np.abs(percent[known]), 0.95)), 0.1) if known.any() else 1.0
    by_depth = surface.DEPTH.name in atoms
    with style():
        figure, axes = new(9.0 if by_depth else 4.8, 3.8, 1, 1 + by_depth, squeeze=False)
        order = from_far(atoms, "xy")
        project(axes[0, 0], atoms, order[~known[order]], "xy", color="#e4e4e4")
        colours = {"c": percent[order][known[order]], "cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        shown = project(axes[0, 0], atoms, order[known[order]], "xy", **colours)
        axes[0, 0].set_title("change of volume / %")
        figure.colorbar(shown, ax=axes[0, 0], pad=0.01, extend="both")
        if by_depth:
            known &= np.isfinite(atoms[surface.DEPTH.name].values)
            _by_depth(axes[0, 1], atoms[surface.DEPTH.name].values[known], percent[known])
    return figure


def _by_depth(axes: Axes, depth: Array, percent: Array) -> None:
    axes.axhline(0, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=0)
    axes.plot(depth, percent, ls="none", marker="o", ms=2.6, mew=0, color=MUTED, alpha=0.6, label="atom")
    layer, found = depth // LAYER, []
    for step in np.unique(layer):
        inside = percent[layer == step]
        error = inside.std(ddof=1) / np.sqrt(inside.size) if inside.size > 1 else np.nan
        found.append((depth[layer == step].mean(), inside.mean(), error))
    if found:
        where, mean, error = np.transpose(found)
        label = f"mean of each {LAYER:g} Å"
        axes.errorbar(where, mean, yerr=error, color=ACCENT, marker="o", ms=4, lw=1.2, capsize=2, label=label)
    axes.set(xlabel=quantity("depth below the surface", surface.DEPTH.units), ylabel="change of volume / %")
    axes.legend()


def plot_strain(results: Results, frame: int = 0) -> Figure:
    """Draw the change of volume of every atom: where it is, and against its depth."""
    return strain(results.at(positions.X.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the lattice parameter, and show the strain."""
    params = results.params("lattice_fit")
    assert isinstance(params, lattice_fit.LatticeFitParams)
    given = params.lattice_parameter
    against = "the lattice of its own grain" if given == "auto" else f"a lattice parameter of {given}"
    part = Part(f"Lattice and strain of frame {frame}")
    reason = int(results.read(lattice_fit.REASON, frame))
    if reason != lattice_fit.FITTED:
        part.sentences.append(f"There is no lattice: {lattice_fit.REASONS[reason]}.")
        return [part]
    name = lattice_fit.NAMES[int(results.read(lattice_fit.LATTICE, frame))].replace("_", " ")
    part.rows = [("lattice of the largest grain", name)]
    part.rows += [row(results, v, frame) for v in (lattice_fit.LATTICE_PARAMETER, lattice_fit.N_CORE, lattice_fit.RMS)]
    part.rows += [row(results, edge, frame) for edge in lattice_fit.EDGES.values()]
    part.rows += _other_grains(results, frame)
    part.sentences += _of_which_atoms(results, frame) + _not_quite(results, name, frame)
    part.sentences.append(f"Strain against {against}; atoms without strain have too few bonds of the lattice.")
    part.show("Change of volume around every atom; grey: no strain.", lambda: plot_strain(results, frame))
    return [part]


def _of_which_atoms(results: Results, frame: int) -> list[str]:
    """Say of which element alone the lattice is, where all together form a structure that isn't known here."""
    from stemdask.sources.atoms.elements import chemical_symbol  # ASE takes half a second to import

    atoms = results.at(positions.X.group, frame)
    fitted = (atoms[structure.SUBLATTICE.name].values == 1) & (atoms[structure.GRAIN.name].values == 0)
    if not fitted.any():
        return []
    symbols = " and ".join(chemical_symbol(int(z)) for z in np.unique(atoms[positions.ELEMENT.name].values[fitted]))
    return [f"The lattice is that of {symbols} alone; all atoms together form a compound that isn't known here."]


def _not_quite(results: Results, name: str, frame: int) -> list[str]:
    """Say in what the structure differs from the lattice by which it is called."""
    distortion, shear, error = (
        float(results.read(v, frame)) for v in (lattice_fit.DISTORTION, lattice_fit.SHEAR, lattice_fit.SHEAR_ERR)
    )
    told = []
    if distortion > 0:
        told.append(
            f"The atoms lie {distortion:.2g} Å (root mean square) off the sites of {name} in a pattern that recurs "
            f"from cell to cell: the structure is a distortion of {name}."
        )
    if shear > max(SHEARED, 5 * error):
        told.append(
            f"The edges of the cell deviate from right angles by up to {with_error(shear, error)}°: the lattice is a "
            f"sheared one, and not {name}."
        )
    return told


def _other_grains(results: Results, frame: int) -> list[Row]:
    """Return the lattice parameters of the grains after the largest."""
    found = results.at(lattice_fit.GRAIN_PARAMETER.group, frame)
    values, errors = (found[v.name].values for v in (lattice_fit.GRAIN_PARAMETER, lattice_fit.GRAIN_PARAMETER_ERR))
    fitted = np.flatnonzero(np.isfinite(values))[1:MOST_GRAINS]
    return [(f"lattice parameter of grain {k}", f"{with_error(values[k], errors[k])} Å") for k in fitted]


def method(params: lattice_fit.LatticeFitParams) -> Method:
    """Say what strain is measured against."""
    against = "its own grain" if params.lattice_parameter == "auto" else f"{params.lattice_parameter}"
    return Method(
        f"The strain at each atom with at least {params.min_bonds} bonds of the lattice was fitted to these bonds, "
        f"against the lattice of {against}.",
        ("falk1998",),
    )


SHOWS = Shows(parts, {"strain": plot_strain}, method=method)
