"""The atoms of a particle in time: how far they move, which come and go, how much they shake."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stemdask.analyses.atoms.time import tracks
from stemdask.figures.numbers import number
from stemdask.figures.style import ACCENT, INK, SUBLATTICES, frame_axis, new, quantity, style
from stemdask.results.shows import Part, Shows
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
    part.show("Motion; lost atoms are given up some frames after they were seen last.", lambda: motion(found))
    part.show("How much every atom shakes against its neighbours.", lambda: shaking(found))
    return [part]


SHOWS = Shows(parts, {"motion": plot_motion, "shaking": plot_shaking})
