"""Figures of a particle in time: how far atoms move, which come and go, how much they shake, what they are."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stemdask.figures.particle import KINDS
from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, frame_axis, new, style


def tracks(tracks: xr.Dataset) -> Figure:
    """Draw the mean squared displacement, the atoms born and lost, and the rotation of the particle by frame.

    Parameters
    ----------
    tracks
        ``/tracks``: `msd` (frame) in angstrom², `n_born`, `n_lost` (frame), `rotation` (frame) in degree, `rms`.
    """
    frames = np.arange(tracks.sizes["frame"])
    linked = np.isfinite(tracks["rotation"].values)
    born = np.where(linked, tracks["n_born"].values, 0)
    born[np.argmax(linked)] = 0  # the atoms that there are from the start
    marker = {"marker": "." if frames.size < 200 else None, "ms": 4, "lw": 1}
    with style():
        figure, (moved, turned, changed) = new(7.0, 6.2, 3, 1, sharex=True)
        moved.plot(frames, tracks["msd"], color=ACCENT, **marker)
        moved.set(title="mean squared displacement of the first frame's atoms", ylabel="MSD / Å²", ylim=(0, None))
        turned.plot(frames, tracks["rotation"], color=ACCENT, **marker)
        turned.set(title="rotation of the particle since the first frame", ylabel="angle / °", ylim=(0, None))
        changed.bar(frames, born, 0.8, color=SUBLATTICES[2], label="born")
        changed.bar(frames, -tracks["n_lost"].values, 0.8, color=SUBLATTICES[1], label="lost")
        changed.axhline(0, color=INK, lw=0.8)
        most = max(int(born.max(initial=0)), int(tracks["n_lost"].max()), 1)
        changed.set(title="atoms that come and go", ylabel="atoms", ylim=(-1.15 * most, 1.15 * most))
        changed.yaxis.set_major_locator(MaxNLocator(integer=True))
        changed.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
        frame_axis(changed)
        changed.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        figure.align_ylabels()
    return figure


def shaking(tracks: xr.Dataset) -> Figure:
    """Draw the Lindemann index of each atom against its distance to the centre of its mean position.

    Parameters
    ----------
    tracks
        ``/tracks``: `x`, `y`, `z` (track) in angstrom, `lindemann_index` (track), `n_frames` (track), `lindemann`.
    """
    xyz = np.column_stack([tracks[axis].values for axis in "xyz"])
    known = np.isfinite(xyz).all(axis=1)
    distance = np.linalg.norm(xyz - (xyz[known].mean(axis=0) if known.any() else 0), axis=1)
    index, overall = tracks["lindemann_index"].values, float(tracks["lindemann"])
    top = 1.1 * float(index[np.isfinite(index)].max(initial=0)) or 1.0
    with style():
        figure, axes = new(6.4, 3.6)
        colours = {"c": tracks["n_frames"], "cmap": "viridis_r", "vmin": 1, "vmax": max(tracks.sizes["frame"], 2)}
        shown = axes.scatter(distance, index, s=14, lw=0, **colours)
        whole = MaxNLocator(integer=True)
        figure.colorbar(shown, ax=axes, label="frames in which the atom was seen", pad=0.01, ticks=whole)
        if np.isfinite(overall):
            axes.axhline(overall, color=INK, lw=0.8, ls=(0, (4, 3)))
            beside = {"xycoords": axes.get_yaxis_transform(), "xytext": (4, 3), "textcoords": "offset points"}
            axes.annotate(f"all atoms {overall:.4f}", (0, overall), fontsize=8, **beside)
        axes.set(xlabel="distance to the centre / Å", ylabel="Lindemann index", ylim=(0, top))
    return figure


def structure_in_time(structure: xr.Dataset) -> Figure:
    """Draw the number of atoms of each structure type, of those that occur, by frame.

    Parameters
    ----------
    structure
        ``/structure``: `count` (frame, structure_kind), with the meanings of `structure_kind` as attributes.
    """
    flags = structure["structure_kind"].attrs
    names = dict(zip(flags["flag_values"], flags["flag_meanings"].split(), strict=True))
    frames = np.arange(structure.sizes["frame"])
    with style():
        figure, axes = new(7.0, 3.2)
        marker = "." if frames.size < 200 else None
        for place, kind in enumerate(structure["structure_kind"].values):
            counts = structure["count"].values[:, place].astype(float)
            if np.nanmax(counts, initial=0) > 0:
                colour, label = KINDS.get(names[int(kind)], MUTED), names[int(kind)]
                axes.plot(frames, counts, color=colour, lw=1.2, marker=marker, ms=4, label=label)
        axes.set(ylabel="atoms", ylim=(0, None))
        frame_axis(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
