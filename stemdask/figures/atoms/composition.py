"""Which elements are where in the particle."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.shape import composition
from stemdask.figures.numbers import with_error
from stemdask.figures.style import SUBLATTICES, new, quantity, style
from stemdask.model import Array
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results
from stemdask.sources.atoms.elements import chemical_symbol

_AXES = {"radius": "distance to the centre", "depth": "depth below the surface"}
#: Standard errors by which surface and core must differ before it is said that they do.
CLEAR = 3.0


def shells(found: xr.Dataset) -> Figure:
    """Draw the fraction of each element of one frame by distance to the centre and by depth, with standard errors.

    Parameters
    ----------
    found
        ``/composition`` of one frame: `radius`, `depth` in angstrom, `fraction_by_...`, `fraction_by_..._err` (species,
        shells), `element` (species).
    """
    names = symbols(found)
    with style():
        figure, panels = new(8.4, 3.3, 1, 2, sharey=True)
        for axes, (name, text) in zip(panels, _AXES.items(), strict=True):
            place = found[composition.PLACES[name].name].values
            values, errors = (found[v[name].name].values for v in (composition.FRACTION, composition.FRACTION_ERR))
            for k, symbol in enumerate(names):
                look = {"color": SUBLATTICES[k % len(SUBLATTICES)], "marker": "o", "ms": 3.5, "lw": 1, "capsize": 2}
                axes.errorbar(place, values[k], yerr=errors[k], label=symbol, **look)
            axes.set(xlabel=quantity(text, "angstrom"), ylim=(-0.04, 1.04), xlim=(0, place[-1] + place[0]))
        panels[0].set_ylabel("fraction of the atoms")
        if names:
            panels[0].legend()
    return figure


def symbols(found: xr.Dataset) -> list[str]:
    """Return the elements of a run."""
    return [chemical_symbol(int(number)) for number in found[composition.ELEMENT.name].values]


def plot_composition(results: Results, frame: int = 0) -> Figure:
    """Draw the composition by distance to the centre and by depth."""
    return shells(results.at(composition.ELEMENT.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the composition of surface and core, say whether they differ, and show all shells."""
    part = Part(f"Composition of frame {frame}")
    found = results.at(composition.ELEMENT.group, frame)
    names = symbols(found)
    part.rows = [("elements", ", ".join(names) or "none")]
    if len(names) < 2:
        part.sentences.append(f"All atoms are {names[0]}." if names else "There are no atoms.")
        return [part]
    value, error = (
        {name: found[variables[name].name].values for name in composition.PARTS}
        for variables in (composition.FRACTION_OF_PART, composition.FRACTION_OF_PART_ERR)
    )
    for k, symbol in enumerate(names):
        for name in composition.PARTS:
            part.rows.append((f"fraction of {symbol} in the {name}", with_error(value[name][k], error[name][k])))
    excess = value["surface"] - value["core"]
    by = np.hypot(error["surface"], error["core"])
    part.sentences.append(segregation(names, excess, by))
    part.show("Fractions with standard errors.", lambda: plot_composition(results, frame))
    return [part]


def segregation(names: list[str], excess: Array, error: Array) -> str:
    """Say which element prefers the surface."""
    if not np.isfinite(excess).any():
        return "There is no surface or no core to compare."
    clear = np.where(np.isfinite(excess), excess, 0) > CLEAR * error
    if not clear.any():
        return f"Surface and core don't differ by more than {CLEAR:g} standard errors."
    rich = ", ".join(f"{names[k]} (by {with_error(float(excess[k]), float(error[k]))})" for k in np.flatnonzero(clear))
    return f"The surface is richer than the core in {rich}."


SHOWS = Shows(parts, {"composition": plot_composition})
