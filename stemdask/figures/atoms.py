"""Figures of the atoms half: g(r), bond order maps, coordination and their course in time."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, new, style

#: Analytic (q4, q6, normalised w6) of perfect surroundings (Steinhardt, Nelson & Ronchetti 1983, table I).
IDEAL = {
    "fcc": (0.19094, 0.57452, -0.013161),
    "hcp": (0.09722, 0.48476, -0.012442),
    "bcc": (0.03637, 0.51069, 0.013161),
    "ico": (0.0, 0.66332, -0.169754),
}
#: Coarse-grained q6 above which an atom of a nanocrystal counts as crystalline in the published analysis.
ORDER_LINE = 0.54

_SYMBOLS = {"q4": "$q_4$", "q6": "$q_6$", "q4_avg": "$Q_4$", "q6_avg": "$Q_6$", "w6_avg": "$W_6$"}


def pair_distribution(rdf: xr.Dataset, ideal: xr.Dataset | None = None) -> Figure:
    """Draw g(r) of one frame with the first minimum, and of an ideal particle below it where it is given.

    Parameters
    ----------
    rdf, ideal
        ``/rdf`` of one frame: `r` (r) in angstrom, `g` (r), `cutoff`, `cutoff_err`.
    """
    with style():
        figure, axes = new(6.4, 3.6)
        axes.plot(rdf["r"], rdf["g"], color=ACCENT, lw=1.1, label="structure")
        if ideal is not None:
            axes.plot(ideal["r"], ideal["g"], color=MUTED, lw=0.9, zorder=0, label="ideal particle")
        cutoff = float(rdf["cutoff"])
        if np.isfinite(cutoff):
            axes.axvline(cutoff, color=SUBLATTICES[1], lw=1)
            error = float(rdf["cutoff_err"]) if "cutoff_err" in rdf else float("nan")
            text = f" first minimum {cutoff:.2f}" + (f" ± {error:.2f}" if np.isfinite(error) else "") + " Å"
            axes.text(cutoff, 0.97, text, color=SUBLATTICES[1], transform=axes.get_xaxis_transform(), va="top")
        top = float(np.nanmax(rdf["g"])) if rdf["g"].size and np.isfinite(rdf["g"]).any() else 1.0
        axes.set(xlabel="r / Å", ylabel="g(r)", ylim=(0, 1.08 * top), xlim=(0, float(rdf["r"].max())))
        if ideal is not None:
            axes.legend(loc="upper right")
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
    """Draw the number of atoms of each coordination number of one frame (`coordination_histogram` (cn))."""
    counts = particle["coordination_histogram"].values
    numbers = np.arange(counts.size)
    with style():
        figure, axes = new(5.6, 3.2)
        width = 0.4 if ideal is not None else 0.75
        axes.bar(numbers - (width / 2 if ideal is not None else 0), counts, width, color=ACCENT, label="structure")
        if ideal is not None:
            axes.bar(numbers + width / 2, ideal["coordination_histogram"], width, color=MUTED, label="ideal particle")
            axes.legend()
        last = int(np.nonzero(counts)[0].max(initial=12))
        axes.set(xlabel="coordination number", ylabel="atoms", xticks=numbers[: last + 1], xlim=(-0.6, last + 0.6))
    return figure


def structure(atoms: xr.Dataset, by: str = "q6_avg") -> Figure:
    """Draw the atoms of one frame in two projections, coloured by a property."""
    xyz = np.column_stack([atoms[axis].values for axis in "xyz"])
    good = np.isfinite(xyz).all(axis=1)
    with style():
        figure, panels = new(8.4, 3.9, 1, 2)
        for axes, (a, b) in zip(panels, ((0, 1), (0, 2)), strict=True):
            depth = np.argsort(xyz[good][:, 3 - a - b])
            points, values = xyz[good][depth], atoms[by].values[good][depth]
            shown = axes.scatter(points[:, a], points[:, b], c=values, s=26, cmap="viridis", edgecolors="w", lw=0.3)
            axes.set(xlabel=f"{'xyz'[a]} / Å", ylabel=f"{'xyz'[b]} / Å", aspect="equal")
        figure.colorbar(shown, ax=list(panels), label=_label(atoms[by]), pad=0.01)
    return figure


def time_series(particle: xr.Dataset, names: Mapping[str, str]) -> Figure:
    """Draw scalars of the particle against the frame, one panel each; `names` gives each variable its title."""
    with style():
        figure, panels = new(7.0, 1.7 * len(names) + 0.6, len(names), 1, sharex=True, squeeze=False)
        frames = np.arange(particle.sizes["frame"])
        for axes, (name, label) in zip(panels[:, 0], names.items(), strict=True):
            axes.plot(frames, particle[name], color=ACCENT, lw=1, marker="." if frames.size < 200 else None, ms=4)
            axes.set_title(label)
        panels[-1, 0].set_xlabel("frame")
        panels[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _mark(ideal: tuple[float, float, float], column: int, normalised: bool) -> float:
    if column < 2 or normalised:
        return ideal[column]
    return float(ideal[2] * (ideal[1] ** 2 * 13 / (4 * np.pi)) ** 1.5)


def _marks(axes: Axes, marks: Mapping[str, tuple[float, float]]) -> None:
    for name, (x, y) in marks.items():
        axes.plot(x, y, marker="x", color=SUBLATTICES[1], ms=6, mew=1.4, ls="none")
        axes.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", color=SUBLATTICES[1], fontsize=8)


def _label(array: xr.DataArray) -> str:
    units = array.attrs.get("units", "1")
    words = _SYMBOLS.get(str(array.name)) or "\n".join(textwrap.wrap(array.attrs.get("long_name", ""), 40))
    return words + ("" if units == "1" else f" / {units}")
