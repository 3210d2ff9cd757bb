"""Several frames in one figure: beside each other on shared axes where there are few, as a map where there are many."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stemdask.figures.style import frame_axis, new, style
from stemdask.kernels.arrays import Floats
from stemdask.results.views import Results

#: Frames that are drawn beside each other at most.
BESIDE = 6


def beside(results: Results) -> list[int]:
    """Return the frames that are drawn beside each other: all that have results, or of many some, evenly."""
    good = results.good()
    kept = np.linspace(0, len(good) - 1, min(BESIDE, len(good))).round().astype(int)
    return [int(good[k]) for k in kept]


def frame_map(place: Floats, values: Floats, ylabel: str, label: str) -> Figure:
    """Draw a function of each frame as a column of colours.

    Parameters
    ----------
    place
        (n,), where the function is known, evenly spaced.
    values
        (frame, n); NaN is left white.
    ylabel
        What `place` is.
    label
        What the colours say.
    """
    half = 0.5 * (place[1] - place[0]) if place.size > 1 else 0.5
    known = values[np.isfinite(values)]
    with style():
        figure, axes = new(7.4, 3.8)
        shown = axes.imshow(
            values.T,
            aspect="auto",
            origin="lower",
            cmap="viridis",
            vmin=0,
            vmax=(float(np.percentile(known, 99.5)) if known.size else 1.0) or 1.0,
            extent=(-0.5, len(values) - 0.5, place[0] - half, place[-1] + half),
        )
        frame_axis(axes)
        axes.set_ylabel(ylabel)
        axes.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
        figure.colorbar(shown, ax=axes, label=label, pad=0.01)
    return figure
