"""Figures of the image half: columns over their image, displacements as arrows and as distributions."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stemdask.figures.style import INK, MUTED, SUBLATTICES, new, style
from stemdask.model import Array, ImageFrame


def overlay(frame: ImageFrame, columns: xr.Dataset) -> Figure:
    """Draw the found columns over their image.

    Parameters
    ----------
    frame
        The image.
    columns
        ``/columns`` of one frame: `y` and `x` (column) in nm, and `sublattice` where there is one.
    """
    y, x = columns["y"].values, columns["x"].values
    kind = columns["sublattice"].values if "sublattice" in columns else np.zeros(y.size, int)
    with style():
        figure, axes = new(7.0, _height(frame, 7.0))
        _show(axes, frame)
        size = _marker(frame, y, x)
        for value in np.unique(kind[np.isfinite(y)]):
            chosen = (kind == value) & np.isfinite(y)
            name = f"{_letter(value)}: {chosen.sum()}"
            colour = SUBLATTICES[value % len(SUBLATTICES)] if value >= 0 else MUTED
            axes.scatter(x[chosen], y[chosen], s=size, facecolors="none", edgecolors=colour, linewidths=1, label=name)
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.06), ncols=5, borderaxespad=0)
        axes.set_title(f"Columns found: {int(np.isfinite(y).sum())}")
    return figure


def quiver(displacement: xr.Dataset, frame: ImageFrame | None = None) -> Figure:
    """Draw the displacement vectors, coloured by direction, over their image where it is given.

    Parameters
    ----------
    displacement
        ``/displacement`` of one frame: `y`, `x` in nm, `u`, `v` in pm (v downwards), `significant` where there is one.
    frame
        The image, drawn faintly below.
    """
    data = _finite(displacement, "y", "x", "u", "v")
    y, x, u, v = (data[name].values for name in ("y", "x", "u", "v"))
    with style():
        figure, axes = new(7.0, _height(frame, 7.0) if frame is not None else 6.2)
        if frame is not None:
            _show(axes, frame, faint=True)
        else:
            axes.set_aspect("equal")
            axes.invert_yaxis()
            axes.set(xlabel="x / nm", ylabel="y / nm")
        if u.size:
            magnitude = np.hypot(u, v)
            typical = float(np.percentile(magnitude, 90)) or 1.0
            scale = typical / (1.1 * _spacing(y, x))
            arrows = axes.quiver(
                x, y, u, v, np.arctan2(-v, u), cmap="hsv", clim=(-np.pi, np.pi), angles="xy",
                scale_units="xy", scale=scale, width=0.0028, headwidth=4, pivot="mid",
            )  # fmt: skip
            key = _round(typical)
            axes.quiverkey(arrows, 0.9, 1.03, key, f"{key:g} {_pm(displacement)}", labelpos="E", coordinates="axes")
            _wheel(axes)
            axes.set_title(f"Displacement, median {np.median(magnitude):.1f} {_pm(displacement)}")
        else:
            axes.set_title("Displacement: no cell found")
    return figure


def distribution(displacement: xr.Dataset) -> Figure:
    """Draw u against v of all vectors, and the distribution of their magnitudes beside what noise alone would give."""
    data = _finite(displacement, "u", "v")
    u, v = data["u"].values, data["v"].values
    unit = _pm(displacement)
    with style():
        figure, (left, right) = new(8.0, 3.6, 1, 2)
        left.axhline(0, color=MUTED, lw=0.6)
        left.axvline(0, color=MUTED, lw=0.6)
        left.scatter(u, v, s=5, c=SUBLATTICES[1], alpha=0.5, linewidths=0)
        reach = 1.05 * max(1.0, float(np.percentile(np.hypot(u, v), 99.5))) if u.size else 1.0
        left.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
        left.set(xlabel=f"u / {unit} (right)", ylabel=f"v / {unit} (down)", title=f"{u.size} vectors")
        right.hist(np.hypot(u, v), bins=50, range=(0, reach), color=SUBLATTICES[1], alpha=0.75, label="found")
        if "u_err" in data and u.size:
            sigma = float(np.nanmedian(np.sqrt(0.5 * (data["u_err"].values ** 2 + data["v_err"].values ** 2))))
            r = np.linspace(0, reach, 300)
            noise = u.size * (reach / 50) * r / sigma**2 * np.exp(-0.5 * (r / sigma) ** 2)
            right.plot(r, noise, color=INK, lw=1, label=f"noise alone, σ = {sigma:.1f} {unit}")
            right.set_ylim(0, 1.15 * max(patch.get_height() for patch in right.patches))
            right.legend()
        right.set(xlabel=f"magnitude / {unit}", ylabel="vectors", title="Magnitude")
    return figure


def residual(frame: ImageFrame, model: Array) -> Figure:
    """Draw image, model and their difference in one grey scale; the difference has its own, symmetric about zero."""
    with style():
        figure, panels = new(10.5, 3.9, 1, 3, sharex=True, sharey=True)
        low, high = np.nanpercentile(frame.pixels, (0.5, 99.5))
        for axes, pixels, title in zip(panels[:2], (frame.pixels, model), ("image", "model"), strict=True):
            axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, extent=_extent(frame))
            axes.set_title(title)
        difference = frame.pixels - model
        reach = float(np.nanpercentile(np.abs(difference), 99.5)) or 1.0
        shown = panels[2].imshow(difference, cmap="RdBu_r", vmin=-reach, vmax=reach, extent=_extent(frame))
        figure.colorbar(shown, ax=panels[2], shrink=0.8)
        panels[2].set_title("image − model")
    return figure


def _show(axes: Axes, frame: ImageFrame, *, faint: bool = False) -> None:
    low, high = np.nanpercentile(frame.pixels, (0.5, 99.8)) if np.isfinite(frame.pixels).any() else (0, 1)
    alpha = 0.45 if faint else 1.0
    axes.imshow(frame.pixels, cmap="gray", vmin=low, vmax=high, extent=_extent(frame), alpha=alpha)
    axes.set(xlabel="x / nm", ylabel="y / nm")


def _extent(frame: ImageFrame) -> tuple[float, float, float, float]:
    """Left, right, bottom, top in nm; pixel centres lie at offset + index × pixel size."""
    (ny, nx), (dy, dx), (oy, ox) = frame.pixels.shape, frame.pixel_size, frame.offset
    return ox - dx / 2, ox + (nx - 0.5) * dx, oy + (ny - 0.5) * dy, oy - dy / 2


def _height(frame: ImageFrame, width: float) -> float:
    (ny, nx), (dy, dx) = frame.pixels.shape, frame.pixel_size
    return float(np.clip(width * ny * dy / (nx * dx), 2.0, 11.0)) + 0.5


def _spacing(y: Array, x: Array) -> float:
    """Median distance between nearest neighbours."""
    from scipy.spatial import cKDTree

    if y.size < 2:
        return 1.0
    distances = cKDTree(np.column_stack([y, x])).query(np.column_stack([y, x]), k=2)[0][:, 1]
    return float(np.median(distances)) or 1.0


def _marker(frame: ImageFrame, y: Array, x: Array) -> float:
    """Area of a marker, in points squared, of about half the spacing."""
    good = np.isfinite(y)
    points = 7.0 * 72 * 0.5 * _spacing(y[good], x[good]) / (frame.pixels.shape[1] * frame.pixel_size[1])
    return float(np.clip(points, 2, 14)) ** 2


def _wheel(axes: Axes) -> None:
    """Draw the colour of every direction, beside the image."""
    wheel = axes.inset_axes((1.015, 0.0, 0.11, 0.11), projection="polar")
    angle = np.linspace(-np.pi, np.pi, 181)
    wheel.pcolormesh(angle, [0.45, 1.0], np.tile(0.5 * (angle[1:] + angle[:-1]), (1, 1)), cmap="hsv")
    wheel.set_axis_off()


def _finite(dataset: xr.Dataset, *names: str) -> xr.Dataset:
    good = np.logical_and.reduce([np.isfinite(dataset[name].values) for name in names])
    flat = {name: dataset[name].values[good] for name in dataset if dataset[name].shape == good.shape}
    return xr.Dataset({str(name): ("vector", values) for name, values in flat.items()})


def _pm(dataset: xr.Dataset) -> str:
    return str(dataset["u"].attrs.get("units", "pm"))


def _letter(value: int) -> str:
    return "no sublattice" if value < 0 else "ABCDEFGH"[value]


def _round(value: float) -> float:
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * min((1, 2, 5, 10), key=lambda step: abs(step * power - value)))
