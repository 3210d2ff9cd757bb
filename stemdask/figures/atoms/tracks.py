"""The atoms of a particle in time: how far they move, which come and go, how much they shake."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stemdask.analyses.atoms.time import tracks
from stemdask.errors import StoreError
from stemdask.figures.numbers import Row, number
from stemdask.figures.style import ACCENT, INK, SUBLATTICES, frame_axis, new, quantity, style
from stemdask.results.shows import Doubt, Method, Part, Shows
from stemdask.results.views import Results


def motion(found: xr.Dataset) -> Figure:
    """Draw the mean squared displacement, the atoms born and lost, and the rotation of the particle by frame.

    Parameters
    ----------
    found
        ``/tracks``: `msd` (frame) in angstrom², `n_born`, `n_lost` (frame), `rotation` (frame) in degree, `rms`.
    """
    frames = np.arange(found.sizes["frame"])
    linked = np.isfinite(found[tracks.ROTATION.name].values)
    born = np.where(linked, found[tracks.N_BORN.name].values, 0)
    born[np.argmax(linked)] = 0  # the atoms that there are from the start
    marker = {"marker": "." if frames.size < 200 else None, "ms": 4, "lw": 1}
    with style():
        figure, (moved, turned, changed) = new(7.0, 6.2, 3, 1, sharex=True)
        moved.plot(frames, found[tracks.MSD.name], color=ACCENT, **marker)
        moved.set(
            title="mean squared displacement of the first frame's atoms",
            ylabel=quantity("MSD", tracks.MSD.units),
            ylim=(0, None),
        )
        turned.plot(frames, found[tracks.ROTATION.name], color=ACCENT, **marker)
        turned.set(
            title="rotation of the particle since the first frame",
            ylabel=quantity("angle", tracks.ROTATION.units),
            ylim=(0, None),
        )
        changed.bar(frames, born, 0.8, color=SUBLATTICES[2], label="born")
        changed.bar(frames, -found[tracks.N_LOST.name].values, 0.8, color=SUBLATTICES[1], label="lost")
        changed.axhline(0, color=INK, lw=0.8)
        most = max(int(born.max(initial=0)), int(found[tracks.N_LOST.name].max()), 1)
        changed.set(title="atoms that come and go", ylabel="atoms", ylim=(-1.15 * most, 1.15 * most))
        changed.yaxis.set_major_locator(MaxNLocator(integer=True))
        changed.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
        frame_axis(changed)
        changed.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        figure.align_ylabels()
    return figure


def shaking(found: xr.Dataset) -> Figure:
    """Draw the Lindemann index of each atom against its distance to the centre of its mean position.

    Parameters
    ----------
    found
        ``/tracks``: `x`, `y`, `z` (track) in angstrom, `lindemann_index` (track), `n_frames` (track), `lindemann`.
    """
    xyz = np.column_stack([found[axis.name].values for axis in tracks.MEAN_POSITION])
    known = np.isfinite(xyz).all(axis=1)
    distance = np.linalg.norm(xyz - (xyz[known].mean(axis=0) if known.any() else 0), axis=1)
    index, overall = found[tracks.LINDEMANN_INDEX.name].values, float(found[tracks.LINDEMANN.name])
    top = 1.1 * float(index[np.isfinite(index)].max(initial=0)) or 1.0
    with style():
        figure, axes = new(6.4, 3.6)
        colours = {
            "c": found[tracks.N_FRAMES.name],
            "cmap": "viridis_r",
            "vmin": 1,
            "vmax": max(found.sizes["frame"], 2),
        }
        shown = axes.scatter(distance, index, s=14, lw=0, **colours)
        whole = MaxNLocator(integer=True)
        figure.colorbar(shown, ax=axes, label="frames in which the atom was seen", pad=0.01, ticks=whole)
        if np.isfinite(overall):
            axes.axhline(overall, color=INK, lw=0.8, ls=(0, (4, 3)), label=f"all atoms: {overall:.4f}")
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
        axes.set(
            xlabel=quantity("distance to the centre", tracks.MEAN_POSITION[0].units),
            ylabel="Lindemann index",
            ylim=(0, top),
        )
    return figure


def turnover(found: xr.Dataset) -> Figure:
    """Draw the coordination and the depth of atoms where they were seen first and last, of those that came or went.

    Parameters
    ----------
    found
        ``/tracks``: `first_frame`, `end` (track), and `first_coordination`, `last_coordination`, `first_depth`,
        `last_depth` (track), where the run has them.
    """
    pairs = [tracks.first_and_last(variable) for variable in tracks.AT_THE_ENDS]
    there = [pair for pair in pairs if pair[0].name in found]
    came = found[tracks.FIRST_FRAME.name].values > found[tracks.FIRST_FRAME.name].values.min(initial=0)
    gone = found[tracks.END.name].values == tracks.LOST
    with style():
        figure, panels = new(4.6 * len(there), 3.2, 1, len(there), squeeze=False)
        for axes, (first, last) in zip(panels[0], there, strict=True):
            values = found[first.name].values[came], found[last.name].values[gone]
            known = [value[np.isfinite(value)] for value in values]
            top = max((float(value.max()) for value in known if value.size), default=1.0)
            edges = np.arange(-0.5 if first.units == "1" else 0.0, top + 1.5)
            labels, colours = ["born", "lost"], [SUBLATTICES[2], SUBLATTICES[1]]
            axes.hist(known, edges, label=labels, color=colours)
            text = first.long_name.rpartition(",")[0]
            axes.set(xlabel=quantity(text, first.units) if first.units != "1" else text, ylabel="atoms")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            if first.units == "1":  # a number of neighbours
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[0, -1].legend()
    return figure


def plot_turnover(results: Results) -> Figure:
    """Draw the coordination and the depth of the atoms that came or went."""
    found = results.whole(tracks.FLAG.group)
    if not any(first.name in found for first, _ in map(tracks.first_and_last, tracks.AT_THE_ENDS)):
        raise StoreError("the run has neither coordination nor surface", remedy="Run it with one of them")
    return turnover(found)


def plot_motion(results: Results) -> Figure:
    """Draw how far the atoms move over the frames, and which come and go."""
    return motion(results.whole(tracks.FLAG.group))


def plot_shaking(results: Results) -> Figure:
    """Draw the Lindemann index of every atom against its distance to the centre."""
    return shaking(results.whole(tracks.FLAG.group))


def parts(results: Results, frame: int) -> list[Part]:
    """Count the tracks, and show how the atoms move; nothing where there is one frame."""
    if results.n_frames < 2:
        return []
    found = results.whole(tracks.FLAG.group)
    part = Part("Atoms in time")
    part.rows = [
        ("atoms followed", str(found.sizes["track"])),
        ("frames that could not be linked", str(int((results.by_frame(tracks.FLAG) > 0).sum()))),
        (tracks.LINDEMANN.long_name, number(found[tracks.LINDEMANN.name], 4)),
    ]
    part.rows += _gone(found)
    part.show("Motion; lost atoms stand at the frame in which they were seen last.", lambda: motion(found))
    if any(first.name in found for first, _ in map(tracks.first_and_last, tracks.AT_THE_ENDS)):
        part.show("Where atoms were that came and went.", lambda: turnover(found))
    part.show("How much every atom vibrates relative to its neighbours.", lambda: shaking(found))
    return [part]


def _gone(found: xr.Dataset) -> list[Row]:
    """Return how many atoms came, were lost, and may come back."""
    end = found[tracks.END.name].values
    born = int((found[tracks.FIRST_FRAME.name].values > found[tracks.FIRST_FRAME.name].values.min(initial=0)).sum())
    rows = [("atoms that came", born), ("atoms lost", int((end == tracks.LOST).sum()))]
    rows.append(("atoms missing at the end, which could still come back", int((end == tracks.OPEN).sum())))
    return [(text, str(number)) for text, number in rows]


def doubts(results: Results) -> list[Doubt]:
    """Return the frames that could not be linked to the one before."""
    if tracks.FLAG not in results:  # it comes once all frames are done
        return []
    flags = results.read(tracks.FLAG)
    return [Doubt("the atoms could not be linked to those before", flags.values > 0)]


def method(params: tracks.TracksParams) -> Method:
    """Say how atoms were followed."""
    reach = "" if params.max_displacement == "auto" else f"displaced by at most {params.max_displacement}, "
    return Method(
        "Atoms were linked from frame to frame after superposition of the particles "
        f"({reach}absent for at most {params.memory} frames).",
        ("kabsch1976",),
    )


SHOWS = Shows(
    parts, {"motion": plot_motion, "shaking": plot_shaking, "turnover": plot_turnover}, doubts=doubts, method=method
)
