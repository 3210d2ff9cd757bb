"""The distribution of the angles between bonds."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import bond_angles, structure
from stemdask.figures.style import INK, SUBLATTICES, new, quantity, style
from stemdask.kernels.atoms import kinds
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results
from stemdask.sources.atoms.elements import chemical_symbol

#: Triplets drawn, those with the most angles.
MOST = 5
#: Angles [degree] between the nearest neighbours of perfect lattices.
PERFECT = {
    kinds.FCC: (60.0, 90.0, 120.0, 180.0),
    kinds.HCP: (60.0, 90.0, 109.47, 120.0, 146.44, 180.0),
    kinds.BCC: (70.53, 109.47, 180.0),
    kinds.SIMPLE_CUBIC: (90.0, 180.0),
    kinds.ICOSAHEDRAL: (63.43, 116.57, 180.0),
    kinds.CUBIC_DIAMOND: (109.47,),
    kinds.HEXAGONAL_DIAMOND: (109.47,),
}


def angles(found: xr.Dataset) -> Figure:
    """Draw the distribution of the bond angles of one frame, of the triplets that have the most.

    Parameters
    ----------
    found
        ``/bond_angles`` of one frame: `angle` (angle) in degree, `count`, `density` (triplet, angle), and the atomic
        numbers `end_1`, `center`, `end_2` (triplet).
    """
    counts = found[bond_angles.COUNT.name].values.sum(axis=1)
    order = [k for k in np.argsort(-counts, kind="stable")[:MOST] if counts[k]]
    angle, density = found[bond_angles.ANGLE.name], found[bond_angles.DENSITY.name].values
    with style():
        figure, axes = new(6.8, 3.4)
        for colour, k in zip(SUBLATTICES, order, strict=False):
            axes.plot(angle, density[k], color=colour, lw=1.1, label=f"{name_of(found, k)}, {counts[k]:,} angles")
        if order:
            axes.legend()
        units = bond_angles.DENSITY.units
        axes.set(xlabel=quantity("bond angle", str(angle.attrs["units"])), ylabel=quantity("density", units))
        axes.set(xlim=(0, 180), ylim=(0, None), xticks=np.arange(0, 181, 30))
        axes.axhline(0, color=INK, lw=0.8)
    return figure


def name_of(found: xr.Dataset, triplet: int) -> str:
    """Return the elements of a triplet, the one in the middle between both ends."""
    center, one, other = (chemical_symbol(int(found[v.name][triplet])) for v in bond_angles.ELEMENTS)
    return f"{one}–{center}–{other}"


def plot_bond_angles(results: Results, frame: int = 0) -> Figure:
    """Draw the distribution of the bond angles."""
    return angles(results.at(bond_angles.COUNT.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """Show the distribution, and say which angles the lattice would have."""
    part = Part(f"Bond angles of frame {frame}")
    part.sentences.append("Bonds are those counted as neighbours in the coordination numbers.")
    if structure.LATTICE_COUNT in results:
        kind = structure.usual_lattice(results.read(structure.LATTICE_COUNT, frame).values)
        if kind in PERFECT:
            perfect = ", ".join(f"{angle:g}°" for angle in PERFECT[kind])
            part.sentences.append(f"Most atoms are {structure.KINDS[kind]}; nearest neighbours there make {perfect}.")
    part.show("Distribution of bond angles.", lambda: plot_bond_angles(results, frame))
    return [part]


SHOWS = Shows(parts, {"bond_angles": plot_bond_angles})
