"""What several figures draw: an image, arrows coloured by direction, maps over cells, curves with bands of errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, hsv_to_rgb
from matplotlib.figure import Figure

from stemdask.figures.style import ACCENT, MUTED, quantity
from stemdask.model import Array, ImageFrame

#: Saturation and value of the colours of directions.
_SATURATION, _VALUE = 0.62, 0.92


def show_image(axes: Axes, frame: ImageFrame, unit: str, *, faint: bool = False) -> None:
    """Draw an image in grey on axes of lengths in `unit`; faint where something is drawn over it."""
    low, high = np.nanpercentile(frame.pixels, (0.5, 99.8)) if np.isfinite(frame.pixels).any() else (0, 1)
    alpha = 0.45 if faint else 1.0
    axes.imshow(frame.pixels, cmap="gray", vmin=low, vmax=high, extent=extent(frame), alpha=alpha)
    axes.set(xlabel=quantity("x", unit), ylabel=quantity("y", unit))


def map_axes(axes: Axes, unit: str) -> None:
    """Give axes without an image the look of one: equal scales, y downwards, lengths in `unit`."""
    axes.set_aspect("equal")
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.set(xlabel=quantity("x", unit), ylabel=quantity("y", unit))


def extent(frame: ImageFrame) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of an image; pixel centres lie at offset + index × pixel size."""
    (ny, nx), (dy, dx), (oy, ox) = frame.pixels.shape, frame.pixel_size, frame.offset
    return ox - dx / 2, ox + (nx - 0.5) * dx, oy + (ny - 0.5) * dy, oy - dy / 2


def height_of(frame: ImageFrame, width: float) -> float:
    """Return the height in inches of a figure of that width that an image fills."""
    (ny, nx), (dy, dx) = frame.pixels.shape, frame.pixel_size
    return float(np.clip(width * ny * dy / (nx * dx), 2.0, 11.0)) + 0.5


def spacing(y: Array, x: Array) -> float:
    """Return the median distance between nearest neighbours."""
    return float(np.median(np.abs(_to_neighbour(y, x)))) or 1.0


def _to_neighbour(y: Array, x: Array) -> Array:
    """Return the step x + iy from each place to its nearest neighbour; one of 1 where there is no other."""
    from scipy.spatial import cKDTree

    if y.size < 2:
        return np.ones(1)
    nearest = cKDTree(np.column_stack([y, x])).query(np.column_stack([y, x]), k=2)[1][:, 1]
    steps: Array = (x[nearest] - x) + 1j * (y[nearest] - y)
    return steps


def direction_colour(degrees: float, paler: int = 0) -> tuple[float, float, float]:
    """Return the colour of a direction, counter-clockwise from +x as displayed; paler for one that comes again."""
    hue = (degrees / 360.0 + 0.5) % 1.0
    red, green, blue = hsv_to_rgb((hue, _SATURATION / (1 + paler), _VALUE / (1 + 0.3 * paler)))
    return float(red), float(green), float(blue)


def arrows(axes: Axes, y: Array, x: Array, u: Array, v: Array, *, typical: float, width: float = 0.003) -> Any:
    """Draw displacements (u to the right, v downwards) in the colours of their directions.

    An arrow of the length `typical` is as long as the distance between neighbours.
    """
    return axes.quiver(
        x, y, u, v, np.arctan2(-v, u), cmap=_wheel(), clim=(-np.pi, np.pi), angles="xy", scale_units="xy",
        scale=typical / (1.1 * spacing(y, x)), width=width, headwidth=4, pivot="mid",
    )  # fmt: skip


def colour_wheel(axes: Axes, place: tuple[float, float, float, float]) -> None:
    """Draw the colour of every direction into axes, at (left, bottom, width, height) in parts of them."""
    wheel = axes.inset_axes(place, projection="polar")
    angle = np.linspace(-np.pi, np.pi, 181)
    middle = np.tile(0.5 * (angle[1:] + angle[:-1]), (1, 1))
    wheel.pcolormesh(angle, [0.5, 1.0], middle, cmap=_wheel(), vmin=-np.pi, vmax=np.pi)
    wheel.set_axis_off()


def squares(axes: Axes, y: Array, x: Array, **look: Any) -> Any:
    """Draw a square about each place, as large and turned as those are that fill a square lattice of such places."""
    steps = _to_neighbour(y, x)
    turned = np.exp(0.25j * np.angle(np.sum((steps / np.maximum(np.abs(steps), 1e-12)) ** 4)))
    corners = np.sqrt(0.5) * spacing(y, x) * turned * np.exp(0.25j * np.pi * np.array([1, 3, 5, 7]))
    outline = (np.asarray(x) + 1j * np.asarray(y))[:, None] + corners
    outlines = list(np.stack([outline.real, outline.imag], axis=-1))
    drawn = PolyCollection(outlines, linewidths=0, antialiaseds=False, **look)
    axes.add_collection(drawn)
    axes.autoscale_view()
    return drawn


def value_map(figure: Figure, axes: Axes, places: xr.Dataset, values: xr.DataArray, *, signed: bool) -> None:
    """Draw a value of each cell or column as a square of its colour, with a colour bar.

    Parameters
    ----------
    places
        `y` and `x` of each.
    values
        With `long_name` and `units`.
    signed
        The colours are those of a change, symmetric about zero.
    """
    y, x, shown = (np.asarray(array.values, dtype=float) for array in (places["y"], places["x"], values))
    good = np.isfinite(y) & np.isfinite(shown)
    map_axes(axes, str(places["y"].attrs["units"]))
    axes.set_title(quantity(str(values.attrs["long_name"]), str(values.attrs["units"])))
    y, x, shown = y[good], x[good], shown[good]
    low, high = np.percentile(shown, (1, 99)) if shown.size else (0.0, 1.0)
    if signed:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    drawn = squares(axes, y, x, array=shown, cmap="RdBu_r" if signed else "viridis", clim=(low, high))
    figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.01)


def curve(axes: Axes, x: Array, values: Array, errors: Array | None = None, **options: Any) -> None:
    """Draw values against x, with a band of their standard errors where they have some; NaN leaves a gap."""
    look: dict[str, Any] = {"color": ACCENT, "lw": 1, "marker": "." if len(x) < 200 else None, "ms": 4} | options
    if errors is not None:
        axes.fill_between(x, values - errors, values + errors, color=look["color"], alpha=0.18, lw=0)
    axes.plot(x, values, **look)


def scatter_uv(axes: Axes, u: Array, v: Array, unit: str, **look: Any) -> None:
    """Draw u against v, v downwards, about the origin."""
    axes.axhline(0, color=MUTED, lw=0.6)
    axes.axvline(0, color=MUTED, lw=0.6)
    axes.scatter(u, v, **({"s": 5, "alpha": 0.5, "linewidths": 0} | look))
    reach = 1.08 * max(1.0, float(np.percentile(np.hypot(u, v), 99.5))) if u.size else 1.0
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    axes.set(xlabel=f"{quantity('u', unit)} (right)", ylabel=f"{quantity('v', unit)} (down)")


def _wheel() -> ListedColormap:
    hue = np.linspace(0, 1, 256)
    return ListedColormap(hsv_to_rgb(np.stack([hue, np.full(256, _SATURATION), np.full(256, _VALUE)], axis=1)))
