"""Figures of domains: where they are, what speaks for them, and how they change over the stack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from stemdask.figures.maps import colour_wheel, spacing
from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, new, style
from stemdask.model import Array


def domain_map(
    displacement: xr.Dataset, domains: xr.Dataset, directions: Sequence[float], classes: Sequence[str]
) -> Figure:
    """Draw the cells in the colour of their domain's direction, with their arrows, and u against v beside.

    Parameters
    ----------
    displacement
        One frame: `y`, `x` (cell) in nm, `u`, `v` in pm, measured or denoised.
    domains
        ``/domains`` of the same frame: `label` (cell).
    directions
        Direction of each domain in degree, counter-clockwise from +x as displayed.
    classes
        Name of each domain.
    """
    y, x, u, v = (np.asarray(displacement[name].values, dtype=float) for name in ("y", "x", "u", "v"))
    label = np.asarray(domains["label"].values)
    good = np.isfinite(y) & np.isfinite(u)
    y, x, u, v, label = (array[good] for array in (y, x, u, v, label))
    colours = domain_colours(directions)
    with style():
        figure, (left, right) = new(9.6, 4.8, 1, 2, width_ratios=(1.5, 1))
        size = _cell_size(y, x)
        for domain in (-1, *range(len(directions))):
            chosen = label == domain
            name = "not significant" if domain < 0 else f"{classes[domain]}, {round(directions[domain])}°"
            if not chosen.any():
                continue
            colour = "#dddddd" if domain < 0 else colours[domain]
            text = f"{name}: {100 * chosen.mean():.0f} %"
            left.scatter(x[chosen], y[chosen], s=size, marker="s", color=colour, linewidths=0, label=text)
            right.scatter(u[chosen], v[chosen], s=7, color=colour, linewidths=0)
        typical = float(np.percentile(np.hypot(u, v), 90)) if u.size else 1.0
        if u.size:
            scale = (typical or 1.0) / (0.9 * spacing(y, x))
            left.quiver(
                x, y, u, v, color=INK, angles="xy", scale_units="xy", scale=scale, width=0.0022, pivot="mid"
            )  # fmt: skip
            left.legend(loc="upper left", bbox_to_anchor=(0, -0.11), ncols=2, borderaxespad=0, markerscale=1)
        left.set_aspect("equal")
        left.invert_yaxis()
        left.set(xlabel="x / nm", ylabel="y / nm")
        left.set_title(f"{len(directions)} domain{'s' if len(directions) != 1 else ''}")
        reach = 1.1 * max(1.0, float(np.percentile(np.hypot(u, v), 99.5))) if u.size else 1.0
        right.axhline(0, color=MUTED, lw=0.6)
        right.axvline(0, color=MUTED, lw=0.6)
        right.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
        right.set(xlabel="u / pm (right)", ylabel="v / pm (down)", title="Displacements")
        colour_wheel(right.inset_axes((0.8, 0.02, 0.18, 0.18), projection="polar"))
    return figure


def evidence(domains: xr.Dataset, strong: float = 3.0, stable: float = 0.8) -> Figure:
    """Draw what speaks for each number of domains.

    Parameters
    ----------
    domains
        ``/domains``: `bic`, `evidence`, `silhouette`, `stability` (n_clusters), from 0 clusters on.
    strong, stable
        Evidence and stability that a number of domains needs.
    """
    curves = (("bic", "BIC, above the least", None), ("evidence", "gain of two peaks over one", strong))
    curves += (("stability", "stability and silhouette", stable),)  # type: ignore[assignment]
    with style():
        figure, panels = new(9.5, 3.0, 1, 3)
        for axes, (name, title, limit) in zip(panels, curves, strict=True):
            values = np.asarray(domains[name].values, dtype=float)
            number = np.arange(len(values))
            if name == "bic":
                axes.semilogy(number, values - np.nanmin(values) + 1, "o-", color=ACCENT, ms=4)
            else:
                axes.plot(number, values, "o-", color=ACCENT, ms=4, label=name)
            if name == "stability":
                axes.plot(number, domains["silhouette"].values, "o-", color=MUTED, ms=4, label="silhouette")
                axes.legend()
            if limit is not None:
                axes.axhline(limit, color=SUBLATTICES[1], lw=1, ls="--")
                axes.annotate(
                    "needed", (0, limit), (2, 3), textcoords="offset points", fontsize=8, color=SUBLATTICES[1]
                )
            axes.set(xlabel="domains", title=title, xlim=(-0.4, len(values) - 0.6))
            axes.xaxis.get_major_locator().set_params(integer=True)
        if np.nanmax(np.nan_to_num(domains["evidence"].values)) > 50 * strong:
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
    """Draw the fraction, the mean displacement and the wall length of the domains over the frames.

    Parameters
    ----------
    domains
        ``/domains``: `fraction`, `mean_u`, `mean_v` and their errors (frame, domain), `wall_length`
        (frame, domain, other_domain).
    directions, classes
        Direction in degree and name of each domain.
    """
    fraction = np.asarray(domains["fraction"].values, dtype=float)
    u, v, u_err, v_err = (
        np.asarray(domains[name].values, dtype=float) for name in ("mean_u", "mean_v", "mean_u_err", "mean_v_err")
    )
    walls = np.nansum(np.asarray(domains["wall_length"].values, dtype=float), axis=(1, 2)) / 2
    frame = np.arange(len(fraction))
    colours = domain_colours(directions)
    marker = "o" if len(frame) < 3 else ""
    with style():
        figure, panels = new(7.0, 6.0, 3, 1, sharex=True)
        for domain, name in enumerate(classes):
            colour = colours[domain]
            panels[0].plot(frame, 100 * fraction[:, domain], color=colour, marker=marker, label=name)
            length = np.hypot(u[:, domain], v[:, domain])
            error = np.hypot(u[:, domain] * u_err[:, domain], v[:, domain] * v_err[:, domain]) / np.maximum(
                length, 1e-9
            )
            panels[1].plot(frame, length, color=colour, marker=marker)
            panels[1].fill_between(frame, length - error, length + error, color=colour, alpha=0.25, lw=0)
        panels[2].plot(frame, walls, color=INK, marker=marker)
        panels[0].set(ylabel="part of the cells / %", title="Domains over the stack")
        panels[0].legend(loc="center left", bbox_to_anchor=(1, 0.5))
        panels[1].set(ylabel="mean displacement / pm")
        panels[2].set(xlabel="frame", ylabel="walls / nm")
        for axes in panels:
            axes.set_ylim(bottom=0)
        panels[2].xaxis.get_major_locator().set_params(integer=True)
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
    position, label = np.asarray(embedded["position"].values), np.asarray(embedded["label"].values)
    colours = domain_colours(directions)
    with style():
        figure, axes = new(5.0, 4.6)
        for domain in (-1, *range(len(directions))):
            chosen = label == domain
            axes.scatter(*position[chosen].T, s=8, color=colours[domain] if domain >= 0 else "#dddddd", linewidths=0)
        axes.set(xticks=[], yticks=[], title="Surroundings of the cells, alike ones together (t-SNE)")
    return figure


def domain_colours(directions: Sequence[float]) -> list[tuple[float, float, float]]:
    """Return the colour of each direction (degree) on the wheel, made distinct where directions coincide."""
    colours = []
    for k, direction in enumerate(directions):
        near = sum(abs((direction - other + 180) % 360 - 180) < 12 for other in directions[:k])
        red, green, blue = hsv_to_rgb((_hue(direction), 0.62 / (1 + near), 0.92 / (1 + 0.3 * near)))
        colours.append((float(red), float(green), float(blue)))
    return colours


def _hue(direction: float) -> float:
    return (direction / 360.0 + 0.5) % 1.0


def _cell_size(y: Array, x: Array) -> float:
    """Area of a marker, points², that fills a cell of a map about 4.6 inches wide."""
    extent = max(float(np.ptp(x)), float(np.ptp(y)), 1e-9) if y.size > 1 else 1.0
    return float(np.clip(3.9 * 72 * spacing(y, x) / extent, 1.5, 30.0)) ** 2
