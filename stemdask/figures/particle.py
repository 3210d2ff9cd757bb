"""Figures of a particle as a body: g(r) without its surface, structure types, strain by depth, profiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stemdask.figures.atoms import SYMBOLS
from stemdask.figures.projection import from_far, project
from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, new, quantity, style
from stemdask.model import Array

#: Colour of each structure type, by its name in the store.
KINDS = {
    "fcc": "#0072B2",
    "hcp": "#D55E00",
    "bcc": "#CC79A7",
    "icosahedral": "#E69F00",
    "surface": "#B5B5B5",
    "disordered": "#222222",
}
#: Widest step of depth over which strain is averaged, angstrom; about a layer of close-packed atoms.
LAYER = 2.0
#: Pairs in a bin of g(r) that say something.
LEAST_PAIRS = 10


def finite_pair_distribution(rdf: xr.Dataset) -> Figure:
    """Draw g(r) of one frame with and without the loss at the surface, and that of each pair of elements below.

    Parameters
    ----------
    rdf
        ``/rdf`` of one frame: `r` (r) in angstrom, `g`, `g_finite`, `counts` (r), `g_partial` (pair, r), and the
        atomic numbers `pair_element_1`, `pair_element_2` (pair). What lies beyond the last bin with ten pairs is noise
        and left out.
    """
    from ase.data import chemical_symbols  # ASE takes half a second to import

    several = rdf.sizes.get("pair", 0) > 1
    shown = rdf.isel(r=slice(0, int(np.flatnonzero(rdf["counts"].values >= LEAST_PAIRS).max(initial=0)) + 1))
    with style():
        figure, panels = new(6.8, 5.6 if several else 3.3, 1 + several, 1, sharex=True, squeeze=False)
        panels[0, 0].plot(shown["r"], shown["g_finite"], color=ACCENT, lw=1, label="corrected for the surface")
        panels[0, 0].plot(shown["r"], shown["g"], color=MUTED, lw=1, zorder=1, label="as counted")
        for pair in range(rdf.sizes["pair"] if several else 0):
            one, other = (chemical_symbols[int(rdf[f"pair_element_{k}"][pair])] for k in (1, 2))
            colour = SUBLATTICES[pair % len(SUBLATTICES)]
            panels[1, 0].plot(shown["r"], shown["g_partial"][pair], color=colour, lw=1, label=f"{one}–{other}")
        for axes in panels[:, 0]:
            axes.axhline(1, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=0)
            axes.legend(loc="upper right")
            axes.set(ylabel="g(r)", ylim=(0, None))
        panels[-1, 0].set(xlabel="r / Å", xlim=(0, float(shown["r"].max())))
    return figure


def structure_types(atoms: xr.Dataset) -> Figure:
    """Draw the atoms of one frame in two projections, coloured by structure type, and how many there are of each.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z` in angstrom and `structure` with its meanings as attributes.
    """
    flags = atoms["structure"].attrs
    names = dict(zip(flags["flag_values"], flags["flag_meanings"].split(), strict=True))
    kinds = atoms["structure"].values
    with style():
        figure, (left, right, bars) = new(10.2, 3.8, 1, 3, width_ratios=(1, 1, 0.7))
        for axes, plane in ((left, "xy"), (right, "xz")):
            order = from_far(atoms, plane)
            outside = np.array([names.get(kind) == "surface" for kind in kinds[order]], bool)
            for chosen in (order[outside], order[~outside]):  # the surface would hide what is inside
                colours = [KINDS.get(names.get(kind, ""), "none") for kind in kinds[chosen]]
                project(axes, atoms, chosen, plane, color=colours)
        shown = [(KINDS[name], name, int((kinds == kind).sum())) for kind, name in names.items()]
        shown.sort(key=lambda row: list(KINDS.values()).index(row[0]), reverse=True)
        drawn = bars.barh([row[1] for row in shown], [row[2] for row in shown], color=[row[0] for row in shown])
        bars.bar_label(drawn, padding=3, fontsize=8)
        bars.set(xlabel="atoms", xlim=(0, 1.2 * max(1, *(row[2] for row in shown))))
    return figure


def strain(atoms: xr.Dataset) -> Figure:
    """Draw the change of volume of each atom of one frame: where it is, and against the depth below the surface.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z`, `depth` in angstrom, `strain_volume`; `depth` may be missing.
    """
    percent = 100 * atoms["strain_volume"].values
    known = np.isfinite(percent)
    limit = max(float(np.quantile(np.abs(percent[known]), 0.95)), 0.1) if known.any() else 1.0
    by_depth = "depth" in atoms
    with style():
        figure, axes = new(9.0 if by_depth else 4.8, 3.8, 1, 1 + by_depth, squeeze=False)
        order = from_far(atoms, "xy")
        project(axes[0, 0], atoms, order[~known[order]], "xy", color="#e4e4e4")
        colours = {"c": percent[order][known[order]], "cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        shown = project(axes[0, 0], atoms, order[known[order]], "xy", **colours)
        axes[0, 0].set_title("change of volume / %")
        figure.colorbar(shown, ax=axes[0, 0], pad=0.01, extend="both")
        if by_depth:
            known &= np.isfinite(atoms["depth"].values)
            _by_depth(axes[0, 1], atoms["depth"].values[known], percent[known])
    return figure


def profiles(profile: xr.Dataset, names: Sequence[str]) -> Figure:
    """Draw the mean of each property over the shells of one frame with its standard error, and the atoms of each shell.

    Parameters
    ----------
    profile
        ``/profile`` of one frame: `shell` (shell) in angstrom, each property and its error `..._err`, `n` (shell).
    names
        The properties.
    """
    where = profile["shell"].attrs["long_name"].partition(",")[0]
    columns = min(len(names) + 1, 3)
    rows = -(-(len(names) + 1) // columns)
    with style():
        figure, panels = new(3.1 * columns + 0.4, 2.4 * rows + 0.4, rows, columns, squeeze=False)
        for axes, name in zip(panels.flat, names, strict=False):
            values = profile[name]
            text = values.attrs["long_name"].removeprefix("mean ").removesuffix(" of the shell")
            look = {"color": ACCENT, "marker": "o", "ms": 3.5, "lw": 1, "capsize": 2, "elinewidth": 0.8}
            axes.errorbar(profile["shell"], values, yerr=profile[f"{name}_err"], **look)
            axes.set_title(quantity(SYMBOLS.get(name, text), values.attrs["units"]))
        shells = profile["shell"].values
        width = 2 * shells[0]
        panels.flat[len(names)].bar(shells, profile["n"], 0.85 * width, color=MUTED)
        panels.flat[len(names)].set_title("atoms")
        for axes in panels.flat[: len(names) + 1]:
            axes.set(xlabel=f"{where} / Å", xlim=(0, shells[-1] + 0.5 * width))
        for axes in panels.flat[len(names) + 1 :]:
            axes.set_axis_off()
    return figure


def _by_depth(axes: Axes, depth: Array, percent: Array) -> None:
    axes.axhline(0, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=0)
    axes.plot(depth, percent, ls="none", marker="o", ms=2.6, mew=0, color=MUTED, alpha=0.6, label="atom")
    layer, found = depth // LAYER, []
    for step in np.unique(layer):
        inside = percent[layer == step]
        error = inside.std(ddof=1) / np.sqrt(inside.size) if inside.size > 1 else np.nan
        found.append((depth[layer == step].mean(), inside.mean(), error))
    if found:
        where, mean, error = np.transpose(found)
        label = f"mean of each {LAYER:g} Å"
        axes.errorbar(where, mean, yerr=error, color=ACCENT, marker="o", ms=4, lw=1.2, capsize=2, label=label)
    axes.set(xlabel="depth below the surface / Å", ylabel="change of volume / %")
    axes.legend()
