"""Warren-Cowley parameters by shell."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import short_range_order
from stemdask.figures.numbers import with_error
from stemdask.figures.style import INK, SUBLATTICES, new, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results
from stemdask.sources.atoms.elements import chemical_symbol


def parameters(found: xr.Dataset) -> Figure:
    """Draw the Warren-Cowley parameters of one frame with their errors, of each element around another, by shell.

    Parameters
    ----------
    found
        ``/short_range_order`` of one frame: `alpha`, `alpha_err` (ordered_pair, neighbor_shell), `center`, `neighbor`
        (ordered_pair).
    """
    alpha, error = (found[v.name].values for v in (short_range_order.ALPHA, short_range_order.ALPHA_ERR))
    pairs, shells = unlike(found), np.arange(1, alpha.shape[1] + 1)
    with style():
        figure, axes = new(5.6, 3.4)
        axes.axhline(0, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=0)
        for k, pair in enumerate(pairs):
            place = shells + 0.06 * (k - (len(pairs) - 1) / 2)
            look = {"color": SUBLATTICES[k % len(SUBLATTICES)], "marker": "o", "ms": 4.5, "lw": 1, "capsize": 3}
            axes.errorbar(place, alpha[pair], yerr=error[pair], label=name_of(found, pair), **look)
        if pairs:
            axes.legend()
        reach = 1.1 * max(1.0, float(np.nanmax(np.abs(alpha[pairs]), initial=0.0)))
        axes.set(xticks=shells, xlim=(0.5, shells[-1] + 0.5), ylim=(-reach, reach))
        axes.set(xlabel="shell of neighbours", ylabel="Warren-Cowley parameter α")
    return figure


def unlike(found: xr.Dataset) -> list[int]:
    """Return the pairs of different elements."""
    center, neighbor = (found[v.name].values for v in (short_range_order.CENTER, short_range_order.NEIGHBOR))
    return np.flatnonzero(center != neighbor).tolist()


def name_of(found: xr.Dataset, pair: int) -> str:
    """Return what is counted around what."""
    center, neighbor = (
        chemical_symbol(int(found[v.name][pair])) for v in (short_range_order.CENTER, short_range_order.NEIGHBOR)
    )
    return f"{neighbor} around {center}"


def plot_short_range_order(results: Results, frame: int = 0) -> Figure:
    """Draw the Warren-Cowley parameters by shell."""
    return parameters(results.at(short_range_order.ALPHA.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the parameters of the first shell, and show all."""
    part = Part(f"Short-range order of frame {frame}")
    found = results.at(short_range_order.ALPHA.group, frame)
    edge = found[short_range_order.SHELL_EDGE.name].values
    shells = [(f"shell {k + 1} reaches to", f"{r:.2f} Å") for k, r in enumerate(edge) if np.isfinite(r)]
    pairs = unlike(found)
    if not pairs:
        part.rows = shells
        part.sentences.append("There is one element alone, which has no order among others.")
        return [part]
    alpha, error = (found[v.name].values for v in (short_range_order.ALPHA, short_range_order.ALPHA_ERR))
    part.rows = [(f"α of {name_of(found, k)}, first shell", with_error(alpha[k, 0], error[k, 0])) for k in pairs]
    part.rows += shells
    part.sentences.append(
        "Below 0 two elements prefer each other, above 0 they avoid each other, 0 is chance. Concentrations are those "
        "of the whole particle: another composition at the surface moves α too."
    )
    if len(edge) > 1 and not np.isfinite(edge[1]):
        part.sentences.append(
            "There is no lattice that all elements share: the first shell alone is told, up to the first minimum of "
            "g(r), and 0 isn't what chance would make of a compound."
        )
    part.show("Warren-Cowley parameters with standard errors.", lambda: plot_short_range_order(results, frame))
    return [part]


SHOWS = Shows(parts, {"short_range_order": plot_short_range_order})
