"""Denoised displacement maps: before and after, the components, and all methods side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.cells import displacement
from stemdask.analyses.images.maps import denoise, denoise_comparison
from stemdask.figures.canvas import arrows, colour_wheel, height_over, map_axes
from stemdask.figures.pixels import in_pixels
from stemdask.figures.style import ACCENT, INK, MUTED, SUBLATTICES, new, quantity, style
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results
from stemdask.units import amount


def denoising(measured: xr.Dataset, denoised: xr.Dataset) -> Figure:
    """Draw the map as measured, denoised, and what was removed, with arrows of one scale.

    Parameters
    ----------
    measured
        ``/displacement`` of one frame: `y`, `x`, `u`, `v` (cell).
    denoised
        ``/denoised`` of the same frame: `u`, `v`.
    """
    measured, denoised = in_pixels(measured), in_pixels(denoised)
    read = [measured[v.name] for v in (displacement.Y, displacement.X, displacement.U, displacement.V)]
    read += [denoised[v.name] for v in (denoise.U, denoise.V)]
    lengths, units = (str(read[k].attrs["units"]) for k in (0, 2))
    values = np.stack([np.asarray(array.values, dtype=float) for array in read])
    y, x, u, v, du, dv = values[:, np.isfinite(values).all(axis=0)]
    typical = float(np.percentile(np.hypot(u, v), 90)) if u.size else 1.0
    shown = (("as measured", u, v), ("denoised", du, dv), ("removed", u - du, v - dv))
    with style():
        figure, panels = new(11.0, height_over(y, x, 3.1), 1, 3, sharex=True, sharey=True)
        for axes, (title, a, b) in zip(panels, shown, strict=True):
            map_axes(axes, lengths)
            if a.size:
                arrows(axes, y, x, a, b, typical=typical or 1.0, thinnest=0.004)
            rms = float(np.sqrt(np.mean(a**2 + b**2) / 2)) if a.size else np.nan
            axes.set_title(f"{title}: RMS {amount(f'{rms:.3g}', units)}")
            axes.label_outer()
        colour_wheel(panels[2], (1.1, 0.02, 0.16, 0.16))
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
    components = in_pixels(components)
    variance = np.asarray(components[denoise.EXPLAINED_VARIANCE.name].values, dtype=float)
    errors = np.asarray(components[denoise.HELD_OUT_ERROR.name].values, dtype=float)
    with style():
        figure, (left, right) = new(8.0, 3.2, 1, 2)
        number = np.arange(1, len(variance) + 1)
        kept = number <= n_components
        left.semilogy(number, variance, color=MUTED, lw=1)
        left.semilogy(number[kept], variance[kept], "o", color=ACCENT, label="kept")
        left.semilogy(number[~kept], variance[~kept], "o", color="white", mec=MUTED, label="left out")
        left.set(
            xlabel="component",
            ylabel=quantity("variance", str(components[denoise.EXPLAINED_VARIANCE.name].attrs["units"])),
            title="Scree",
        )
        left.legend()
        right.plot(np.arange(len(errors)), errors, "o-", color=MUTED, ms=4)
        if n_components < len(errors):
            right.plot(n_components, errors[n_components], "o", color=ACCENT)
            right.annotate(
                f"{n_components} chosen", (n_components, errors[n_components]), (6, -14), textcoords="offset points"
            )
        right.margins(y=0.25)
        right.set(
            xlabel="components",
            ylabel=quantity("RMS error", str(components[denoise.HELD_OUT_ERROR.name].attrs["units"])),
            title="Prediction of held-out cells",
        )
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
    parts = (denoise.COMPONENT_U, denoise.COMPONENT_V)
    u, v = (np.asarray(components[part.name].values, dtype=float) for part in parts)
    shown = [k for k in range(len(u)) if np.isfinite(u[k]).any()][:most]
    with style():
        rows, columns = u.shape[1:]
        height = 2.0 * float(np.clip(2.2 * rows / max(columns, 1), 0.8, 3.5)) + 0.9
        figure, panels = new(2.3 * max(len(shown), 1) + 1, height, 2, max(len(shown), 1), squeeze=False)
        image = None
        for column, k in enumerate(shown):
            reach = float(np.nanpercentile(np.abs(np.stack([u[k], v[k]])), 99.5)) or 1.0
            for row, (name, part) in enumerate((("u", u[k]), ("v", v[k]))):
                axes = panels[row, column]
                image = axes.imshow(part / reach, cmap="RdBu_r", vmin=-1, vmax=1)
                axes.set_title(f"component {k + 1}, {name}")
                axes.set(xticks=[], yticks=[])
        if image is not None:
            figure.colorbar(image, ax=panels, shrink=0.5, label="relative to the largest")
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
    compared = in_pixels(compared)
    errors = np.asarray(compared[denoise_comparison.ESTIMATED_ERROR.name].values, dtype=float)
    lost = np.asarray(compared[denoise_comparison.STEP_LOST.name].values, dtype=float)
    units = str(compared[denoise_comparison.ESTIMATED_ERROR.name].attrs["units"])
    order = np.argsort(np.nan_to_num(errors, nan=np.inf))[::-1]
    with style():
        figure, (left, right) = new(8.5, 0.32 * len(methods) + 1.3, 1, 2, sharey=True)
        place = np.arange(len(order))
        colours = [ACCENT if methods[k] == best else MUTED for k in order]
        left.barh(place, errors[order], color=colours, height=0.6)
        for at, k in zip(place, order, strict=True):
            left.text(errors[k], at, f" {errors[k]:.3g}", va="center", fontsize=8, color=INK)
        left.set_yticks(place, [methods[k].replace("_", " ") for k in order])
        left.tick_params(axis="y", length=0)
        left.margins(x=0.15)
        left.set(xlabel=quantity("estimated RMS error", units), title=f"Nearest to the truth: {best.replace('_', ' ')}")
        for step, (name, colour) in enumerate(
            zip(("every frame", "half of the frames", "one frame"), SUBLATTICES, strict=False)
        ):
            if np.isfinite(lost[:, step]).any():
                right.plot(lost[order, step], place, "o", color=colour, ms=5, label=name)
        right.axvline(0, color=MUTED, lw=0.8)
        right.legend(title="step in", loc="center left", bbox_to_anchor=(1, 0.5))
        right.set(xlabel=quantity("lost of the injected step", units), title="What it takes away")
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
    compared = in_pixels(compared)
    maps = np.asarray(compared[denoise_comparison.RESIDUAL.name].values, dtype=float)
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
            label = quantity("RMS of what is removed", str(compared[denoise_comparison.RESIDUAL.name].attrs["units"]))
            figure.colorbar(image, ax=panels, shrink=0.7, label=label)
    return figure


def plot_denoising(results: Results, frame: int = 0) -> Figure:
    """Draw the map of a frame as measured, denoised, and what was removed."""
    return denoising(results.at(displacement.U.group, frame), results.at(denoise.U.group, frame))


def plot_scree(results: Results) -> Figure:
    """Draw the variance of the components, and how well they predict held-out cells."""
    kept = int(results.attributes(denoise.U.group)["n_components"])
    return scree(results.whole(denoise.EXPLAINED_VARIANCE.group), kept)


def plot_components(results: Results, most: int = 4) -> Figure:
    """Draw the leading components as maps."""
    return component_maps(results.whole(denoise.COMPONENT_U.group), most)


def plot_comparison(results: Results) -> Figure:
    """Draw the error of every way of denoising; raise StoreError where they weren't compared."""
    compared = results.whole(denoise_comparison.METHOD.group)
    about = results.attributes(denoise_comparison.METHOD.group)
    return comparison(compared, about["methods"], about["best"])


