"""A fit looked at closely: image, columns found and what the fit leaves over, pixel for pixel in three places."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from stemdask.analyses.images.columns import columns, lattice
from stemdask.figures.canvas import extent, height_of, scale_bar, show_image, spacing, value_bar
from stemdask.figures.style import MUTED, SUBLATTICES, new, style
from stemdask.kernels.arrays import Booleans
from stemdask.kernels.images.finding.quality import UNUSABLE
from stemdask.kernels.images.fitting.drawing import draw_columns
from stemdask.kernels.images.fitting.ellipses import precision_of
from stemdask.model import Array, ImageFrame

#: Side of a place that is looked at, in distances between columns.
_CELLS = 9.0
#: Marks of the grains, the first of them the largest.
_GRAINS = ("o", "s", "D", "^", "v", "p")
_PLACE = (columns.Y, columns.X)
#: Grains, at most, that have entries of their own in the legend.
_NAMED_GRAINS = 4
#: Residuals are shown up to this part of the height of a column, per cent.
_MOST = 20.0
#: Colour of what was not fitted, which has no residual.
_NOT_FITTED = "#dcdcdc"


class Place(NamedTuple):
    """A place of an image that is looked at."""

    name: str
    rows: slice
    columns: slice


def places(frame: ImageFrame, found: xr.Dataset) -> list[Place]:
    """Return where to look: a typical place, the worst one, and one at the edge of what was found.

    Places are compared by the columns in them: the part of those that could not be measured, then the mean of their
    reduced chi-squared. Typical is the median of all, the worst the last of them; the edge is the column that is
    furthest from the middle of all.

    Parameters
    ----------
    frame
        The image.
    found
        ``/columns`` of the frame: `y`, `x`, `flag`, `reduced_chi2` (column).
    """
    where = (np.column_stack([found[v.name].values for v in _PLACE]) - frame.offset) / frame.pixel_size
    there = np.isfinite(where).all(axis=1)
    where = where[there]
    if len(where) < 2:
        return []
    side = _CELLS * spacing(*where.T)
    chi2 = np.nan_to_num(found[columns.REDUCED_CHI2.name].values[there].astype(float), posinf=0.0)
    bad = ~_measured(found)[there]
    tree = cKDTree(where)
    near = tree.query_ball_point(where, 0.5 * side, p=np.inf)
    share, misfit = (np.array([values[group].mean() for group in near]) for values in (bad, chi2))
    inside = ((where > 0.5 * side) & (where < np.array(frame.pixels.shape) - 0.5 * side)).all(axis=1)
    inside = inside if inside.any() else np.ones(len(where), bool)
    order = np.flatnonzero(inside)[np.lexsort((misfit[inside], share[inside]))]
    edge = int(np.argmax(np.linalg.norm(where - where.mean(axis=0), axis=1)))
    centres = {"typical": order[len(order) // 2], "worst": order[-1], "edge": edge}
    return [Place(name, *_window(where[k], side, frame.pixels.shape)) for name, k in centres.items()]


def fitted(frame: ImageFrame, found: xr.Dataset) -> Array:
    """Return the image (y, x) that the stored columns stand for, NaN outside of them.

    Parameters
    ----------
    frame
        The image, in the contrast in which it was fitted.
    found
        ``/columns`` of the frame.
    """
    scale = np.asarray(frame.pixel_size)
    middle = [found[v.name].values - found[w.name].values for v, w in zip(_PLACE, columns.ASYMMETRY, strict=True)]
    where = (np.column_stack(middle) - frame.offset) / scale
    drawn = (columns.AMPLITUDE, columns.SIGMA_MAJOR, columns.SIGMA_MINOR, columns.ROTATION, columns.BACKGROUND)
    height, major, minor, turned, below = (found[v.name].values.astype(float) for v in drawn)
    good = np.isfinite(np.column_stack([where, height, major, minor, turned, below])).all(axis=1) & (minor > 0)
    pixel = float(np.sqrt(np.prod(scale)))
    precision = precision_of(major[good] / pixel, minor[good] / pixel, np.deg2rad(turned[good]))
    terms = np.array([float(found[v.name]) for v in columns.SHAPE])
    shape = (frame.pixels.shape[0], frame.pixels.shape[1])
    halo = float(found[columns.HALO.name]) if columns.HALO.name in found else 0.0  # an older version wrote the store
    return draw_columns(shape, where[good], height[good], precision, below[good], terms, halo)


def residual_of(frame: ImageFrame, found: xr.Dataset) -> Array:
    """Return the image minus the fit (y, x), in parts of the height of a column, NaN where there are none.

    Parameters
    ----------
    frame
        The image, in the contrast in which it was fitted.
    found
        ``/columns`` of the frame.
    """
    heights = found[columns.AMPLITUDE.name].values[_measured(found)]
    height = float(np.nanmedian(heights)) if np.isfinite(heights).any() else 1.0
    left_over: Array = (frame.pixels - fitted(frame, found)) / (height or 1.0)
    return left_over


def inspection(frame: ImageFrame, found: xr.Dataset, left_over: Array | None, *, title: str = "image") -> Figure:
    """Draw image, columns and residual of three places: a typical one, the worst, and one at the edge.

    Parameters
    ----------
    frame
        The image, in the contrast in which it was fitted.
    found
        ``/columns`` of the frame.
    left_over
        (y, x), the residual, as of `residual_of`; None where the stored columns aren't those of these pixels, which
        something was done to before the fit.
    title
        Of the image.
    """
    shown = places(frame, found)
    titles = [title, "columns found"] + ["residual / % of a column's height"] * (left_over is not None)
    with style():
        figure, panels = new(
            2.5 * len(titles) + 0.7, 2.6 * max(len(shown), 1) + 0.2, max(len(shown), 1), len(titles), squeeze=False
        )
        for row, place in zip(panels, shown, strict=False):
            window = place.rows, place.columns
            for axes in row[:2]:
                show_image(axes, frame, "", window=window)
            mark_columns(row[1], frame, found, reach=_span(frame, place), inches=2.4)
            if left_over is not None:
                part = 100 * left_over[window]
                drawn = row[2].imshow(part, cmap="RdBu_r", vmin=-_MOST, vmax=_MOST, extent=extent(frame, window))
                row[2].set_facecolor(_NOT_FITTED)
            for axes in row:
                _look(axes, frame, place)
            scale_bar(row[0], str(found[columns.Y.name].attrs["units"]))
            row[0].set_ylabel(place.name)
        for axes, heading in zip(panels[0], titles, strict=True):
            axes.set_title(heading)
        if shown:
            figure.legend(*panels[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        if left_over is not None and shown:
            figure.colorbar(drawn, ax=panels[:, 2], shrink=0.4, pad=0.02, extend="both")
    return figure


def residual(frame: ImageFrame, left_over: Array, unit: str) -> Figure:
    """Draw what the fit leaves over of the whole image, in parts of the height of a column.

    Parameters
    ----------
    frame
        The image.
    left_over
        (y, x), the residual, as of `residual_of`.
    unit
        Of the lengths of the frame.
    """
    width = 7.0
    with style():
        figure, axes = new(width, height_of(frame, width - 1.0))
        drawn = axes.imshow(100 * left_over, cmap="RdBu_r", vmin=-_MOST, vmax=_MOST, extent=extent(frame))
        axes.set_facecolor(_NOT_FITTED)
        bare(axes)
        scale_bar(axes, unit)
        rms = float(np.sqrt(np.nanmean(left_over**2))) if np.isfinite(left_over).any() else np.nan
        axes.set_title(f"Image minus fit: RMS {100 * rms:.1f} % of a column's height")
        value_bar(axes, drawn, extend="both", label="residual / %")
    return figure


def mark_columns(
    axes: Axes, frame: ImageFrame, found: xr.Dataset, *, reach: float | None = None, inches: float = 7.0
) -> None:
    """Draw columns in the colours of their sublattice and the marks of their grain, near dislocations and gaps filled.

    Parameters
    ----------
    axes
        With the image.
    frame
        The image.
    found
        ``/columns`` of the frame. Those that could not be measured are grey crosses.
    reach
        Width of what is seen, in the lengths of the frame; by default all of it.
    inches
        Width of the axes.
    """
    y, x = found[columns.Y.name].values, found[columns.X.name].values
    good = np.isfinite(y)
    kind = np.where(_measured(found), 0, -1)
    if lattice.SUBLATTICE.name in found:
        kind = found[lattice.SUBLATTICE.name].values
    grain = found[lattice.GRAIN.name].values if lattice.GRAIN.name in found else np.zeros(len(y), int)
    seen = reach if reach is not None else frame.pixels.shape[1] * frame.pixel_size[1]
    points = inches * 72 * 0.5 * spacing(y[good], x[good]) / seen if good.any() else 2.0
    size = float(np.clip(points, 2, 14)) ** 2
    for value in np.unique(kind[good]):
        colour = SUBLATTICES[value % len(SUBLATTICES)] if value >= 0 else MUTED
        sublattice = sublattice_name(found, int(value))
        name = f"{sublattice}: {(good & (kind == value)).sum()}"
        grains = np.unique(grain[good & (kind == value)])
        for number in grains:
            chosen = good & (kind == value) & (grain == number)
            if value >= 0 and 1 < len(grains) <= _NAMED_GRAINS:
                name = f"{sublattice}, grain {number}: {chosen.sum()}"
            look: dict[str, Any] = {"marker": "x", "color": colour}
            if value >= 0:
                look = {"marker": _GRAINS[max(number, 0) % len(_GRAINS)], "facecolors": "none", "edgecolors": colour}
            axes.scatter(x[chosen], y[chosen], s=size, linewidths=1, label=name, **look)
            name = f"_{name}"  # a sublattice has one entry in the legend, or one for each of few grains
    if lattice.NEAR_DISLOCATION.name in found and (near := found[lattice.NEAR_DISLOCATION.name].values == 1).any():
        axes.scatter(x[near], y[near], s=size, color=SUBLATTICES[3], label=f"near a dislocation: {near.sum()}")
    if lattice.BESIDE_GAP.name in found and (near := found[lattice.BESIDE_GAP.name].values == 1).any():
        axes.scatter(x[near], y[near], s=size, color=SUBLATTICES[4], label=f"beside a gap: {near.sum()}")


def sublattice_name(found: xr.Dataset, number: int) -> str:
    """Return the letter of a sublattice, with its elements where a structure tells them, such as "A (Ba)".

    Parameters
    ----------
    found
        ``/columns``.
    number
        Of the sublattice; -1 none.
    """
    elements = found.attrs.get("elements", [])
    named = f" ({elements[number]})" if 0 <= number < len(elements) and elements[number] else ""
    return f"{lattice.SUBLATTICES[number]}{named}"


def bare(axes: Axes) -> None:
    """Leave the ticks of an image out, which has a scale bar."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _measured(found: xr.Dataset) -> Booleans:
    measured: Booleans = ~np.isin(found[columns.FLAG.name].values, UNUSABLE)
    return measured


def _look(axes: Axes, frame: ImageFrame, place: Place) -> None:
    """Let axes show one place alone."""
    left, right, bottom, top = extent(frame, (place.rows, place.columns))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    bare(axes)


def _span(frame: ImageFrame, place: Place) -> float:
    return float((place.columns.stop - place.columns.start) * frame.pixel_size[1])


def _window(centre: Array, side: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns of a square about a centre, px, moved into the image."""
    found = []
    for middle, length in zip(centre, shape, strict=True):
        n = min(length, max(8, round(side)))
        start = int(np.clip(round(middle - 0.5 * n), 0, length - n))
        found.append(slice(start, start + n))
    return found[0], found[1]
