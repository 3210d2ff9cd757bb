"""Intensities of the columns as a map, and their distribution with the steps on which atoms are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.columns import columns, intensity, lattice
from stemdask.figures.canvas import value_map
from stemdask.figures.numbers import median_row
from stemdask.figures.style import INK, SUBLATTICES, new, style
from stemdask.model import Array
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results


def intensity_map(found: xr.Dataset, values: xr.DataArray) -> Figure:
    """Draw the intensity of each column of one frame where it is.

    Parameters
    ----------
    found
        ``/columns`` of the frame: `y`, `x` (column).
    values
        (column,), of ``/intensity``.
    """
    with style():
        figure, axes = new(6.4, 5.4)
        value_map(axes, found, values, signed=False)
    return figure


def mixture(values: Array, sublattice: Array, counts: dict[int, dict[str, Any]]) -> Figure:
    """Draw the distribution of the intensities of each sublattice, with the mixture on which atoms are counted.

    Parameters
    ----------
    values, sublattice
        (n,), of all frames.
    counts
        For a sublattice `mean_intensity`, `weight`, `sigma` and `n_atoms` of its steps; those without are not counted.
    """
    kinds = [int(value) for value in np.unique(sublattice[np.isfinite(values)]) if value >= 0]
    with style():
        figure, panels = new(6.8, 2.2 * max(len(kinds), 1) + 0.5, max(len(kinds), 1), 1, squeeze=False)
        for axes, kind in zip(panels[:, 0], kinds, strict=False):
            shown = values[(sublattice == kind) & np.isfinite(values)]
            name = f"{lattice.SUBLATTICES[kind]}, {shown.size} columns"
            _, edges, _ = axes.hist(shown, bins=60, color=SUBLATTICES[kind % len(SUBLATTICES)], alpha=0.7, label=name)
            if kind in counts:
                x = np.linspace(edges[0], edges[-1], 400)
                each = _components(x, counts[kind]) * shown.size * (edges[1] - edges[0])
                axes.plot(x, each.sum(axis=0), color=INK, lw=1, label="mixture")
                axes.plot(x, each.T, color=INK, lw=0.6, ls=":")
            axes.set(ylabel="columns")
            axes.legend(loc="upper right")
        panels[-1, 0].set_xlabel("intensity")
    return figure


def plot_intensity(results: Results, frame: int = 0) -> Figure:
    """Draw the intensity of the columns of a frame."""
    return intensity_map(results.at(columns.Y.group, frame), results.read(_counted_on(results), frame))


def plot_atom_counts(results: Results) -> Figure:
    """Draw the distribution of the intensities of all frames, with the steps on which atoms are counted."""
    values = results.read(_counted_on(results)).values
    return mixture(values.ravel(), results.read(lattice.SUBLATTICE).values.ravel(), _steps(results))


def parts(results: Results, frame: int) -> list[Part]:
    """Show the map and the distribution, and say how many atoms the columns have."""
    part = Part(f"Intensity of frame {frame}")
    for variable in (intensity.GAUSSIAN, intensity.VORONOI):
        part.rows.append(median_row(f"median {variable.long_name}", results.read(variable, frame)))
    for kind, steps in _steps(results).items():
        part.rows.append((f"atoms of {lattice.SUBLATTICES[kind]} columns", _range(steps["n_atoms"])))
    part.show("Intensity of the columns.", lambda: plot_intensity(results, frame))
    part.show("Intensities of all frames" + _what(results), lambda: plot_atom_counts(results))
    return [part]


def _counted_on(results: Results) -> Any:
    params = results.params("intensity")
    assert isinstance(params, intensity.IntensityParams)
    return intensity.COUNTED_ON[params.count_on]


def _what(results: Results) -> str:
    return ", with the mixture of steps by which atoms are counted." if _steps(results) else "."


def _steps(results: Results) -> dict[int, dict[str, Any]]:
    """Return the steps of each sublattice on which atoms were counted."""
    attributes = results.attributes(intensity.GAUSSIAN.group)
    return {int(name.removeprefix("sublattice_")): dict(v) for name, v in attributes.items() if "sublattice_" in name}


def _components(x: Array, steps: dict[str, Any]) -> Array:
    mean, weight = (np.asarray(steps[name], dtype=float)[:, None] for name in ("mean_intensity", "weight"))
    sigma = float(steps["sigma"])
    found: Array = weight * np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    return found


def _range(n_atoms: object) -> str:
    if not isinstance(n_atoms, list):
        return "not known: the intensities don't tell where counting begins"
    return f"{n_atoms[0]} to {n_atoms[-1]}" if len(n_atoms) > 1 else str(n_atoms[0])


def method(params: intensity.IntensityParams) -> Method:
    """Say what the intensity of a column is, and how atoms were counted."""
    text = "Column intensities are the volumes of the fitted Gaussians and sums over Voronoi cells."
    if not params.count_atoms:
        return Method(text)
    which = {"gaussian": "fitted volumes", "voronoi": "Voronoi sums"}[params.count_on]
    counted = f" Atoms were counted by a mixture of at most {params.max_atoms} Gaussians in the {which}."
    return Method(text + counted, ("vanaert2013", "debacker2013"))


SHOWS = Shows(parts, {"intensity": plot_intensity, "atom_counts": plot_atom_counts}, method=method)
