"""Distances of the nearest atoms."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import nearest
from stemdask.figures.numbers import with_error
from stemdask.figures.style import SUBLATTICES, new, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results
from stemdask.sources.atoms.elements import chemical_symbol


def distances(found: xr.Dataset) -> Figure:
    """Draw the distance of the nearest, second nearest, ... atom of one frame, with its spread and extremes.

    Parameters
    ----------
    found
        ``/nearest`` of one frame: `mean`, `std`, `min`, `max` in angstrom (ordered_pair, neighbor_rank), `center`,
        `neighbor` (ordered_pair), `neighbor_rank`.
    """
    ranks = found[nearest.RANK.name].values
    mean, spread, least, most = (
        found[v.name].values for v in (nearest.MEAN, nearest.SPREAD, nearest.SHORTEST, nearest.LONGEST)
    )
    with style():
        figure, axes = new(7.4, 3.6)
        for pair in range(len(mean)):
            colour, aside = SUBLATTICES[pair % len(SUBLATTICES)], 0.12 * (pair - (len(mean) - 1) / 2)
            axes.vlines(ranks + aside, least[pair], most[pair], color=colour, lw=0.8, alpha=0.5)
            look = {"color": colour, "marker": "o", "ms": 4, "lw": 0, "elinewidth": 2.4}
            axes.errorbar(ranks + aside, mean[pair], yerr=spread[pair], label=name_of(found, pair), **look)
        if len(mean):
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes.set(xlabel="nearest atom", ylabel="distance / Å", xticks=ranks, xlim=(0.4, ranks[-1] + 0.6))
    return figure


def name_of(found: xr.Dataset, pair: int) -> str:
    """Return which element is measured around which."""
    center, neighbor = (chemical_symbol(int(found[v.name][pair])) for v in (nearest.CENTER, nearest.NEIGHBOR))
    return f"{neighbor} around {center}"


def plot_nearest(results: Results, frame: int = 0) -> Figure:
    """Draw the distances of the nearest atoms."""
    return distances(results.at(nearest.MEAN.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the distance of the nearest atoms, and show the next ones."""
    part = Part(f"Nearest atoms of frame {frame}")
    found = results.at(nearest.MEAN.group, frame)
    for pair in range(found.sizes["ordered_pair"]):
        mean, error, shortest = (
            float(found[v.name][pair, 0]) for v in (nearest.MEAN, nearest.MEAN_ERR, nearest.SHORTEST)
        )
        if np.isfinite(mean):
            text = f"{with_error(mean, error)} Å, shortest {shortest:.2f} Å"
            part.rows.append((f"nearest {name_of(found, pair)}, mean", text))
    part.sentences.append(
        "Errors of the coordinates make the nearest of several atoms nearer than it is, and the farthest of a shell "
        "farther: the bond length is the mean over a whole shell."
    )
    part.show("Mean, standard deviation (thick) and extremes (thin).", lambda: plot_nearest(results, frame))
    return [part]


SHOWS = Shows(parts, {"nearest": plot_nearest})
