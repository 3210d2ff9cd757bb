"""The pair distribution function and its first minimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import rdf
from stemdask.figures.numbers import rows_of, with_error
from stemdask.figures.several import BESIDE, beside, frame_map
from stemdask.figures.style import ACCENT, MUTED, SUBLATTICES, new, quantity, style
from stemdask.results.shows import Doubt, Method, Part, Shows
from stemdask.results.views import Results
from stemdask.units import amount


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


def of_stages(found: xr.Dataset, frames: Sequence[int]) -> Figure:
    """Draw g(r) of several frames, one below the other on shared axes, each with its first minimum.

    Parameters
    ----------
    found
        ``/rdf``: `r` (r) in angstrom, `g` (frame, r), `cutoff`, `cutoff_err` (frame).
    frames
        Which of them.
    """
    last = int(np.flatnonzero((np.nan_to_num(found[rdf.G.name].values[frames]) > 0).any(axis=0)).max(initial=1))
    with style():
        figure, panels = new(6.8, 1.5 * len(frames) + 0.8, len(frames), 1, sharex=True, sharey=True, squeeze=False)
        for axes, frame in zip(panels[:, 0], frames, strict=True):
            one = found.isel(frame=frame)
            axes.plot(one[rdf.R.name], one[rdf.G.name], color=ACCENT, lw=1.0)
            _first_minimum(axes, one)
            axes.set(ylabel="g(r)", title=f"frame {frame}")
        panels[0, 0].set_ylim(bottom=0)
        r = found[rdf.R.name]
        panels[-1, 0].set(xlabel=quantity("r", str(r.attrs["units"])), xlim=(0, float(r[last])))
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


def plot_rdf_of_frames(results: Results) -> Figure:
    """Draw g(r) of all frames: on shared axes, or of more than six as a map with the first minimum."""
    found, frames = results.whole(rdf.G.group), beside(results)
    if len(results.good()) <= BESIDE:
        return of_stages(found, frames)
    r, g = found[rdf.R.name], results.by_frame(rdf.G)
    figure = frame_map(r.values, g.values, quantity("r", str(r.attrs["units"])), "g(r)")
    figure.axes[0].plot(results.by_frame(rdf.CUTOFF), color="white", lw=1)
    figure.axes[0].set_title(f"white line: {rdf.CUTOFF.long_name}", loc="left", fontsize=9)
    return figure


def parts(results: Results, frame: int) -> list[Part]:
    """State the first minimum, and show the function."""
    part = Part(f"Pair distribution of frame {frame}", rows=rows_of(results, "rdf", frame))
    part.show("Pair distribution function.", lambda: plot_rdf(results, frame))
    if len(results.good()) > 1:
        part.show("Pair distribution of the frames, and its first minimum.", lambda: plot_rdf_of_frames(results))
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
    return [f"{name} {amount(f'{float(cutoff):.2f}', cutoff.attrs['units'])}"]


def doubts(results: Results) -> list[Doubt]:
    """Return the frames whose neighbours aren't known."""
    return [Doubt("g(r) has no first minimum", np.isnan(results.read(rdf.CUTOFF).values))]


def method(params: rdf.RdfParams) -> Method:
    """Say how g(r) was counted."""
    return Method(
        f"The pair distribution function g(r) was computed in bins of {params.bin_width}; its first minimum was taken "
        "in the middle of the gap after the first shell."
    )


SHOWS = Shows(parts, {"rdf": plot_rdf, "rdf_of_frames": plot_rdf_of_frames}, words, doubts, method=method)
