"""The error of the scan, line by line."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.columns import scan_distortion
from stemdask.figures.canvas import curve
from stemdask.figures.numbers import number
from stemdask.figures.pixels import in_pixels
from stemdask.figures.style import ACCENT, INK, SUBLATTICES, new, quantity, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results

_GROUP = scan_distortion.ROW[0].shift.group


def lines(found: xr.Dataset) -> Figure:
    """Draw the shift of each row, and of each place along a row, with their errors.

    Parameters
    ----------
    found
        ``/scan_distortion`` of one frame: `row_y`, `row_x` (y) and `flyback_y`, `flyback_x` (x), with their errors.
    """
    found = in_pixels(found)
    with style():
        figure, panels = new(7.0, 4.8, 2, 1)
        for axes, shifts, title, label in (
            (panels[0], scan_distortion.ROW, "Shift of each row", "row / px"),
            (panels[1], scan_distortion.FLYBACK, "Shift of each place along a row", "x / px"),
        ):
            axes.axhline(0, color=INK, lw=0.6)
            for name, shift, colour in zip(("y (down)", "x"), shifts, (SUBLATTICES[1], ACCENT), strict=True):
                values = found[shift.shift.name]
                place = np.arange(values.size)
                curve(axes, place, values.values, found[shift.error.name].values, color=colour, label=name, marker=None)
            axes.set(title=title, xlabel=label, ylabel=quantity("shift", str(values.attrs["units"])))
        panels[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_scan_distortion(results: Results, frame: int = 0) -> Figure:
    """Draw the error of the scan of a frame."""
    return lines(results.at(_GROUP, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State how large the error of the scan is, and show it."""
    part = Part(f"Error of the scan in frame {frame}")
    for words, shifts in (("rows", scan_distortion.ROW), ("places along a row", scan_distortion.FLYBACK)):
        for axis, shift in zip("yx", shifts, strict=True):
            part.rows.append((f"RMS shift of {words} along {axis}", number(results.read(shift.rms, frame), 3)))
    params = results.params("scan_distortion")
    removed = isinstance(params, scan_distortion.ScanDistortionParams) and params.remove
    part.sentences.append(
        "It is taken out of displacement and strain; the columns stay as measured."
        if removed
        else "Nothing is taken out of the positions."
    )
    part.show(
        "Lines that were shifted as a whole; bands: standard errors.", lambda: plot_scan_distortion(results, frame)
    )
    return [part]


SHOWS = Shows(parts, {"scan_distortion": plot_scan_distortion})
