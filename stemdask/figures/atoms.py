"""Figures of the atoms half: g(r), bond order maps, coordination and their course in time."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stemdask.figures.projection import from_far, project
from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, frame_axis, new, quantity, style, unit
from stemdask.model import Array

#: Analytic (q4, q6, normalised w6) of perfect surroundings (Steinhardt, Nelson & Ronchetti 1983, table I).
IDEAL = {
    "fcc": (0.19094, 0.57452, -0.013161),
    "hcp": (0.09722, 0.48476, -0.012442),
    "bcc": (0.03637, 0.51069, 0.013161),
    "ico": (0.0, 0.66332, -0.169754),
}
#: Coarse-grained q6 above which an atom of a nanocrystal counts as crystalline in the published analysis.
ORDER_LINE = 0.54
#: Order parameters as they are written in the field.
SYMBOLS = {"q4": "$q_4$", "q6": "$q_6$", "q4_avg": "$Q_4$", "q6_avg": "$Q_6$", "w4_avg": "$W_4$", "w6_avg": "$W_6$"}


def pair_distribution(rdf: xr.Dataset, ideal: xr.Dataset | None = None) -> Figure:
    """Draw g(r) of one frame with the first minimum, and that of an ideal particle below it where it is given.

    Parameters
    ----------
    rdf, ideal
        ``/rdf`` of one frame: `r` (r) in angstrom, `g` (r), `cutoff`, `cutoff_err`.
    """
    shown = [(rdf, ACCENT)] if ideal is None else [(rdf, ACCENT), (ideal, MUTED)]
    with style():
        figure, panels = new(6.8, 2.4 * len(shown) + 0.9, len(shown), 1, sharex=True, squeeze=False)
        for axes, (found, colour) in zip(panels[:, 0], shown, strict=True):
            axes.plot(found["r"], found["g"], color=colour, lw=1.0)
            _first_minimum(axes, found)
            top = float(np.nanmax(found["g"])) if np.isfinite(found["g"]).any() else 1.0
            axes.set(ylabel="g(r)", ylim=(0, 1.08 * max(top, 1e-9)))
        if ideal is not None:
            panels[0, 0].set_title("structure")
            panels[1, 0].set_title("ideal particle")
        panels[-1, 0].set(xlabel="r / Å", xlim=(0, float(rdf["r"].max())))
    return figure


def order_maps(atoms: xr.Dataset, *, normalised: bool = False) -> Figure:
    """Draw (Q4, Q6) and (w6, Q6) of the atoms of one frame, coloured by the distance to the centre.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `q4_avg`, `q6_avg`, `w6_avg`, `distance_to_center`.
    normalised
        Whether w6 is divided by the 3/2 power of the sum of squares, as Steinhardt et al. define its normalised form.
    """
    with style():
        figure, (left, right) = new(9.2, 4.0, 1, 2, sharey=True)
        colour = atoms["distance_to_center"].values if "distance_to_center" in atoms else np.zeros(atoms.sizes["atom"])
        for axes, name, column in ((left, "q4_avg", 0), (right, "w6_avg", 2)):
            shown = axes.scatter(atoms[name], atoms["q6_avg"], c=colour, s=9, cmap="viridis_r", linewidths=0)
            _marks(axes, {key: (_mark(value, column, normalised), value[1]) for key, value in IDEAL.items()})
            axes.axhline(ORDER_LINE, color=INK, lw=0.8, ls=(0, (4, 3)))
        left.set(xlabel=r"$Q_4$", ylabel=r"$Q_6$", title="Coarse-grained bond order")
        right.set(xlabel=r"$W_6$", title="Icosahedral order")
        figure.colorbar(shown, ax=[left, right], label="distance to the centre / Å", pad=0.01)
    return figure


def coordination(particle: xr.Dataset, ideal: xr.Dataset | None = None) -> Figure:
    """Draw how many atoms of one frame have each coordination number, or beside an ideal particle which part of them.

    Parameters
    ----------
    particle, ideal
        ``/particle`` of one frame: `coordination_histogram` (cn).
    """
    counts = particle["coordination_histogram"].values
    numbers, last = np.arange(counts.size), _last(counts)
    with style():
        figure, axes = new(5.6, 3.2)
        axes.set(xlabel="coordination number", ylabel="atoms")
        if ideal is None:
            axes.bar(numbers, counts, 0.75, color=ACCENT)
        else:
            beside = ideal["coordination_histogram"].values
            last = max(last, _last(beside))
            for sign, found, colour, name in ((-1, counts, ACCENT, "structure"), (1, beside, MUTED, "ideal particle")):
                part, label = 100 * found / max(found.sum(), 1), f"{name}, {found.sum()} atoms"
                axes.bar(np.arange(found.size) + 0.2 * sign, part, 0.4, color=colour, label=label)
            axes.set_ylabel("atoms / %")
            axes.legend(loc="upper left")
        axes.set(xticks=np.arange(last + 1), xlim=(-0.6, last + 0.6))
    return figure


def structure(atoms: xr.Dataset, by: str = "q6_avg") -> Figure:
    """Draw the atoms of one frame in two projections, coloured by a property of theirs.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z` in angstrom and the property.
    by
        The property.
    """
    with style():
        figure, panels = new(8.4, 3.9, 1, 2)
        for axes, plane in zip(panels, ("xy", "xz"), strict=True):
            order = from_far(atoms, plane)
            shown = project(axes, atoms, order, plane, c=atoms[by].values[order], cmap="viridis")
        figure.colorbar(shown, ax=list(panels), label=_label(atoms[by]), pad=0.01)
    return figure


def time_series(series: xr.Dataset, errors: xr.Dataset | None = None) -> Figure:
    """Draw each variable (frame) against the frame, one panel each, with a band of a standard error where it is known.

    Parameters
    ----------
    series
        Variables (frame), of which `long_name` and `units` label the panels; NaN leaves a gap.
    errors
        Standard errors, by the same names.
    """
    with style():
        figure, panels = new(7.0, 1.7 * len(series) + 0.6, len(series), 1, sharex=True, squeeze=False)
        frames = np.arange(series.sizes["frame"])
        for axes, (name, values) in zip(panels[:, 0], series.data_vars.items(), strict=True):
            if errors is not None and name in errors:
                low, high = values - errors[name], values + errors[name]
                axes.fill_between(frames, low, high, color=ACCENT, alpha=0.18, lw=0)
            axes.plot(frames, values, color=ACCENT, lw=1, marker="." if frames.size < 200 else None, ms=4)
            axes.set(title=values.attrs["long_name"], ylabel=unit(values.attrs["units"]))
            if not (values < 0).any():
                axes.set_ylim(bottom=max(axes.get_ylim()[0], 0))  # a band below zero would mean nothing
        frame_axis(panels[-1, 0])
        figure.align_ylabels()
    return figure


def _last(counts: Array) -> int:
    """Return the last bar to show: that of a full shell at least."""
    return int(np.flatnonzero(counts).max(initial=12))


def _first_minimum(axes: Axes, rdf: xr.Dataset) -> None:
    cutoff = float(rdf["cutoff"])
    if np.isfinite(cutoff):
        error = float(rdf["cutoff_err"]) if "cutoff_err" in rdf else float("nan")
        text = f"first minimum {cutoff:.2f}" + (f" ± {error:.2f}" if np.isfinite(error) else "") + " Å"
        axes.axvline(cutoff, color=SUBLATTICES[1], lw=1)
        corner: dict[str, Any] = {"xytext": (5, -2), "textcoords": "offset points", "va": "top"}
        axes.annotate(text, (cutoff, 1), xycoords=axes.get_xaxis_transform(), color=SUBLATTICES[1], **corner)


def _mark(ideal: tuple[float, float, float], column: int, normalised: bool) -> float:
    if column < 2 or normalised:
        return ideal[column]
    return float(ideal[2] * (ideal[1] ** 2 * 13 / (4 * np.pi)) ** 1.5)


def _marks(axes: Axes, marks: Mapping[str, tuple[float, float]]) -> None:
    for name, (x, y) in marks.items():
        axes.plot(x, y, marker="x", color=SUBLATTICES[1], ms=6, mew=1.4, ls="none")
        axes.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", color=SUBLATTICES[1], fontsize=8)


def _label(array: xr.DataArray) -> str:
    words = SYMBOLS.get(str(array.name)) or "\n".join(textwrap.wrap(array.attrs.get("long_name", ""), 40))
    return quantity(words, array.attrs.get("units", "1"))
