"""Registration: the drift of a stack with its errors, and the average of the aligned frames."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.stack import registration
from stemdask.figures.canvas import curve, extent, value_bar
from stemdask.figures.style import ACCENT, INK, SUBLATTICES, frame_axis, new, quantity, style
from stemdask.model import ImageFrame
from stemdask.results.shows import Doubt, Method, Part, Shows
from stemdask.results.views import Results


def drift(found: xr.Dataset) -> Figure:
    """Draw the drift along x and y with its errors, and how well each frame correlates, frame after frame.

    Parameters
    ----------
    found
        ``/registration``: `shift_y`, `shift_x`, their errors, `quality` and `flag` (frame), `usual_quality`.
    """
    frames = np.arange(found.sizes["frame"])
    shifts = (
        ("x", registration.SHIFT_X, registration.SHIFT_X_ERR, ACCENT),
        ("y (down)", registration.SHIFT_Y, registration.SHIFT_Y_ERR, SUBLATTICES[1]),
    )
    used = found[registration.FLAG.name].values == registration.REGISTERED
    with style():
        figure, (above, below) = new(7.0, 4.6, 2, 1, sharex=True, height_ratios=(2, 1))
        for name, shift, error, colour in shifts:
            values = np.where(used, found[shift.name].values, np.nan)
            curve(above, frames, values, found[error.name].values, color=colour, label=name)
        units = str(found[registration.SHIFT_X.name].attrs["units"])
        above.set(ylabel=quantity("drift", units), title="Drift of the specimen")
        above.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        quality = found[registration.QUALITY.name].values
        curve(below, frames, np.where(used, quality, np.nan), color=INK)
        look = {"color": SUBLATTICES[1], "clip_on": False, "zorder": 3}
        below.plot(frames[~used], np.nan_to_num(quality[~used]), "x", label="not used", **look)
        if not used.all():
            below.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        below.set(ylabel="correlation", ylim=(0, 1.05))
        frame_axis(below)
    return figure


def average(found: xr.Dataset, frame: ImageFrame | None = None) -> Figure:
    """Draw the average of the aligned frames, and the standard deviation about it.

    Parameters
    ----------
    found
        ``/registration``: `average`, `variance`, `coverage` (y, x).
    frame
        An image of the stack, whose pixel size the axes have; without it they count pixels.
    """
    unit = "nm" if frame is not None and frame.calibrated else "pixel"
    shown_at = None if frame is None else extent(frame)
    deviation = np.sqrt(np.maximum(found[registration.VARIANCE.name].values, 0))  # which rounding takes below zero
    images = ((found[registration.AVERAGE.name].values, "average"), (deviation, "standard deviation"))
    with style():
        ny, nx = deviation.shape
        figure, panels = new(9.0, float(np.clip(3.6 * ny / nx, 1.2, 6.0)) + 1.0, 1, 2, sharex=True, sharey=True)
        for axes, (pixels, title) in zip(panels, images, strict=True):
            low, high = np.nanpercentile(pixels, (0.5, 99.8)) if np.isfinite(pixels).any() else (0, 1)
            shown = axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, extent=shown_at)
            n_frames = int(found[registration.COVERAGE.name].max())
            axes.set(title=f"{title} of {n_frames} frames", xlabel=quantity("x", unit))
            value_bar(axes, shown, label="intensity")
        panels[0].set_ylabel(quantity("y", unit))
    return figure


def plot_drift(results: Results) -> Figure:
    """Draw the drift of the stack."""
    return drift(results.whole(registration.FLAG.group))


def plot_average(results: Results) -> Figure:
    """Draw the average of the aligned frames; raise StoreError where the run made none."""
    results.read(registration.AVERAGE)
    return average(results.whole(registration.FLAG.group), results.image(int(results.good()[0])))


def parts(results: Results, frame: int) -> list[Part]:
    """Count the frames by what they are, and show their drift and their average."""
    found = results.whole(registration.FLAG.group)
    flags = found[registration.FLAG.name].values
    rows = [(f"frames: {text}", str(int((flags == value).sum()))) for value, text in registration.FLAGS.items()]
    part = Part("Registration", rows=[(text, count) for text, count in rows if count != "0"])
    part.show("Drift of the specimen; bands: standard errors.", lambda: drift(found))
    if registration.AVERAGE in results:
        part.show("What the aligned frames have in common, and how they differ.", lambda: plot_average(results))
    return [part]


def doubts(results: Results) -> list[Doubt]:
    """Return the frames whose drift isn't known."""
    if registration.FLAG not in results:  # it comes once all frames are done
        return []
    flags = results.read(registration.FLAG).values
    return [
        Doubt(f"drift: {text}", flags == flag)
        for flag, text in registration.FLAGS.items()
        if flag != registration.REGISTERED
    ]


def method(params: registration.RegistrationParams) -> Method:
    """Say how frames were aligned."""
    return Method(
        f"The drift of the frames was measured by cross-correlation, in which shifts by whole lattice vectors were "
        f"told apart (reference: {params.reference}; mode: {params.mode})."
    )


SHOWS = Shows(parts, {"drift": plot_drift, "average": plot_average}, doubts=doubts, method=method)
