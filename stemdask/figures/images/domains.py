"""Domains: where they are, the evidence for them, and how they change over the stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from stemdask.analyses.images.cells import displacement
from stemdask.analyses.images.maps import denoise, domain_embedding, domain_series
from stemdask.analyses.images.maps import domains as analysis
from stemdask.analyses.images.maps.domain_params import DomainsParams
from stemdask.errors import StoreError
from stemdask.figures.canvas import (
    colour_wheel,
    curve,
    direction_colour,
    height_over,
    lattice_cells,
    legend_below,
    map_axes,
    scatter_uv,
    spacing,
)
from stemdask.figures.pixels import in_pixels
from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, frame_axis, new, quantity, style
from stemdask.model import Array, Variable
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results

#: Colour of cells that belong to no domain.
_NONE = "#dddddd"


def domain_map(cells: xr.Dataset, label: Array, directions: Sequence[float], classes: Sequence[str]) -> Figure:
    """Draw the cells in the colour of their domain's direction, with their arrows, and u against v beside.

    Parameters
    ----------
    cells
        One frame: `y`, `x`, `u`, `v` (cell), measured or denoised.
    label
        (cell,), domain of each; -1 for none.
    directions
        Direction of each domain in degree, counter-clockwise from +x as displayed.
    classes
        Name of each domain.
    """
    cells = in_pixels(cells)
    variables = (displacement.Y, displacement.X, displacement.U, displacement.V)
    values = np.stack([np.asarray(cells[variable.name].values, dtype=float) for variable in variables])
    lengths, units = (str(cells[variable.name].attrs["units"]) for variable in (displacement.Y, displacement.U))
    good = np.isfinite(values).all(axis=0)
    (y, x, u, v), label = values[:, good], np.asarray(label)[good]
    colours = dict(enumerate(domain_colours(directions))) | {-1: to_rgb(_NONE)}
    with style():
        figure, (left, right) = new(9.6, float(np.clip(height_over(y, x, 5.0), 3.9, 6.5)), 1, 2, width_ratios=(1.5, 1))
        map_axes(left, lengths)
        scatter_uv(right, u, v, units, s=0)
        for domain in (-1, *range(len(directions))):
            chosen = label == domain
            if chosen.any():
                name = (
                    "not significant"
                    if domain < 0
                    else f"{classes[domain]}, {round(directions[domain])}°".replace("-", "\N{MINUS SIGN}")
                )
                look = {"color": colours[domain], "label": f"{name}: {100 * chosen.mean():.0f} %"}
                right.scatter(u[chosen], v[chosen], s=7, linewidths=0, **look)
        if u.size:
            lattice_cells(left, y, x, facecolors=[colours[domain] for domain in label])
            scale = (float(np.percentile(np.hypot(u, v), 90)) or 1.0) / (0.9 * spacing(y, x))
            left.quiver(x, y, u, v, color=INK, angles="xy", scale_units="xy", scale=scale, width=0.0022, pivot="mid")
            legend_below(left, *right.get_legend_handles_labels(), markerscale=3)
        left.set_title(f"{len(directions)} domain{'s' if len(directions) != 1 else ''}")
        right.set_title("Displacements")
        colour_wheel(right, (1.02, 0.02, 0.18, 0.18))
    return figure


def evidence(domains: xr.Dataset, strong: float = 3.0, stable: float = 0.8) -> Figure:
    """Draw the evidence for each number of domains.

    Parameters
    ----------
    domains
        ``/domains``: `bic`, `evidence`, `spatial`, `silhouette`, `stability` (n_clusters), from 0 clusters on.
    strong, stable
        Evidence and stability that a number of domains needs.
    """
    curves: tuple[tuple[Variable, str, float | None], ...] = (
        (analysis.BIC, "BIC above its minimum", None),
        (analysis.EVIDENCE, "gain of log likelihood", strong),
        (analysis.STABILITY, "stability and silhouette", stable),
    )
    with style():
        figure, panels = new(9.5, 3.0, 1, 3)
        for axes, (variable, title, limit) in zip(panels, curves, strict=True):
            values = np.asarray(domains[variable.name].values, dtype=float)
            number = np.arange(len(values))
            if variable is analysis.BIC:
                axes.semilogy(number, values - np.nanmin(values) + 1, "o-", color=ACCENT, ms=4)
            else:
                beside = analysis.SILHOUETTE if variable is analysis.STABILITY else analysis.SPATIAL
                names = ("peaks", "neighbours") if variable is analysis.EVIDENCE else (variable.name, beside.name)
                axes.plot(number, values, "o-", color=ACCENT, ms=4, label=names[0])
                axes.plot(number, domains[beside.name].values, "o-", color=MUTED, ms=4, label=names[1])
                axes.legend()
            if limit is not None:
                axes.axhline(limit, color=SUBLATTICES[1], lw=1, ls="--")
                axes.annotate(
                    "needed", (0, limit), (2, 3), textcoords="offset points", fontsize=8, color=SUBLATTICES[1]
                )
            axes.set(xlabel="domains", title=title, xlim=(-0.4, len(values) - 0.6))
            axes.xaxis.get_major_locator().set_params(integer=True)
        gains = [np.nan_to_num(domains[variable.name].values) for variable in (analysis.EVIDENCE, analysis.SPATIAL)]
        if np.abs(gains).max() > 50 * strong:
            panels[1].set_yscale("symlog", linthresh=strong)
    return figure


def confusion(matrix: Array, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix: rows are the true classes, columns the predicted ones, each row in per cent."""
    counted = np.asarray(matrix, dtype=float)
    share = 100 * counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    side = 0.75 * len(classes) + 2.2
    with style():
        figure, axes = new(side + 0.6, side)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
        for row in range(len(classes)):
            for column in range(len(classes)):
                text = f"{share[row, column]:.1f}" if np.isfinite(share[row, column]) else "–"
                colour = "white" if share[row, column] > 60 else INK
                axes.text(column, row, text, ha="center", va="center", color=colour)
        axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
        axes.set_yticks(range(len(classes)), classes)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set(xlabel="predicted", ylabel="true", title="Cross-validated, per cent of the true class")
    return figure


