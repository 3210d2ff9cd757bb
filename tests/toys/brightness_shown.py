"""What the toy analysis `brightness` shows."""

from __future__ import annotations

import brightness
import numpy as np
from matplotlib.figure import Figure

from stemdask.figures.canvas import curve
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import frame_axis, new, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


def plot_brightness(results: Results) -> Figure:
    values = results.by_frame(brightness.MEAN).values
    with style():
        figure, axes = new()
        curve(axes, np.arange(len(values)), values)
        frame_axis(axes)
    return figure


def parts(results: Results, frame: int) -> list[Part]:
    part = Part(f"Brightness of frame {frame}", rows=rows_of(results, "brightness", frame))
    part.show("Brightness, frame after frame.", lambda: plot_brightness(results))
    return [part]


SHOWS = Shows(parts, {"brightness": plot_brightness}, lambda results, frame: ["bright"])
