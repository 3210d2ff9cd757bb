"""What several figures draw: an image, arrows coloured by direction, maps over cells, curves with bands of errors."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle
from matplotlib.transforms import offset_copy
from skimage.color import lab2rgb

from stemdask.figures.pixels import in_pixels
from stemdask.figures.style import ACCENT, INK, MUTED, quantity
from stemdask.model import Array, ImageFrame
from stemdask.units import amount

#: From how many places a lattice is told.
_SEEN = 200


def show_image(
    axes: Axes, frame: ImageFrame, unit: str, *, faint: bool = False, window: tuple[slice, slice] | None = None
) -> None:
    """Draw an image in grey on axes of lengths in `unit`; faint where something is drawn over it.

    Parameters
    ----------
    axes
        To draw into.
    frame
        The image.
    unit
        Of its lengths; none where the axes have no ticks.
    faint
        Whether something is drawn over it.
    window
        Rows and columns that are drawn; by default all.
    """
    seen = frame.pixels if window is None else frame.pixels[window]
    low, high = np.nanpercentile(seen, (0.5, 99.8)) if np.isfinite(seen).any() else (0, 1)
    alpha = 0.45 if faint else 1.0
    axes.imshow(seen, cmap="gray", vmin=low, vmax=high, extent=extent(frame, window), alpha=alpha)
    if unit:
        _label_lengths(axes, unit)


def scale_bar(axes: Axes, unit: str) -> None:
    """Draw a bar of a round length into the lower right corner of axes of lengths in `unit`."""
    left, right = axes.get_xlim()
    length = round_length(0.2 * abs(right - left))
    fraction = length / abs(right - left)
    ground = Rectangle((0.97 - fraction - 0.02, 0.02), fraction + 0.04, 0.115, color="white", alpha=0.75, lw=0)
    bar = Rectangle((0.97 - fraction, 0.035), fraction, 0.018, color=INK, lw=0)
    for patch in (ground, bar):
        patch.set_transform(axes.transAxes)
        axes.add_patch(patch)
    text = amount(f"{length:g}", unit)
    axes.text(
        0.97 - fraction / 2, 0.06, text, ha="center", va="bottom", fontsize=8, color=INK, transform=axes.transAxes
    )


def round_length(value: float) -> float:
    """Return 1, 2, 5 or 10 times a power of ten, the nearest to a value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * min((1, 2, 5, 10), key=lambda step: abs(step * power - value)))


def map_axes(axes: Axes, unit: str) -> None:
    """Give axes without an image the look of one: equal scales, y downwards, lengths in `unit`."""
    axes.set_aspect("equal")
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    _label_lengths(axes, unit)


def _label_lengths(axes: Axes, unit: str) -> None:
    axes.set(xlabel=quantity("x", unit), ylabel=quantity("y", unit))
    axes.ticklabel_format(style="plain", useOffset=False)
    # With no factor above the axes, matplotlib needn't measure all ticks, their own and those of bars beside them, once
    # more to keep the title clear of it.
    axes.set_title("", y=1.0)


