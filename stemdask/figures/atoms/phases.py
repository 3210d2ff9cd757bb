"""How a particle changes over the frames: what rises and falls, and from when to when."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.derived.other_results import in_words
from stemdask.analyses.atoms.order import structure
from stemdask.analyses.atoms.time import phases
from stemdask.figures.atoms.structure import KINDS
from stemdask.figures.canvas import curve
from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, frame_axis, new, quantity, style
from stemdask.kernels.arrays import Floats
from stemdask.kernels.atoms.change_points import CHANCE, FEWEST, Transition
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results
from stemdask.units import amount

#: Changes whose frames differ by no more than this, or than their errors, are told in one breath.
TOGETHER = 2
#: Standard errors by which two frames must differ before it is said that they do.
CLEAR = 3.0


class Series(NamedTuple):
    """A number of each frame, and its changes."""

    of: phases.Quantity
    values: Floats
    """(frame,)."""
    error: Floats
    """(frame,), standard error; 0 of numbers that have none."""
    changes: list[Transition]


def series_of(results: Results) -> list[Series]:
    """Return the numbers of each frame whose changes were looked for."""
    found = results.whole(phases.QUANTITY.group)
    columns = [found[v.name].values for v in (phases.START, phases.START_ERR, phases.STOP, phases.STOP_ERR)]
    columns += [found[v.name].values for v in (phases.BEFORE, phases.AFTER)]
    which = found[phases.QUANTITY.name].values
    every = []
    for k, of in enumerate(phases.QUANTITIES):
        kind = slice(None) if of.kind is None else of.kind
        values = results.by_frame(of.variable).values[..., kind].astype(float)
        error = np.zeros(len(values))
        if of.variable.error is not None:
            error = found[of.variable.error.rpartition("/")[2]].values[..., kind]
        changes = [Transition(*row) for row in zip(*(column[which == k] for column in columns), strict=True)]
        every.append(Series(of, values, np.nan_to_num(error), changes))
    return every


def courses(every: list[Series]) -> Figure:
    """Draw numbers by frame, and shade from when to when they change.

    Parameters
    ----------
    every
        The numbers.
    """
    with style():
        figure, panels = new(7.0, 1.3 * len(every) + 0.8, len(every), 1, sharex=True, squeeze=False)
        for axes, series in zip(panels[:, 0], every, strict=True):
            frames = np.arange(len(series.values))
            curve(axes, frames, series.values, series.error if series.error.any() else None, color=ACCENT)
            for change in series.changes:
                axes.axvspan(change.start - 0.5, change.stop - 0.5, color=SUBLATTICES[1], alpha=0.15, lw=0)
                for at, error in ((change.start, change.start_error), (change.stop, change.stop_error)):
                    if np.isfinite(error):
                        axes.axvline(at - 0.5, color=INK, lw=0.8, ls=(0, (4, 3)))
            axes.set_title(quantity(series.of.text, series.of.variable.units))
        frame_axis(panels[-1, 0])
    return figure


def order_in_time(found: xr.Dataset) -> Figure:
    """Draw the mean crystallinity of each layer of depth by frame.

    Parameters
    ----------
    found
        ``/phases``: `layer` (layer) in angstrom, `layer_order` (frame, layer).
    """
    order = found[phases.LAYER_ORDER.name].transpose("layer", "frame").values
    depth = found[phases.LAYER.name].values
    filled = np.flatnonzero(np.isfinite(order).any(axis=1)).max(initial=0) + 1
    half = float(depth[0])
    with style():
        figure, axes = new(7.0, 3.0)
        frames = np.arange(order.shape[1] + 1) - 0.5
        edges = np.append(depth[:filled] - half, depth[filled - 1] + half)
        shown = axes.pcolormesh(frames, edges, order[:filled], vmin=0, vmax=1, cmap="viridis")
        axes.set(ylabel=quantity("depth", phases.LAYER.units), ylim=(edges[-1], 0))
        frame_axis(axes)
        figure.colorbar(shown, ax=axes, label="mean crystallinity", pad=0.01)
    return figure


def fractions(found: xr.Dataset) -> Figure:
    """Draw the fraction of each structure type by frame, one above the other.

    Parameters
    ----------
    found
        ``/phases``: `fraction` (frame, structure_kind).
    """
    values = found[phases.FRACTION.name].transpose("structure_kind", "frame").values
    there = [k for k, row in enumerate(values) if np.nanmax(row, initial=0) >= phases.LEAST]
    names = list(structure.KINDS.values())
    with style():
        figure, axes = new(7.0, 3.0)
        axes.stackplot(
            np.arange(values.shape[1]),
            np.nan_to_num(values[there]),
            labels=[in_words(names[k]) for k in there],
            colors=[KINDS.get(names[k], MUTED) for k in there],
        )
        axes.set(ylabel="fraction of the atoms", ylim=(0, 1), xlim=(0, max(values.shape[1] - 1, 1)))
        frame_axis(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_courses(results: Results) -> Figure:
    """Draw the numbers of each frame, and from when to when they change."""
    return courses([one for one in series_of(results) if one.of.kind is None or one.changes])


def plot_order_in_time(results: Results) -> Figure:
    """Draw the order of each layer of depth by frame."""
    return order_in_time(results.whole(phases.LAYER.group))


def plot_fractions(results: Results) -> Figure:
    """Draw the fraction of each structure type by frame."""
    return fractions(results.whole(phases.FRACTION.group))


def summary(every: list[Series]) -> str:
    """Say in a sentence what changes over the frames, and when.

    Parameters
    ----------
    every
        The numbers.
    """
    events: list[tuple[Transition, list[str]]] = []
    for change, series in sorted(((c, s) for s in every for c in s.changes), key=lambda one: one[0].start):
        text = _change(series, change)
        same = [texts for other, texts in events if _together(other, change)]
        if same:
            same[0].append(text)
        else:
            events.append((change, [text]))
    if events:
        said = "; ".join(f"{_when(change)} {_listed(texts)}" for change, texts in events)
        return f"{said[0].upper()}{said[1:]}."
    if len(every[0].values) >= FEWEST:
        return f"No number changes by {100 * phases.LEAST:g} % or more beyond its noise."
    return _first_and_last(every)


def _together(a: Transition, b: Transition) -> bool:
    """Tell whether two changes begin and end at the same frames, within their errors."""
    starts, stops = (a.start, a.start_error, b.start, b.start_error), (a.stop, a.stop_error, b.stop, b.stop_error)
    for at, error, other, other_error in (starts, stops):
        if np.isfinite(error) != np.isfinite(other_error):
            return False
        if np.isfinite(error) and abs(at - other) > max(TOGETHER, float(np.hypot(error, other_error))):
            return False
    return (a.start == a.stop) == (b.start == b.stop)


def _when(change: Transition) -> str:
    start, stop = f"frame {_at(change.start, change.start_error)}", _at(change.stop, change.stop_error)
    if not np.isfinite(change.start_error):
        return f"until frame {stop}" if np.isfinite(change.stop_error) else "from the first frame to the last"
    if change.stop == change.start:
        return f"at {start}"
    return f"from {start} to {stop}" if np.isfinite(change.stop_error) else f"from {start} to the last"


def _at(frame: int, error: float) -> str:
    return f"{frame:.0f} ± {max(error, 0.5):.1g}"


def _change(series: Series, change: Transition) -> str:
    verb = "rises" if change.after > change.before else "falls"
    return f"the {series.of.text} {verb} ({_from_to(series, change.before, change.after)})"


def _first_and_last(every: list[Series]) -> str:
    """Say what differs between the first frame and the last, where too few tell when it changes."""
    changed: list[str] = []
    same: list[str] = []
    for series in every:
        known = np.flatnonzero(np.isfinite(series.values))
        if known.size < 2:
            continue
        (first, last), errors = series.values[known[[0, -1]]], series.error[known[[0, -1]]]
        if abs(last - first) > max(CLEAR * float(np.hypot(*errors)), series.of.least(series.values)):
            changed.append(_change(series, Transition(0, np.nan, 0, np.nan, first, last)))
        elif series.of.kind is None:
            same.append(f"the {series.of.text}")
    if not changed and not same:
        return "There are too few frames with results to tell a change."
    rest = f"; {_listed(same)} {'remains' if len(same) == 1 else 'remain'}" if same else ""
    rest += f" within {CLEAR:g} standard errors or {100 * phases.LEAST:g} %" if same else ""
    told = f"From the first frame to the last {_listed(changed) or 'nothing changes'}{rest}"
    return f"{told}. Fewer than {FEWEST} frames don't tell when."


def _listed(texts: list[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _from_to(series: Series, before: float, after: float) -> str:
    if series.of.variable.dtype.startswith("int"):
        return f"{before:.0f} to {after:.0f}"
    if series.of.variable.units == "1":
        return f"{before:.2f} to {after:.2f}"
    return amount(f"{before:.3g} to {after:.3g}", series.of.variable.units)


def parts(results: Results, frame: int) -> list[Part]:
    """Say what changes, and show it; nothing where there is one frame."""
    if results.n_frames < 2:
        return []
    part = Part("What changes over the frames")
    part.sentences.append(summary(series_of(results)))
    part.show("Numbers of each frame; shaded: while they change.", lambda: plot_courses(results))
    part.show("Order by depth below the surface, frame after frame.", lambda: plot_order_in_time(results))
    part.show("Fraction of the atoms of each structure type.", lambda: plot_fractions(results))
    return [part]


def method(params: phases.PhasesParams) -> Method:
    """Say how changes were found."""
    return Method(
        "Changes over the frames were found by dividing each time series into straight segments, each with its own "
        f"autoregressive noise, by Bayesian evidence (false positives in noise: below {CHANCE:g}); changes below "
        f"{100 * phases.LEAST:g} % were left out. Order against depth is the mean crystallinity of layers of "
        f"{params.layer_width}.",
        ("fearnhead2006",),
    )


SHOWS = Shows(
    parts,
    {"courses": plot_courses, "order_in_time": plot_order_in_time, "phase_fractions": plot_fractions},
    method=method,
)
