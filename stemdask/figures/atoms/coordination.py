"""Coordination numbers of the atoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import coordination
from stemdask.figures.numbers import rows_of, with_error
from stemdask.figures.several import BESIDE, beside, frame_map
from stemdask.figures.style import ACCENT, MUTED, new, style
from stemdask.model import Array
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results


def histogram(particle: xr.Dataset, ideal: xr.Dataset | None = None) -> Figure:
    """Draw how many atoms of one frame have each coordination number, or beside an ideal particle which part of them.

    Parameters
    ----------
    particle, ideal
        ``/particle`` of one frame: `coordination_histogram` (cn).
    """
    counts = particle[coordination.COORDINATION_HISTOGRAM.name].values
    numbers, last = np.arange(counts.size), _last(counts)
    with style():
        figure, axes = new(5.6, 3.2)
        axes.set(xlabel="coordination number", ylabel="atoms")
        if ideal is None:
            axes.bar(numbers, counts, 0.75, color=ACCENT)
        else:
            beside = ideal[coordination.COORDINATION_HISTOGRAM.name].values
            last = max(last, _last(beside))
            for sign, found, colour, name in ((-1, counts, ACCENT, "structure"), (1, beside, MUTED, "ideal particle")):
                part, label = 100 * found / max(found.sum(), 1), f"{name}, {found.sum()} atoms"
                axes.bar(np.arange(found.size) + 0.2 * sign, part, 0.4, color=colour, label=label)
            axes.set_ylabel("atoms / %")
            axes.legend(loc="upper left")
        axes.set(xticks=np.arange(last + 1), xlim=(-0.6, last + 0.6))
    return figure


def of_stages(counts: Array, frames: Sequence[int]) -> Figure:
    """Draw which part of the atoms has each coordination number, of several frames on shared axes.

    Parameters
    ----------
    counts
        (frame, cn).
    frames
        Which of them.
    """
    with style():
        figure, panels = new(6.0, 1.4 * len(frames) + 0.8, len(frames), 1, sharex=True, sharey=True, squeeze=False)
        for axes, frame in zip(panels[:, 0], frames, strict=True):
            found = counts[frame]
            axes.bar(np.arange(found.size), 100 * found / max(found.sum(), 1), 0.75, color=ACCENT)
            axes.set(ylabel="atoms / %", title=f"frame {frame}: {int(found.sum())} atoms")
        last = max(_last(counts[frame]) for frame in frames)
        panels[-1, 0].set(xlabel="coordination number", xticks=np.arange(last + 1), xlim=(-0.6, last + 0.6))
    return figure


def _last(counts: Array) -> int:
    """Return the last bar to show: that of a full shell at least."""
    return int(np.flatnonzero(counts).max(initial=12))


def plot_coordination(results: Results, frame: int = 0, ideal: xr.DataTree | None = None) -> Figure:
    """Draw how many atoms have each coordination number, beside an ideal particle where its store is given."""
    beside, counted = Results(ideal) if ideal is not None else results.ideal, coordination.COORDINATION_HISTOGRAM
    of_ideal = beside.at(counted.group, int(beside.good()[0])) if beside is not None and counted in beside else None
    return histogram(results.at(counted.group, frame), of_ideal)


def plot_coordination_of_frames(results: Results) -> Figure:
    """Draw the coordination numbers of all frames: on shared axes, or of more than six as a map."""
    counts = results.by_frame(coordination.COORDINATION_HISTOGRAM).values
    if len(results.good()) <= BESIDE:
        return of_stages(counts, beside(results))
    part = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    last = _last(np.nansum(counts, axis=0))
    return frame_map(np.arange(last + 1.0), part[:, : last + 1], "coordination number", "atoms / %")


def parts(results: Results, frame: int) -> list[Part]:
    """State the mean, and show the histogram."""
    part = Part(f"Coordination of frame {frame}", rows=rows_of(results, "coordination", frame))
    part.sentences.append(_neighbours(results, frame))
    part.show("Atoms by coordination number.", lambda: plot_coordination(results, frame))
    if len(results.good()) > 1:
        part.show("Coordination numbers of the frames.", lambda: plot_coordination_of_frames(results))
    return [part]


def _neighbours(results: Results, frame: int) -> str:
    """Say up to which distance atoms count as neighbours, and by which rule."""
    from stemdask.sources.atoms.elements import chemical_symbol  # ASE takes half a second to import

    params = results.params("coordination")
    assert isinstance(params, coordination.CoordinationParams)
    found = results.at(coordination.CUTOFF.group, frame)
    pairs = zip(*(found[v.name].values for v in (coordination.ELEMENT_1, coordination.ELEMENT_2)), strict=True)
    reached, never = [], []
    for (one, other), cutoff, error in zip(
        pairs, found[coordination.CUTOFF.name].values, found[coordination.CUTOFF_ERR.name].values, strict=True
    ):
        name = f"{chemical_symbol(one)}-{chemical_symbol(other)}"
        if cutoff > 0:
            reached.append(f"{name} {with_error(cutoff, error)} Å")
        elif cutoff == 0:
            never.append(name)
    rules = {"first_minimum": "the first minimum of g(r) of the two elements", "bulk_distance": "a bulk distance × 1.2"}
    rule = rules.get(params.by, rules["first_minimum"]) if params.cutoff == "auto" else "the given distance"
    text = f"Atoms are neighbours if closer than {rule}: {', '.join(reached) or 'none'}."
    if params.by == "auto" and params.cutoff == "auto":
        text += " In a body-centred crystal they are those of the first shell, nearer than midway to the second."
    elif params.by == "lattice":
        text = (
            "Neighbours of an atom on a crystal lattice are those in its first shell. Other "
            + text[0].lower()
            + text[1:]
        )
    return text + (f" {', '.join(never)} are too far apart to be bonds." if never else "")


def method(params: coordination.CoordinationParams) -> Method:
    """Say who is a neighbour."""
    rules = {
        "first_minimum": "the first minimum of g(r) of the two elements",
        "bulk_distance": "1.2 times a bulk distance",
    }
    reach = rules.get(params.by, rules["first_minimum"]) if params.cutoff == "auto" else str(params.cutoff)
    if params.by == "lattice":
        return Method(
            "Coordination numbers count the atoms in the first shell of the crystal lattice or, for atoms on no "
            f"lattice, those closer than {reach}."
        )
    shell = params.by == "auto" and params.cutoff == "auto"
    body_centred = ", in body-centred crystals those in the first shell" if shell else ""
    return Method(f"Coordination numbers count the atoms closer than {reach}{body_centred}.")


SHOWS = Shows(
    parts, {"coordination": plot_coordination, "coordination_of_frames": plot_coordination_of_frames}, method=method
)
