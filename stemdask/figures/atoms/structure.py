"""Structure types of the atoms: where they are, how many, and how that changes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import structure
from stemdask.analyses.atoms.shape import positions
from stemdask.figures.atoms.projection import from_far, project
from stemdask.figures.canvas import curve
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import MUTED, frame_axis, new, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results

#: Colour of each structure type, by its name in the store.
KINDS = {
    "fcc": "#0072B2",
    "hcp": "#D55E00",
    "bcc": "#CC79A7",
    "icosahedral": "#E69F00",
    "surface": "#B5B5B5",
    "disordered": "#222222",
}


def structure_types(atoms: xr.Dataset) -> Figure:
    """Draw the atoms of one frame in two projections, coloured by structure type, and how many there are of each.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z` in angstrom and `structure`.
    """
    names, kinds = structure.KINDS, atoms[structure.STRUCTURE.name].values
    with style():
        figure, (left, right, bars) = new(10.2, 3.8, 1, 3, width_ratios=(1, 1, 0.7))
        for axes, plane in ((left, "xy"), (right, "xz")):
            order = from_far(atoms, plane)
            outside = np.array([names.get(kind) == "surface" for kind in kinds[order]], bool)
            for chosen in (order[outside], order[~outside]):  # the surface would hide what is inside
                colours = [KINDS.get(names.get(kind, ""), "none") for kind in kinds[chosen]]
                project(axes, atoms, chosen, plane, color=colours)
        shown = [(KINDS[name], name, int((kinds == kind).sum())) for kind, name in names.items()]
        shown.sort(key=lambda row: list(KINDS.values()).index(row[0]), reverse=True)
        drawn = bars.barh([row[1] for row in shown], [row[2] for row in shown], color=[row[0] for row in shown])
        bars.bar_label(drawn, padding=3, fontsize=8)
        bars.set(xlabel="atoms", xlim=(0, 1.2 * max(1, *(row[2] for row in shown))))
    return figure


def structure_in_time(counts: xr.DataArray) -> Figure:
    """Draw the number of atoms of each structure type, of those that occur, by frame.

    Parameters
    ----------
    counts
        (frame, structure_kind), NaN where a frame has no results.
    """
    frames = np.arange(counts.sizes["frame"])
    with style():
        figure, axes = new(7.0, 3.2)
        for name, values in zip(structure.KINDS.values(), counts.values.T, strict=True):
            if np.nanmax(values, initial=0) > 0:
                curve(axes, frames, values, color=KINDS.get(name, MUTED), label=name, lw=1.2)
        axes.set(ylabel="atoms", ylim=(0, None))
        frame_axis(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_structure_types(results: Results, frame: int = 0) -> Figure:
    """Draw the atoms in two projections, coloured by structure type, and how many there are of each."""
    return structure_types(results.at(positions.X.group, frame))


def plot_structure_in_time(results: Results) -> Figure:
    """Draw the number of atoms of each structure type by frame; frames without results are gaps."""
    return structure_in_time(results.by_frame(structure.COUNT))


def parts(results: Results, frame: int) -> list[Part]:
    """Count twins and stacking faults, and show the types."""
    part = Part(f"Structure types of frame {frame}", rows=rows_of(results, "structure", frame))
    caption = "Atoms by the structure of their surroundings; those at the surface lie behind."
    part.show(caption, lambda: plot_structure_types(results, frame))
    if results.n_frames > 1:
        part.show("Atoms of each structure type, frame after frame.", lambda: plot_structure_in_time(results))
    return [part]


SHOWS = Shows(parts, {"structure_types": plot_structure_types, "structure_in_time": plot_structure_in_time})
