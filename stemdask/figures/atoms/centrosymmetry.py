"""Where the surroundings of the atoms have no centre of symmetry."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.derived.other_results import in_words
from stemdask.analyses.atoms.order import centrosymmetry, structure
from stemdask.analyses.atoms.shape import positions, surface
from stemdask.figures.atoms.projection import from_far, project
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import ACCENT, MUTED, new, quantity, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


def core_and_surface(atoms: xr.Dataset) -> Figure:
    """Draw the core of one frame coloured by centrosymmetry, and the distributions of core and surface.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z` in angstrom, `centrosymmetry`, `surface`.
    """
    values, place = atoms[centrosymmetry.CENTROSYMMETRY.name].values, atoms[surface.AT_SURFACE.name].values
    core, outside = (np.isfinite(values) & (place == where) for where in (surface.CORE, surface.SURFACE))
    every = values[core | outside]
    top = max(float(np.percentile(values[core], 98)), 1e-3) if core.any() else 1.0
    label = quantity("centrosymmetry", centrosymmetry.CENTROSYMMETRY.units)
    with style():
        figure, (seen, spread) = new(8.8, 3.8, 1, 2, width_ratios=(1.1, 1))
        order = from_far(atoms, "xy")
        project(seen, atoms, order[~core[order]], "xy", color="#e4e4e4")
        chosen = order[core[order]]
        shown = project(seen, atoms, chosen, "xy", c=values[chosen], cmap="viridis", vmin=0, vmax=top)
        seen.set_title("core; surface: grey")
        figure.colorbar(shown, ax=seen, pad=0.01, extend="max", label=label)
        edges = np.linspace(0, max(float(every.max()) if every.size else 0.0, 1e-3), 41)
        for inside, colour, name in ((outside, MUTED, "surface"), (core, ACCENT, "core")):
            spread.hist(values[inside], edges, color=colour, alpha=0.8, label=f"{name}, {inside.sum()} atoms")
        spread.set(xlabel=label, ylabel="atoms", xlim=(0, edges[-1]))
        spread.legend()
    return figure


def plot_centrosymmetry(results: Results, frame: int = 0) -> Figure:
    """Draw the core coloured by centrosymmetry, and how core and surface are distributed."""
    return core_and_surface(results.at(positions.X.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the median, say what a perfect crystal would have, and show the atoms."""
    part = Part(f"Centrosymmetry of frame {frame}", rows=rows_of(results, "centrosymmetry", frame))
    n_paired = int(results.read(centrosymmetry.N_PAIRED, frame))
    part.sentences.append(
        f"A perfect crystal has 0; coordinates that scatter by σ along each axis raise that to up to {9 * n_paired} σ²."
    )
    lattice = structure.usual_lattice(results.read(structure.LATTICE_COUNT, frame).values)
    if lattice in centrosymmetry.WITHOUT_CENTRE:
        part.sentences.append(
            f"Most atoms are {in_words(structure.KINDS[lattice])}, a lattice whose atoms have no centre of symmetry: "
            "large values mean no defects here."
        )
    part.show("Atoms by their centrosymmetry parameter.", lambda: plot_centrosymmetry(results, frame))
    return [part]


SHOWS = Shows(parts, {"centrosymmetry": plot_centrosymmetry})