def fractions(domains: xr.Dataset, directions: Sequence[float], classes: Sequence[str]) -> Figure:
    """Draw fraction and mean displacement of the domains, length and place of their walls, over the frames.

    Parameters
    ----------
    domains
        ``/domains``: `fraction`, `mean_u`, `mean_v` and their errors (frame, domain), `wall_length`, `wall_x`, `wall_y`
        (frame, domain, other_domain).
    directions, classes
        Direction in degree and name of each domain.
    """
    domains = in_pixels(domains)

    def of(variable: Variable) -> Array:
        return np.asarray(domains[variable.name].values, dtype=float)

    series = domain_series
    u, v, u_err, v_err = (of(w) for w in (series.MEAN_U, series.MEAN_V, series.MEAN_U_ERR, series.MEAN_V_ERR))
    length = np.hypot(u, v)
    error = np.hypot(u * u_err, v * v_err) / np.maximum(length, 1e-9)
    frame, fraction = np.arange(len(u)), 100 * of(series.FRACTION)
    units, lengths = (str(domains[w.name].attrs["units"]) for w in (series.MEAN_U, series.WALL_LENGTH))
    walls = of(series.WALL_LENGTH)
    pairs = [(k, m) for k in range(len(classes)) for m in range(k) if np.nansum(walls[:, k, m]) > 0]
    with style():
        figure, panels = new(7.0, 10.0, 5, 1, sharex=True)
        for domain, (name, colour) in enumerate(zip(classes, domain_colours(directions), strict=True)):
            curve(panels[0], frame, fraction[:, domain], color=colour, label=name)
            curve(panels[1], frame, length[:, domain], error[:, domain], color=colour)
        known = np.isfinite(walls).any(axis=(1, 2))
        curve(panels[2], frame, np.where(known, np.nansum(walls, axis=(1, 2)) / 2, np.nan), color=INK)
        for number, (k, m) in enumerate(pairs):
            look: dict[str, Any] = {"color": SUBLATTICES[number % len(SUBLATTICES)]}
            curve(panels[3], frame, of(series.WALL_X)[:, k, m], label=f"{classes[m]} | {classes[k]}", **look)
            curve(panels[4], frame, of(series.WALL_Y)[:, k, m], **look)
        panels[0].set(ylabel="cells / %", title="Domains over the stack")
        panels[1].set(ylabel=quantity("displacement", units))
        panels[2].set(ylabel=quantity("wall length", lengths))
        panels[3].set(ylabel=quantity("wall at x", lengths))
        panels[4].set(ylabel=quantity("wall at y", lengths))
        for axes in panels[:3]:
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])  # marks at the top are whole
        for axes in (panels[0], *([panels[3]] if pairs else [])):
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        frame_axis(panels[4])
        figure.align_ylabels()
    return figure


