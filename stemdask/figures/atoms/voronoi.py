"""Voronoi volumes and indices."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import voronoi
from stemdask.analyses.atoms.shape import positions
from stemdask.figures.atoms.projection import from_far, project
from stemdask.figures.atoms.rdf import cutoff_of
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import ACCENT, new, quantity, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results

#: Indices drawn, the most frequent ones.
MOST = 8


def volumes_and_indices(atoms: xr.Dataset) -> Figure:
    """Draw the atoms of one frame by the volume of their cells, and the most frequent indices of closed cells.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z` in angstrom, `voronoi_volume`, `voronoi_open`, `voronoi_n3` to `n6`.
    """
    volume = atoms[voronoi.VOLUME.name].values
    with style():
        figure, (seen, bars) = new(8.8, 3.8, 1, 2, width_ratios=(1.1, 1))
        order = from_far(atoms, "xy")
        known = np.isfinite(volume[order])
        project(seen, atoms, order[~known], "xy", color="#e4e4e4")
        shown = project(seen, atoms, order[known], "xy", c=volume[order[known]], cmap="viridis")
        seen.set_title("open cells: grey")
        figure.colorbar(shown, ax=seen, pad=0.01, label=quantity("volume of the Voronoi cell", voronoi.VOLUME.units))
        found = indices(atoms)
        drawn = bars.barh([name for name, _ in reversed(found)], [n for _, n in reversed(found)], color=ACCENT)
        bars.bar_label(drawn, padding=3, fontsize=8)
        bars.set(xlabel="atoms with that index", xlim=(0, 1.15 * max([1, *(n for _, n in found)])))
    return figure


def indices(atoms: xr.Dataset) -> list[tuple[str, int]]:
    """Return the most frequent indices of closed cells, and how many atoms have each."""
    is_closed = atoms[voronoi.IS_OPEN.name].values == voronoi.CLOSED
    every = np.column_stack([atoms[variable.name].values[is_closed] for variable in voronoi.FACES])
    kinds, counts = np.unique(every, axis=0, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST]
    return [("⟨" + " ".join(str(int(number)) for number in kinds[k]) + "⟩", int(counts[k])) for k in most]


def plot_voronoi(results: Results, frame: int = 0) -> Figure:
    """Draw the atoms by the volume of their Voronoi cells, and the most frequent indices."""
    return volumes_and_indices(results.at(positions.X.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the mean volume, say which cells are open, and show all."""
    part = Part(f"Voronoi cells of frame {frame}", rows=rows_of(results, "voronoi", frame))
    params = results.params("voronoi")
    assert isinstance(params, voronoi.VoronoiParams)
    given = params.largest_hole
    hole = cutoff_of(results, frame) if given == "auto" else str(given)
    part.sentences.append(
        f"Cells of atoms at the surface, or with a corner farther from the atom than {hole}, are open and have no "
        "volume. Edges below 5 % of the rim of a face and faces below 1 % of the surface of a cell aren't "
        "counted."
    )
    part.show("Volumes, and the most frequent indices ⟨n3 n4 n5 n6⟩.", lambda: plot_voronoi(results, frame))
    return [part]


SHOWS = Shows(parts, {"voronoi": plot_voronoi})
