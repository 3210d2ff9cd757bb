"""The numbers of a run that tell how its frames change, drawn frame after frame."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.figures.canvas import curve
from stemdask.figures.numbers import errors_of
from stemdask.figures.pixels import in_pixels
from stemdask.figures.style import frame_axis, new, style
from stemdask.results.shows import Part
from stemdask.results.views import Results
from stemdask.units import symbol


def parts(results: Results) -> list[Part]:
    """Return the part of the page, where the run has several frames and such numbers."""
    chosen = [v for step in results.steps for v in results.declared(step.name) if v.trend and v in results]
    if results.n_frames < 2 or not chosen:
        return []
    series = {variable.path: in_pixels(results.by_frame(variable)) for variable in chosen}
    errors = {v.path: in_pixels(results.by_frame(e)) for v in chosen if (e := errors_of(results, v)[0]) is not None}
    part = Part("Frame after frame")
    part.show("Numbers of each frame" + ("; bands: standard errors." if errors else "."), lambda: draw(series, errors))
    return [part]


def draw(series: dict[str, xr.DataArray], errors: dict[str, xr.DataArray]) -> Figure:
    """Draw each variable (frame) against the frame, one panel each, with a band of a standard error where it is known.

    Parameters
    ----------
    series
        Variables (frame) whose `long_name` and `units` label the panels; NaN leaves a gap.
    errors
        Standard errors, by the same names.
    """
    with style():
        figure, panels = new(7.0, 1.7 * len(series) + 0.6, len(series), 1, sharex=True, squeeze=False)
        for axes, (name, values) in zip(panels[:, 0], series.items(), strict=True):
            shown = np.asarray(values.values, dtype=float)
            curve(axes, np.arange(len(shown)), shown, errors[name].values if name in errors else None)
            axes.set(title=values.attrs["long_name"], ylabel=symbol(values.attrs["units"]))
            if not (shown < 0).any():
                axes.set_ylim(bottom=max(axes.get_ylim()[0], 0))  # a band below zero would mean nothing
        frame_axis(panels[-1, 0])
        figure.align_ylabels()
    return figure
