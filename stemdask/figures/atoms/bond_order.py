"""Bond-orientational order of the atoms, beside perfect surroundings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from stemdask.analyses.atoms.order import bond_order
from stemdask.analyses.atoms.shape import positions, shape
from stemdask.errors import StoreError
from stemdask.figures.atoms.rdf import cutoff_of
from stemdask.figures.numbers import mean_row, rows_of
from stemdask.figures.several import beside
from stemdask.figures.style import ACCENT, INK, SUBLATTICES, SYMBOLS, new, quantity, style
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results

#: Analytic (q4, q6, normalised w6) of perfect surroundings (Steinhardt, Nelson & Ronchetti 1983, table I).
IDEAL = {
    "fcc": (0.19094, 0.57452, -0.013161),
    "hcp": (0.09722, 0.48476, -0.012442),
    "bcc": (0.03637, 0.51069, 0.013161),
    "ico": (0.0, 0.66332, -0.169754),
}
#: Marks of these where there is no room for their names.
_SHAPES = ("s", "D", "^", "v")
#: Coarse-grained q6 above which an atom of a nanocrystal counts as crystalline in the published analysis.
ORDER_LINE = 0.54
#: Length of (Q4, Q6), over that of perfect fcc, below which atoms are disordered (Yang et al. 2021, Nature 592, 60).
DISORDERED = 0.5
#: Q6 up to which axes reach at least: the name of the topmost mark is below their title.
_ABOVE_MARKS = 0.73


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
        place, q6 = shape.DISTANCE_TO_CENTER.name, atoms[bond_order.Q6_AVG.name]
        colour = atoms[place].values if place in atoms else np.zeros(atoms.sizes["atom"])
        for axes, variable, column in ((left, bond_order.Q4_AVG, 0), (right, bond_order.W6_AVG, 2)):
            shown = axes.scatter(atoms[variable.name], q6, c=colour, s=9, cmap="viridis_r", linewidths=0)
            _marks(axes, {key: (_mark(value, column, normalised), value[1]) for key, value in IDEAL.items()})
            axes.axhline(ORDER_LINE, color=INK, lw=0.8, ls=(0, (4, 3)))
        _disorder(left)
        left.set_ylim(top=max(left.get_ylim()[1], _ABOVE_MARKS))
        labels = (SYMBOLS[v.name] for v in (bond_order.Q4_AVG, bond_order.Q6_AVG, bond_order.W6_AVG))
        q4_label, q6_label, w6_label = labels
        left.set(xlabel=q4_label, ylabel=q6_label, title="Coarse-grained bond order")
        right.set(xlabel=w6_label, title="Icosahedral order")
        label = quantity("distance to the centre", shape.DISTANCE_TO_CENTER.units)
        figure.colorbar(shown, ax=[left, right], label=label, pad=0.01)
    return figure


def order_of_stages(stages: Mapping[int, xr.Dataset], *, normalised: bool = False) -> Figure:
    """Draw (Q4, Q6) and (w6, Q6) of the atoms of several frames on shared axes.

    Parameters
    ----------
    stages
        ``/atoms`` of each frame: `q4_avg`, `q6_avg`, `w6_avg`.
    normalised
        As of :func:`order_maps`.
    """
    n = len(stages)
    with style():
        figure, panels = new(2.0 * n + 0.8, 4.8, 2, n, sharex="row", sharey=True, squeeze=False)
        for row, variable, column in ((0, bond_order.Q4_AVG, 0), (1, bond_order.W6_AVG, 2)):
            for axes, (frame, atoms) in zip(panels[row], stages.items(), strict=True):
                look = {"s": 5, "alpha": 0.6, "linewidths": 0, "color": ACCENT}
                axes.scatter(atoms[variable.name], atoms[bond_order.Q6_AVG.name], **look)
                for (name, ideal), marker in zip(IDEAL.items(), _SHAPES, strict=True):
                    look = {"marker": marker, "color": SUBLATTICES[1], "mfc": "none", "ls": "none", "ms": 5}
                    axes.plot(_mark(ideal, column, normalised), ideal[1], label=name, **look)
                axes.axhline(ORDER_LINE, color=INK, lw=0.8, ls=(0, (4, 3)))
                axes.set_xlabel(SYMBOLS[variable.name])
                if row == 0:
                    axes.set_title(f"frame {frame}")
                    _disorder(axes)
            panels[row, 0].set_ylabel(SYMBOLS[bond_order.Q6_AVG.name])
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(IDEAL))
    return figure


def _disorder(axes: Axes) -> None:
    """Draw the circle (Q4, Q6) inside of which an atom counts as disordered."""
    angle = np.linspace(0, np.pi / 2, 91)
    radius = DISORDERED * float(np.hypot(*IDEAL["fcc"][:2]))
    axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=INK, lw=0.8, ls=(0, (1, 2)))


def _mark(ideal: tuple[float, float, float], column: int, normalised: bool) -> float:
    if column < 2 or normalised:
        return ideal[column]
    return float(ideal[2] * (ideal[1] ** 2 * 13 / (4 * np.pi)) ** 1.5)


def _marks(axes: Axes, marks: Mapping[str, tuple[float, float]]) -> None:
    for name, (x, y) in marks.items():
        axes.plot(x, y, marker="x", color=SUBLATTICES[1], ms=6, mew=1.4, ls="none")
        above = name in ("fcc", "ico")  # hcp and bcc lie close together
        axes.annotate(
            name,
            (x, y),
            xytext=(0, 6 if above else -6),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            color=SUBLATTICES[1],
            fontsize=8,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def plot_order(results: Results, frame: int = 0) -> Figure:
    """Draw every atom in the maps of the bond-order parameters."""
    drawn = (bond_order.Q4_AVG, bond_order.Q6_AVG, bond_order.W6_AVG)
    if missing := [variable.name for variable in drawn if variable not in results]:
        raise StoreError(f"the atoms have no {', '.join(missing)}", remedy="Run bond_order with l: [4, 6]")
    params = results.params("bond_order")
    assert isinstance(params, bond_order.BondOrderParams)
    return order_maps(results.at(positions.X.group, frame), normalised=params.normalisation != "none")


def plot_order_of_frames(results: Results) -> Figure:
    """Draw the bond order of the atoms of several frames, of more than six evenly chosen ones, on shared axes."""
    params = results.params("bond_order")
    assert isinstance(params, bond_order.BondOrderParams)
    stages = {frame: results.at(positions.X.group, frame) for frame in beside(results)}
    return order_of_stages(stages, normalised=params.normalisation != "none")


def parts(results: Results, frame: int) -> list[Part]:
    """State how many atoms are not crystalline, and show the order of each."""
    part = Part(f"Bond order of frame {frame}", rows=rows_of(results, "bond_order", frame))
    part.sentences.append(_criterion(results, frame))
    part.rows.append(mean_row(results, bond_order.MEAN_BOND_LENGTH, frame, "mean distance to the neighbours"))
    part.rows.append(mean_row(results, bond_order.CRYSTALLINITY, frame, "mean crystallinity"))
    if all(variable in results for variable in (bond_order.Q4_AVG, bond_order.Q6_AVG, bond_order.W6_AVG)):
        caption = (
            "Bond order of every atom; crosses: perfect crystals; dashed line: Q6 = 0.54; dotted arc: half of "
            "perfect fcc, inside of which surroundings are disordered."
        )
        part.show(caption, lambda: plot_order(results, frame))
        if len(results.good()) > 1:
            part.show("Bond order of the atoms, frames side by side.", lambda: plot_order_of_frames(results))
    return [part]


def _criterion(results: Results, frame: int) -> str:
    """Say who is a neighbour, and what makes an atom crystalline."""
    params = results.params("bond_order")
    assert isinstance(params, bond_order.BondOrderParams)
    reach = cutoff_of(results, frame) if params.cutoff == "auto" else f"the given cutoff, {params.cutoff}"
    neighbours = {
        "cutoff": f"all atoms up to {reach}",
        "nearest": f"the {params.n_nearest} nearest atoms",
        "sann": "those of the solid-angle rule",
        "voronoi": "those with a common Voronoi face, weighted by its area",
    }[params.neighbours]
    enough = f"{100 * params.min_fraction:g} % of its" if params.min_bonds is None else f"{params.min_bonds - 1}"
    mean = "" if params.min_mean is None else f", and their mean s6 is above {params.min_mean:g}"
    return (
        f"Neighbours are {neighbours}. An atom is crystalline if more than {enough} bonds have s6 above "
        f"{params.threshold:g}{mean}."
    )


def words(results: Results, frame: int) -> list[str]:
    """Say how many atoms are not crystalline; which of them are disordered tells `structure`."""
    number, fraction = (
        results.read(variable, frame) for variable in (bond_order.N_DISORDERED, bond_order.FRACTION_DISORDERED)
    )
    return [f"{int(number)} not crystalline by s6 (fraction {float(fraction):.3f})"]


def method(params: bond_order.BondOrderParams) -> Method:
    """Say which order parameters were taken, of which neighbours, and what is crystalline."""
    neighbours = {
        "cutoff": "the atoms closer than "
        + ("the first minimum of g(r)" if params.cutoff == "auto" else str(params.cutoff)),
        "nearest": f"the {params.n_nearest} nearest atoms",
        "sann": "those of the solid-angle rule",
        "voronoi": "those with a common Voronoi face, weighted by its area",
    }[params.neighbours]
    enough = f"{100 * params.min_fraction:g} % of its" if params.min_bonds is None else f"{params.min_bonds - 1}"
    more = {"sann": ("vanmeel2012",), "voronoi": ("mickel2013",)}.get(params.neighbours, ())
    return Method(
        f"Bond-orientational order parameters for l = {', '.join(map(str, params.l))} and their averages over the "
        f"neighbours (convention: {params.convention}) were computed with {neighbours} as neighbours. An atom was "
        f"taken as crystalline if s6 exceeded {params.threshold:g} for more than {enough} bonds.",
        ("steinhardt1983", "lechner2008", "tenwolde1996", *more),
    )


SHOWS = Shows(parts, {"order": plot_order, "order_of_frames": plot_order_of_frames}, words, method=method)