def embedding(embedded: xr.Dataset, directions: Sequence[float]) -> Figure:
    """Draw the surroundings of a sample of cells laid out in the plane, in the colours of their domains.

    Parameters
    ----------
    embedded
        ``/embedding``: `position` (shown, axis), `label` (shown).
    directions
        Direction of each domain in degree.
    """
    variables = (domain_embedding.POSITION, domain_embedding.LABEL)
    position, label = (np.asarray(embedded[variable.name].values) for variable in variables)
    colours = domain_colours(directions)
    with style():
        figure, axes = new(5.0, 4.6)
        for domain in (-1, *range(len(directions))):
            chosen = label == domain
            axes.scatter(*position[chosen].T, s=8, color=colours[domain] if domain >= 0 else _NONE, linewidths=0)
        axes.set(xticks=[], yticks=[], title="Surroundings of the cells, alike ones together (t-SNE)")
    return figure


def domain_colours(directions: Sequence[float]) -> list[tuple[float, float, float]]:
    """Return the colour of each direction (degree) on the wheel, made distinct where directions coincide."""
    colours = []
    for k, direction in enumerate(directions):
        near = sum(abs((direction - other + 180) % 360 - 180) < 12 for other in directions[:k])
        colours.append(direction_colour(direction, near))
    return colours


def plot_domains(results: Results, frame: int = 0) -> Figure:
    """Draw the domains of a frame; raise StoreError where the run found none."""
    about = _about(results)
    if not about["classes"]:
        raise StoreError("the run found no domains", value=about["statement"])
    shown = denoise if denoise.U in results else displacement
    places = (displacement.Y, displacement.X)
    cells = results.at(shown.U.group, frame).assign({place.name: results.read(place, frame) for place in places})
    return domain_map(cells, results.read(analysis.LABEL, frame).values, about["directions"], about["classes"])


def plot_domains_in_time(results: Results) -> Figure:
    """Draw the fractions, the mean displacements and the walls of the domains over the frames."""
    about = _about(results)
    return fractions(results.whole(analysis.LABEL.group), about["directions"], about["classes"])


def plot_evidence(results: Results) -> Figure:
    """Draw the evidence for each number of domains; raise StoreError where the number was not chosen from the data."""
    results.read(analysis.EVIDENCE)
    return evidence(results.whole(analysis.LABEL.group))


def plot_confusion(results: Results) -> Figure:
    """Draw how well the classes are told apart; raise StoreError where none were learnt."""
    return confusion(results.read(analysis.CONFUSION).values, _about(results)["classes"])


def plot_embedding(results: Results) -> Figure:
    """Draw the surroundings of a sample of cells; raise StoreError where they weren't laid out."""
    return embedding(results.whole(domain_embedding.POSITION.group), _about(results)["directions"])


def parts(results: Results, frame: int) -> list[Part]:
    """Say which domains there are and why, and show them."""
    about = _about(results)
    part = Part("Domains", sentences=[str(about["statement"])], rows=[("domains", str(about["n_domains"]))])
    if analysis.EVIDENCE in results and np.isfinite(results.read(analysis.EVIDENCE)).any():
        part.show("The evidence for each number of domains.", lambda: plot_evidence(results))
    if not about["classes"]:
        return [part]
    part.show(f"Domains of frame {frame}; grey: none.", lambda: plot_domains(results, frame))
    if results.n_frames > 1:
        part.show(
            "Fraction of the cells, mean displacement, length and mean position of the walls, frame after frame.",
            lambda: plot_domains_in_time(results),
        )
    if analysis.CONFUSION in results:
        part.show("How well the classes are told apart.", lambda: plot_confusion(results))
    if domain_embedding.POSITION in results:
        part.show("Surroundings of a sample of the cells.", lambda: plot_embedding(results))
    return [part]


def _about(results: Results) -> dict[str, Any]:
    return results.attributes(analysis.LABEL.group)


def method(params: DomainsParams) -> Method:
    """Say how domains were found, and how their number was."""
    number = f"{params.n_domains}"
    if params.n_domains == "auto":
        number = f"as many as the distribution, the neighbours and resampling support, at most {params.max_domains}"
    cites = ("bovy2011", "zhang2001") if params.method == "gmm" else ()
    return Method(
        f"Cells were assigned to domains by their displacement (method: {params.method}; features: {params.features}; "
        f"number of domains: {number}); cells whose displacement does not differ from zero at "
        f"{100 * params.significance:g} % confidence belong to none.",
        cites,
    )


SHOWS = Shows(
    parts,
    {
        "domains": plot_domains,
        "domains_in_time": plot_domains_in_time,
        "evidence": plot_evidence,
        "confusion": plot_confusion,
        "embedding": plot_embedding,
    },
    slides=("domains",),
    method=method,
)
