"""The pair distribution function and its first minimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import rdf
from stemdask.figures.numbers import rows_of, with_error
from stemdask.figures.style import ACCENT, MUTED, SUBLATTICES, new, quantity, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


def pair_distribution(found: xr.Dataset, ideal: xr.Dataset | None = None) -> Figure:
    """Draw g(r) of one frame with the first minimum, and that of an ideal particle below it where it is given.

    Parameters
    ----------
    found, ideal
        ``/rdf`` of one frame: `r` (r) in angstrom, `g` (r), `cutoff`, `cutoff_err`.
    """
    shown = [(found, ACCENT)] if ideal is None else [(found, ACCENT), (ideal, MUTED)]
    with style():
        figure, panels = new(6.8, 2.4 * len(shown) + 0.9, len(shown), 1, sharex=True, squeeze=False)
        for axes, (one, colour) in zip(panels[:, 0], shown, strict=True):
            g = one[rdf.G.name].values
            axes.plot(one[rdf.R.name], g, color=colour, lw=1.0)
            _first_minimum(axes, one)
            top = float(np.nanmax(g)) if np.isfinite(g).any() else 1.0
            axes.set(ylabel="g(r)", ylim=(0, 1.08 * max(top, 1e-9)))
        if ideal is not None:
            panels[0, 0].set_title("structure")
            panels[1, 0].set_title("ideal particle")
        units = str(found[rdf.R.name].attrs["units"])
        panels[-1, 0].set(xlabel=quantity("r", units), xlim=(0, float(found[rdf.R.name].max())))
    return figure


def _first_minimum(axes: Axes, found: xr.Dataset) -> None:
    cutoff = float(found[rdf.CUTOFF.name])
    if np.isfinite(cutoff):
        error = float(found[rdf.CUTOFF_ERR.name])
        text = f"{'first minimum' if error > 0 else 'cutoff'} {with_error(cutoff, error)} Å"
        axes.axvline(cutoff, color=SUBLATTICES[1], lw=1)
        corner: dict[str, Any] = {"xytext": (5, -2), "textcoords": "offset points", "va": "top"}
        axes.annotate(text, (cutoff, 1), xycoords=axes.get_xaxis_transform(), color=SUBLATTICES[1], **corner)


def plot_rdf(results: Results, frame: int = 0, ideal: xr.DataTree | None = None) -> Figure:
    """Draw the pair distribution function, above that of an ideal particle where its store is given."""
    beside = Results(ideal) if ideal is not None else results.ideal
    of_ideal = beside.at(rdf.G.group, int(beside.good()[0])) if beside is not None and rdf.G in beside else None
    return pair_distribution(results.at(rdf.G.group, frame), of_ideal)


def parts(results: Results, frame: int) -> list[Part]:
    """State the first minimum, and show the function."""
    part = Part(f"Pair distribution of frame {frame}", rows=rows_of(results, "rdf", frame))
    part.show("Pair distribution function.", lambda: plot_rdf(results, frame))
    return [part]


def cutoff_of(results: Results, frame: int) -> str:
    """Say what the cutoff of a frame is, in words that follow "up to"."""
    cutoff, error = (float(results.read(variable, frame)) for variable in (rdf.CUTOFF, rdf.CUTOFF_ERR))
    if not np.isfinite(cutoff):
        return "the first minimum of g(r), of which there is none here"
    what = "the first minimum of g(r)" if error > 0 else "the given cutoff"
    return f"{what}, {with_error(cutoff, error)} Å"


def words(results: Results, frame: int) -> list[str]:
    """State the first minimum, or the cutoff that was given."""
    cutoff, error = results.read(rdf.CUTOFF, frame), float(results.read(rdf.CUTOFF_ERR, frame))
    name = "cutoff" if error == 0 else rdf.CUTOFF.long_name
    return [f"{name} {float(cutoff):.2f} {cutoff.attrs['units']}"]


SHOWS = Shows(parts, {"rdf": plot_rdf}, words)