def plot_residuals(results: Results) -> Figure:
    """Draw what every way of denoising removes; raise StoreError where they weren't compared."""
    compared = results.whole(denoise_comparison.METHOD.group)
    return residuals(compared, results.attributes(denoise_comparison.METHOD.group)["methods"])


def parts(results: Results, frame: int) -> list[Part]:
    """Say what was denoised and what it costs, and show it."""
    about = results.attributes(denoise.U.group)
    part = Part("Denoised displacements", sentences=[str(about["statement"])])
    if not results.whole(denoise.COMPONENT_U.group).sizes["cell_row"]:
        return [part]
    if "reason" in about:
        part.sentences.append(str(about["reason"]))
    if about["n_components"] == _most_allowed(results):
        part.sentences.append(
            "This is the largest number of components allowed; with a larger max_components the prediction of held-out "
            "cells may still improve."
        )
    part.rows = [("method", str(about["method"])), ("components", str(about["n_components"]))]
    part.show(f"Frame {frame} as measured, denoised, and what was removed.", lambda: plot_denoising(results, frame))
    part.show("How many components are kept.", lambda: plot_scree(results))
    if about["layout"] == "frames":
        part.show("The leading components.", lambda: plot_components(results))
    if denoise_comparison.METHOD in results:
        part.show("Every method: its error, and what it takes from a known step.", lambda: plot_comparison(results))
        part.show("What every method removed.", lambda: plot_residuals(results))
    return [part]


def _most_allowed(results: Results) -> int | None:
    """Return the largest number of components that a run could take by itself; None where the number was given."""
    params = results.params("denoise")
    if not isinstance(params, denoise.DenoiseParams) or params.n_components != "auto":
        return None
    return params.max_components


def method(params: denoise.DenoiseParams) -> Method:
    """Say how displacement maps were denoised, and how the number of components was chosen."""
    chosen = f"{params.n_components}"
    if params.n_components == "auto":
        chosen = f"the number that best predicts held-out cells, at most {params.max_components}"
    return Method(
        f"Displacement maps were denoised over the stack (method: {params.method.replace('_', ' ')}; components: "
        f"{chosen}); the loss of true signal was measured by injecting a step of {params.injected_step:g} pm "
        f"({1e-3 * params.injected_step:g} px in images without a pixel size).",
        ("owen2009", "josse2012"),
    )


SHOWS = Shows(
    parts,
    {
        "denoising": plot_denoising,
        "scree": plot_scree,
        "components": plot_components,
        "comparison": plot_comparison,
        "residuals": plot_residuals,
    },
    method=method,
)