def extent(frame: ImageFrame, window: tuple[slice, slice] | None = None) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of an image or of some rows and columns of it.

    Pixel centres lie at offset + index × pixel size.
    """
    (dy, dx), (oy, ox) = frame.pixel_size, frame.offset
    rows, columns = window or (slice(0, frame.pixels.shape[0]), slice(0, frame.pixels.shape[1]))
    left, right = (ox + (edge - 0.5) * dx for edge in (columns.start, columns.stop))
    top, bottom = (oy + (edge - 0.5) * dy for edge in (rows.start, rows.stop))
    return left, right, bottom, top


def legend_below(axes: Axes, *entries: Any, **options: Any) -> None:
    """Write the legend below axes, clear of their ticks and label, whatever their height."""
    figure: Any = axes.figure
    below = offset_copy(axes.transAxes, fig=figure, y=-36, units="points")
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below, "borderaxespad": 0, "ncols": 3}
    axes.legend(*entries, **(place | options))


def value_bar(axes: Axes, drawn: Any, **options: Any) -> None:
    """Draw the colours of an image or map beside its axes, as high as they are, whatever their shape."""
    place = axes.inset_axes((1.02, 0.0, 0.035, 1.0), label="<colorbar>")
    figure: Any = axes.figure
    figure.colorbar(drawn, cax=place, **options)


def height_over(y: Array, x: Array, width: float) -> float:
    """Return the height in inches, with an inch for labels, of axes of that width which places fill."""
    if y.size < 2:
        return width + 1.0
    return float(np.clip(width * np.ptp(y) / max(np.ptp(x), 1e-12), 0.25 * width, 1.6 * width)) + 1.0


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
    colour = np.array(wheel()((degrees / 360.0 + 0.5) % 1.0)[:3])
    red, green, blue = 1.0 - (1.0 - colour) / (1 + paler)
    return float(red), float(green), float(blue)


def arrows(axes: Axes, y: Array, x: Array, u: Array, v: Array, *, typical: float, thinnest: float = 0.003) -> Any:
    """Draw displacements (u to the right, v downwards) in the colours of their directions.

    An arrow of the length `typical` is as long as the distance between neighbours, and a twelfth as thick, but no
    thinner than this part of the axes.
    """
    reach = max(float(np.ptp(x)), 1e-12) if np.size(x) else 1.0
    width = float(np.clip(spacing(y, x) / reach / 12.0, thinnest, 2.0 * thinnest))
    return axes.quiver(
        x, y, u, v, np.arctan2(-v, u), cmap=wheel(), clim=(-np.pi, np.pi), angles="xy", scale_units="xy",
        scale=typical / (1.1 * spacing(y, x)), width=width, headwidth=4, pivot="mid", edgecolor=INK, linewidth=0.35,
    )  # fmt: skip


def colour_wheel(axes: Axes, place: tuple[float, float, float, float]) -> None:
    """Draw the colour of every direction beside or into axes, at (left, bottom, width, height) in parts of them."""
    ring = axes.inset_axes(place, projection="polar")
    angle = np.linspace(-np.pi, np.pi, 181)
    middle = np.tile(0.5 * (angle[1:] + angle[:-1]), (1, 1))
    ring.pcolormesh(angle, [0.5, 1.0], middle, cmap=wheel(), vmin=-np.pi, vmax=np.pi)
    ring.set_axis_off()
    sides = ((0, "left", "center"), (90, "center", "bottom"), (180, "right", "center"), (-90, "center", "top"))
    for degrees, across, up in sides:
        ring.text(np.deg2rad(degrees), 1.12, f"{degrees}°".replace("-", "−"), ha=across, va=up, fontsize=6.5, color=INK)


@cache
def wheel() -> ListedColormap:
    """Return the colours of directions from -180 to 180 degree: a tilted circle in CIELAB.

    Equal turns look equal, and lightness tells opposite directions apart for those who don't see a hue: right is
    yellow, up light green, left blue, down dark red.
    """
    angle = np.linspace(-np.pi, np.pi, 257)[:-1] + np.pi / 256
    lightness = 58.0 + 20.0 * np.sin(angle) + 14.0 * np.cos(angle)
    lab = np.stack([lightness, 4.0 - 40.0 * np.sin(angle), 2.0 + 44.0 * np.cos(angle)], axis=-1)
    return ListedColormap(lab2rgb(lab))


def lattice_cells(axes: Axes, y: Array, x: Array, **look: Any) -> Any:
    """Draw a cell about each place, the Wigner-Seitz cell of the lattice that the places lie on."""
    # Edges in the colour of the face: no gap shines through.
    drawn = PolyCollection(list(cell_outlines(y, x)), linewidths=0.8, edgecolors="face", **look)
    axes.add_collection(drawn)
    axes.autoscale_view()
    return drawn


def cell_outlines(y: Array, x: Array) -> Array:
    """Return the corners (x, y) of the cell about each place, the Wigner-Seitz cell of the lattice that they lie on."""
    outline = (np.asarray(x) + 1j * np.asarray(y))[:, None] + _cell(y, x)
    return np.stack([outline.real, outline.imag], axis=-1)


def _cell(y: Array, x: Array) -> Array:
    """Return the corners x + iy of the cell of a lattice about the origin, in order of their angle."""
    from scipy.spatial import Voronoi

    a, b = _lattice(y, x)
    i, j = (steps.ravel() for steps in np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)))
    nodes = np.column_stack([(i * a + j * b).real, (i * a + j * b).imag])
    around = Voronoi(nodes)
    region = around.regions[around.point_region[np.flatnonzero((i == 0) & (j == 0))[0]]]
    corners = around.vertices[region] @ np.array([1, 1j])
    corners = corners[np.argsort(np.angle(corners))]
    # Of a rectangle two are there twice.
    distinct: Array = corners[np.abs(corners - np.roll(corners, 1)) > 1e-6 * abs(a)]
    return distinct


def _lattice(y: Array, x: Array) -> tuple[complex, complex]:
    """Return the shortest step x + iy that many places have to a neighbour, and the shortest across it."""
    from scipy.spatial import cKDTree

    n = min(y.size, _SEEN)
    if n < 4:
        side = spacing(y, x)
        return complex(side), 1j * side
    place = np.column_stack([x, y])
    near = cKDTree(place).query(place[:: max(1, y.size // n)], k=min(13, y.size))[1]
    steps = ((place[near[:, 1:]] - place[near[:, :1]]) @ np.array([1, 1j])).ravel()
    steps = np.where(steps.imag < 0, -steps, steps)
    a = _common(steps)
    across = steps[np.abs((steps * np.conj(a)).imag) > 0.5 * np.abs(steps) * abs(a)]
    return a, _common(across) if across.size else 1j * a


def _common(steps: Array) -> complex:
    """Return the shortest of steps that have a third as many others about them, of either sign, as any has."""
    seeds = steps[np.argsort(np.abs(steps))][:: max(1, steps.size // 100)]
    alike = np.minimum(np.abs(steps - seeds[:, None]), np.abs(steps + seeds[:, None])) < 0.15 * np.abs(seeds)[:, None]
    number = alike.sum(axis=1)
    found = complex(seeds[np.argmax(3 * number >= number.max())])
    for _ in range(3):
        about = steps * np.where((steps * np.conj(found)).real < 0, -1, 1)
        about = about[np.abs(about - found) < 0.2 * abs(found)]
        found = complex(np.median(about.real), np.median(about.imag))
    return found


def value_map(axes: Axes, places: xr.Dataset, values: xr.DataArray, *, signed: bool) -> None:
    """Draw a value of each cell or column as a cell of its colour, with a colour bar.

    Parameters
    ----------
    places
        `y` and `x` of each.
    values
        With `long_name` and `units`.
    signed
        The colours are those of a change, symmetric about zero.
    """
    values = in_pixels(values)
    y, x, shown = (np.asarray(array.values, dtype=float) for array in (places["y"], places["x"], values))
    good = np.isfinite(y) & np.isfinite(shown)
    map_axes(axes, str(places["y"].attrs["units"]))
    axes.set_title(quantity(str(values.attrs["long_name"]), str(values.attrs["units"])))
    y, x, shown = y[good], x[good], shown[good]
    low, high = np.percentile(shown, (1, 99)) if shown.size else (0.0, 1.0)
    if signed:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    drawn = lattice_cells(axes, y, x, array=shown, cmap="RdBu_r" if signed else "viridis", clim=(low, high))
    value_bar(axes, drawn)


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
    least = 1e-3 if unit == "pixel" else 1.0  # rounding isn't shown as if it were something
    reach = 1.08 * max(least, float(np.percentile(np.hypot(u, v), 99.5))) if u.size else 1.0
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    axes.set(xlabel=f"{quantity('u', unit)} (right)", ylabel=f"{quantity('v', unit)} (down)")
