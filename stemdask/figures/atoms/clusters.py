"""Crystalline clusters."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.shape import clusters, positions
from stemdask.figures.atoms.projection import from_far, project
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import MUTED, SUBLATTICES, new, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


def by_cluster(atoms: xr.Dataset) -> Figure:
    """Draw the atoms of one frame in two projections, those of each cluster in a colour; grey belongs to none.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z` in angstrom and `cluster`, -1 for none.
    """
    label = atoms[clusters.CLUSTER.name].values
    colours = np.array([*SUBLATTICES, MUTED])
    with style():
        figure, panels = new(7.8, 3.9, 1, 2)
        for axes, plane in zip(panels, ("xy", "xz"), strict=True):
            order = from_far(atoms, plane)
            which = np.where(label[order] < 0, len(SUBLATTICES), label[order] % len(SUBLATTICES))
            project(axes, atoms, order, plane, color=colours[which])
    return figure


def plot_clusters(results: Results, frame: int = 0) -> Figure:
    """Draw the atoms by cluster."""
    return by_cluster(results.at(positions.X.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """Count the clusters, and show them."""
    part = Part(f"Crystalline clusters of frame {frame}", rows=rows_of(results, "clusters", frame))
    part.show("Atoms by crystalline cluster; grey: none.", lambda: plot_clusters(results, frame))
    return [part]


SHOWS = Shows(parts, {"clusters": plot_clusters})
