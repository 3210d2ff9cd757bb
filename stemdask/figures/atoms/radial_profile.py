"""Profiles of properties of the atoms from the centre to the surface."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.derived import radial_profile
from stemdask.figures.style import ACCENT, MUTED, SYMBOLS, new, quantity, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


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


def plot_profiles(results: Results, frame: int = 0) -> Figure:
    """Draw the radial profiles with their errors."""
    params = results.params("radial_profile")
    assert isinstance(params, radial_profile.RadialProfileParams)
    return profiles(results.at(radial_profile.N.group, frame), params.properties)


def parts(results: Results, frame: int) -> list[Part]:
    """Show the profiles."""
    part = Part(f"Profiles of frame {frame}")
    part.show("Means of the shells, with their standard errors.", lambda: plot_profiles(results, frame))
    return [part]


SHOWS = Shows(parts, {"profiles": plot_profiles})
