"""Powder pattern and structure factor."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import diffraction
from stemdask.figures.style import ACCENT, INK, MUTED, new, quantity, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results

#: Below this q [1/angstrom] the scattering of the whole particle exceeds that of its structure.
SMALL = 1.0
NAMES = {"xray": "X-rays", "electron": "electrons"}


def pattern(found: xr.Dataset) -> Figure:
    """Draw the powder pattern of one frame with the scattering angles, and the structure factor below.

    Parameters
    ----------
    found
        ``/diffraction`` of one frame: `q`, `two_theta`, `intensity`, `structure_factor` (q).
    """
    q = found[diffraction.Q.name].values
    intensity, factor = (found[v.name] for v in (diffraction.INTENSITY["xray"], diffraction.STRUCTURE_FACTOR))
    with style():
        figure, (upper, lower) = new(6.8, 5.4, 2, 1, sharex=True)
        upper.plot(q, intensity, color=ACCENT, lw=1)
        upper.set(ylabel=quantity("intensity per atom", str(intensity.attrs.get("units", "1"))))
        _angles(upper.secondary_xaxis("top"), found)
        lower.plot(q, factor, color=ACCENT, lw=1)
        lower.axhline(1, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=0)
        for axes, values in ((upper, intensity.values), (lower, factor.values)):
            top = np.nanmax(values[q > SMALL], initial=0.0)
            axes.set_ylim(0, 1.08 * top if top > 0 else 1.0)
        lower.set(xlabel=quantity("q", diffraction.Q.units), ylabel="S(q)", xlim=(0, q.max()))
    return figure


def _angles(axes: Any, found: xr.Dataset) -> None:
    """Put scattering angles along an axis of q, at those that don't lie too close."""
    q, angle = found[diffraction.Q.name].values, found[diffraction.TWO_THETA.name].values
    known = np.isfinite(angle)
    ticks = [tick for tick in (20, 40, 60, 80, 100, 120, 150) if known.any() and tick <= angle[known].max()]
    axes.set_xticks(np.interp(ticks, angle[known], q[known]), ticks)
    axes.set_xlabel(quantity("2θ", diffraction.TWO_THETA.units), color=MUTED)
    axes.tick_params(colors=MUTED)


def plot_diffraction(results: Results, frame: int = 0) -> Figure:
    """Draw the powder pattern and the structure factor."""
    return pattern(results.at(diffraction.Q.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """Say what the pattern holds, and show it."""
    params = results.params("diffraction")
    assert isinstance(params, diffraction.DiffractionParams)
    part = Part(f"Powder pattern of frame {frame}")
    if not np.isfinite(results.read(diffraction.STRUCTURE_FACTOR, frame)).any():
        part.sentences.append("There is none: the Debye sum is that of a particle, not of a periodic box.")
        return [part]
    part.sentences.append(
        f"Debye sum for {NAMES[params.radiation]}, the angles for a wavelength of {params.wavelength}. Thermal motion "
        "counts as far as the coordinates show it; polarisation and absorption don't."
    )
    part.show("Intensity and structure factor; small angles reach beyond.", lambda: plot_diffraction(results, frame))
    return [part]


SHOWS = Shows(parts, {"diffraction": plot_diffraction})
