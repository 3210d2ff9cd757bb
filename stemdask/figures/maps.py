"""Figures of denoised displacement maps: before and after, the components, and all methods side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, hsv_to_rgb
from matplotlib.figure import Figure

from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, new, style
from stemdask.model import Array


def denoising(displacement: xr.Dataset, denoised: xr.Dataset) -> Figure:
    """Draw the map as measured, denoised, and what was removed, with arrows of one scale.

    Parameters
    ----------
    displacement
        ``/displacement`` of one frame: `y`, `x` (cell) in nm, `u`, `v` in pm.
    denoised
        ``/denoised`` of the same frame: `u`, `v`.
    """
    y, x, u, v = (np.asarray(displacement[name].values, dtype=float) for name in ("y", "x", "u", "v"))
    du, dv = (np.asarray(denoised[name].values, dtype=float) for name in ("u", "v"))
    good = np.isfinite(y) & np.isfinite(u) & np.isfinite(du)
    y, x, u, v, du, dv = (array[good] for array in (y, x, u, v, du, dv))
    with style():
        figure, panels = new(11.0, 4.3, 1, 3, sharex=True, sharey=True)
        typical = float(np.percentile(np.hypot(u, v), 90)) if u.size else 1.0
        for axes, a, b, title in zip(
            panels, (u, du, u - du), (v, dv, v - dv), ("as measured", "denoised", "removed"), strict=True
        ):
            _arrows(axes, y, x, a, b, typical or 1.0)
            rms = float(np.sqrt(np.mean(a**2 + b**2) / 2)) if a.size else np.nan
            axes.set_title(f"{title}: RMS {rms:.1f} pm")
            axes.set(xlabel="x / nm")
        panels[0].set(ylabel="y / nm")
        colour_wheel(panels[2].inset_axes((1.02, 0.0, 0.16, 0.16), projection="polar"))
    return figure


def scree(components: xr.Dataset, n_components: int) -> Figure:
    """Draw the variance of the components, and how well so many of them predict held-out cells.

    Parameters
    ----------
    components
        ``/components``: `explained_variance` (component) in pm², `held_out_error` (n_components) in pm.
    n_components
        The number chosen.
    """
    variance = np.asarray(components["explained_variance"].values, dtype=float)
    errors = np.asarray(components["held_out_error"].values, dtype=float)
    with style():
        figure, (left, right) = new(8.0, 3.2, 1, 2)
        number = np.arange(1, len(variance) + 1)
        kept = number <= n_components
        left.semilogy(number, variance, color=MUTED, lw=1)
        left.semilogy(number[kept], variance[kept], "o", color=ACCENT, label="kept")
        left.semilogy(number[~kept], variance[~kept], "o", color="white", mec=MUTED, label="left out")
        left.set(xlabel="component", ylabel="variance / pm²", title="Scree")
        left.legend()
        right.plot(np.arange(len(errors)), errors, "o-", color=MUTED, ms=4)
        if n_components < len(errors):
            right.plot(n_components, errors[n_components], "o", color=ACCENT)
            right.annotate(
                f"{n_components} chosen", (n_components, errors[n_components]), (6, -14), textcoords="offset points"
            )
        right.margins(y=0.25)
        right.set(xlabel="components", ylabel="RMS error / pm", title="Prediction of held-out cells")
        for axes in (left, right):
            axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def component_maps(components: xr.Dataset, most: int = 4) -> Figure:
    """Draw the leading components as maps of u and v on the grid of cells.

    Parameters
    ----------
    components
        ``/components``: `u`, `v` (component, cell_row, cell_column).
    most
        Components drawn at most.
    """
    u, v = (np.asarray(components[name].values, dtype=float) for name in ("u", "v"))
    shown = [k for k in range(len(u)) if np.isfinite(u[k]).any()][:most]
    with style():
        figure, panels = new(2.3 * max(len(shown), 1) + 1, 4.4, 2, max(len(shown), 1), squeeze=False)
        image = None
        for column, k in enumerate(shown):
            reach = float(np.nanpercentile(np.abs(np.stack([u[k], v[k]])), 99.5)) or 1.0
            for row, (name, part) in enumerate((("u", u[k]), ("v", v[k]))):
                axes = panels[row, column]
                image = axes.imshow(part / reach, cmap="RdBu_r", vmin=-1, vmax=1)
                axes.set_title(f"component {k + 1}, {name}")
                axes.set(xticks=[], yticks=[])
        if image is not None:
            figure.colorbar(image, ax=panels, shrink=0.5, label="over the largest")
    return figure


def comparison(compared: xr.Dataset, methods: Sequence[str], best: str) -> Figure:
    """Draw the estimated error of every way of denoising, and how much of a known step it loses.

    Parameters
    ----------
    compared
        ``/comparison``: `estimated_error` (method) and `step_lost` (method, step) in pm.
    methods
        Names along `method`.
    best
        The one that was taken.
    """
    errors = np.asarray(compared["estimated_error"].values, dtype=float)
    lost = np.asarray(compared["step_lost"].values, dtype=float)
    order = np.argsort(np.nan_to_num(errors, nan=np.inf))[::-1]
    with style():
        figure, (left, right) = new(8.5, 0.32 * len(methods) + 1.3, 1, 2, sharey=True)
        place = np.arange(len(order))
        colours = [ACCENT if methods[k] == best else MUTED for k in order]
        left.barh(place, errors[order], color=colours, height=0.6)
        for at, k in zip(place, order, strict=True):
            left.text(errors[k], at, f" {errors[k]:.1f}", va="center", fontsize=8, color=INK)
        left.set_yticks(place, [methods[k].replace("_", " ") for k in order])
        left.tick_params(axis="y", length=0)
        left.margins(x=0.15)
        left.set(xlabel="estimated RMS error / pm", title=f"Nearest to the truth: {best.replace('_', ' ')}")
        for step, (name, colour) in enumerate(
            zip(("every frame", "half of the frames", "one frame"), SUBLATTICES, strict=False)
        ):
            if np.isfinite(lost[:, step]).any():
                right.plot(lost[order, step], place, "o", color=colour, ms=5, label=name)
        right.axvline(0, color=MUTED, lw=0.8)
        right.legend(title="step in", loc="center left", bbox_to_anchor=(1, 0.5))
        right.set(xlabel="lost of the injected step / pm", title="What it takes away")
    return figure


def residuals(compared: xr.Dataset, methods: Sequence[str]) -> Figure:
    """Draw, for every way of denoising, where and how much it removes.

    Parameters
    ----------
    compared
        ``/comparison``: `residual` (method, cell_row, cell_column) in pm.
    methods
        Names along `method`.
    """
    maps = np.asarray(compared["residual"].values, dtype=float)
    columns = min(len(methods), 5)
    rows = -(-len(methods) // columns)
    with style():
        figure, panels = new(1.9 * columns + 1, 2.1 * rows + 0.3, rows, columns, squeeze=False)
        high = float(np.nanpercentile(maps, 99)) if np.isfinite(maps).any() else 1.0
        image = None
        for axes in panels.flat:
            axes.set_axis_off()
        for axes, name, part in zip(panels.flat, methods, maps, strict=False):
            image = axes.imshow(part, cmap="viridis", vmin=0, vmax=high or 1.0)
            axes.set_title(name.replace("_", " "), fontsize=9)
        if image is not None:
            figure.colorbar(image, ax=panels, shrink=0.7, label="RMS of what is removed / pm")
    return figure


def colour_wheel(axes: Axes) -> None:
    """Draw the colour of every direction, counter-clockwise from +x as displayed, into polar axes."""
    angle = np.linspace(-np.pi, np.pi, 181)
    middle = 0.5 * (angle[1:] + angle[:-1])
    axes.pcolormesh(angle, [0.5, 1.0], np.tile(middle, (1, 1)), cmap=_wheel_map(), vmin=-np.pi, vmax=np.pi)
    axes.set_axis_off()


def _wheel_map() -> ListedColormap:
    hue = np.linspace(0, 1, 256)
    return ListedColormap(hsv_to_rgb(np.stack([hue, np.full(256, 0.62), np.full(256, 0.92)], axis=1)))


def _arrows(axes: Axes, y: Array, x: Array, u: Array, v: Array, typical: float) -> None:
    axes.set_aspect("equal")
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    if u.size:
        scale = typical / (1.1 * spacing(y, x))
        axes.quiver(
            x, y, u, v, np.arctan2(-v, u), cmap=_wheel_map(), clim=(-np.pi, np.pi), angles="xy",
            scale_units="xy", scale=scale, width=0.004, headwidth=4, pivot="mid",
        )  # fmt: skip


def spacing(y: Array, x: Array) -> float:
    """Median distance between nearest neighbours, nm."""
    from scipy.spatial import cKDTree

    if y.size < 2:
        return 1.0
    points = np.column_stack([y, x])
    return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1])) or 1.0
