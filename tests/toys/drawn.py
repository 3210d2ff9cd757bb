"""What the tests of figures share: whether a figure shows data, and what it says."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Part of the pixels that the data of a figure must change at least.
LEAST = 5e-4


def assert_drawn(figure: Figure) -> None:
    """Fail where a figure looks the same, or nearly so, without its data: axes, ticks and titles aren't data."""
    share = share_drawn(figure)
    assert share > LEAST, f"the data change {100 * share:.3f} % of the figure"


def share_drawn(figure: Figure) -> float:
    """Return the part of the pixels that the data of a figure change."""
    dpi, layout = figure.dpi, figure.get_layout_engine()
    figure.set_dpi(50)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")  # so that nothing moves where something isn't drawn
    whole = _pixels(canvas)
    data = [artist for axes in figure.axes for artist in _data_of(axes) if artist.get_visible()]
    for artist in data:
        artist.set_visible(False)
    bare = _pixels(canvas)
    for artist in data:
        artist.set_visible(True)
    figure.set_layout_engine(layout)
    figure.set_dpi(dpi)
    return float((whole != bare).any(axis=-1).mean())


def bars(axes: Axes) -> list[list[float]]:
    """Return the heights of the bars, group by group."""
    return [[bar.get_height() for bar in group] for group in axes.containers]


def texts(figure: Figure) -> str:
    """Return all words inside the axes."""
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def legend(axes: Axes) -> list[str]:
    """Return the entries of the legend."""
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def title(axes: Axes) -> str:
    """Return the title; it stands on the left in the look of the project."""
    return str(axes.get_title(loc="left") or axes.get_title())


def _data_of(axes: Axes) -> list[Artist]:
    if axes.get_label() == "<colorbar>":
        return []
    lines = [line for line in axes.lines if line.get_transform() is axes.transData]  # no line across the axes
    return [*lines, *axes.collections, *axes.images, *axes.patches]


def _pixels(canvas: FigureCanvasAgg) -> np.ndarray:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()
