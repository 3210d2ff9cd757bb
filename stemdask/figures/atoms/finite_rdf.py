"""The pair distribution function corrected for the surface of the particle."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import finite_rdf, rdf
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, new, quantity, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results

#: Pairs in a bin of g(r) that say something.
LEAST_PAIRS = 10


def finite_pair_distribution(found: xr.Dataset) -> Figure:
    """Draw g(r) of one frame with and without the loss at the surface, and that of each pair of elements below.

    Parameters
    ----------
    found
        ``/rdf`` of one frame: `r` (r) in angstrom, `g`, `g_finite`, `counts` (r), `g_partial` (pair, r), and the
        atomic numbers `pair_element_1`, `pair_element_2` (pair). What lies beyond the last bin with ten pairs is noise
        and left out.
    """
    from stemdask.sources.atoms.elements import chemical_symbol  # ASE takes half a second to import

    several = found.sizes.get("pair", 0) > 1
    last = int(np.flatnonzero(found[rdf.COUNTS.name].values >= LEAST_PAIRS).max(initial=0))
    shown = found.isel(r=slice(0, last + 1))
    r = shown[rdf.R.name]
    with style():
        figure, panels = new(6.8, 5.6 if several else 3.3, 1 + several, 1, sharex=True, squeeze=False)
        panels[0, 0].plot(r, shown[finite_rdf.G_FINITE.name], color=ACCENT, lw=1, label="corrected for the surface")
        panels[0, 0].plot(r, shown[rdf.G.name], color=MUTED, lw=1, zorder=1, label="as counted")
        for pair in range(found.sizes["pair"] if several else 0):
            elements = (finite_rdf.PAIR_ELEMENT_1, finite_rdf.PAIR_ELEMENT_2)
            one, other = (chemical_symbol(int(found[element.name][pair])) for element in elements)
            colour = SUBLATTICES[pair % len(SUBLATTICES)]
            panels[1, 0].plot(r, shown[finite_rdf.G_PARTIAL.name][pair], color=colour, lw=1, label=f"{one}–{other}")
        for axes in panels[:, 0]:
            axes.axhline(1, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=0)
            axes.legend(loc="upper right")
            axes.set(ylabel="g(r)", ylim=(0, None))
        panels[-1, 0].set(xlabel=quantity("r", str(r.attrs["units"])), xlim=(0, float(r.max())))
    return figure


def plot_finite_rdf(results: Results, frame: int = 0) -> Figure:
    """Draw the pair distribution function corrected for the surface, beside the one as counted."""
    return finite_pair_distribution(results.at(rdf.G.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the volume of the body, and show the corrected function."""
    part = Part(f"Pair distribution without the surface, frame {frame}", rows=rows_of(results, "finite_rdf", frame))
    part.sentences.append("Divided by the pairs of an ideal gas in the same body, so that it tends to 1.")
    part.show("Corrected, and as counted.", lambda: plot_finite_rdf(results, frame))
    return [part]


SHOWS = Shows(parts, {"finite_rdf": plot_finite_rdf})
