"""Charts beside the map: a histogram that is brushed, and numbers over the frames."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

import numpy as np
from bokeh.events import Reset, SelectionGeometry, Tap
from bokeh.models import BasicTicker, ColumnDataSource, FixedTicker, Range1d, Span
from bokeh.plotting import figure

from stemdask.figures.style import ACCENT, INK, MUTED
from stemdask.kernels.arrays import Array, Floats
from stemdask.results.blocks import Stored
from stemdask.view.colours import MOST_INTEGERS, Scale
from stemdask.view.reading import label

#: Kinds of which each is named below its bar.
_NAMED = 16
#: Letters of a line of the label below the bars, which is as wide as the chart.
_LETTERS = 55
_DRAWN = ("value", "low", "high")


def plain(**options: object) -> figure:
    """Return a chart with the look of the figures."""
    chart = figure(**{"sizing_mode": "stretch_width", "toolbar_location": None, "min_border_right": 12} | options)
    chart.outline_line_color = None
    chart.grid.grid_line_color = "#ececec"
    chart.axis.axis_line_color = chart.axis.major_tick_line_color = INK
    chart.axis.minor_tick_line_color = None
    chart.axis.axis_label_text_font_style = "normal"
    chart.axis.major_label_text_font_size = chart.axis.axis_label_text_font_size = "12px"
    chart.axis.axis_label_text_color = chart.axis.major_label_text_color = INK
    return chart


class Histogram:
    """How the values of a property are distributed, in its colours; a range of them is chosen by dragging.

    Parameters
    ----------
    brushed
        Called with the ends of the range, or with None where it is given up.
    """

    def __init__(self, brushed: Callable[[tuple[float, float] | None], None]) -> None:
        self.chart = plain(
            height=190,
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            tools="xbox_select,reset,tap",
            active_drag="xbox_select",
            y_axis_label="number",
        )
        self._bars = ColumnDataSource({"left": [], "right": [], "top": [], "colour": []})
        bars = self.chart.quad(
            left="left", right="right", bottom=0, top="top", fill_color="colour", line_color=None, source=self._bars
        )
        bars.nonselection_glyph = bars.selection_glyph = None
        self._chosen = self.chart.quad(
            left=[0.0], right=[0.0], bottom=[0.0], top=[0.0], fill_color=ACCENT, fill_alpha=0.12, line_color=ACCENT
        )
        self._brushed = brushed
        self.chart.on_event(SelectionGeometry, self._select)
        self.chart.on_event(Tap, lambda event: brushed(None))
        self.chart.on_event(Reset, lambda event: brushed(None))

    def name(self, shown: Stored, scale: Scale) -> None:
        """Label the axis with a property."""
        (axis,) = self.chart.xaxis
        self.chart.x_range.start, self.chart.x_range.end = scale.low, scale.high
        axis.axis_label = "\n".join(wrap(label(shown), _LETTERS))
        kinds = shown.flags if scale.high - scale.low <= _NAMED else {}
        if scale.whole and scale.high - scale.low <= _NAMED:
            axis.ticker = FixedTicker(ticks=list(range(int(scale.low + 0.5), int(scale.high + 0.5))))
        else:
            axis.ticker = BasicTicker()
        axis.major_label_overrides = {value: word.replace("_", " ") for value, word in kinds.items()}
        long = sum(len(word) for value, word in kinds.items() if scale.low < value < scale.high) > 40
        axis.major_label_orientation = 0.7 if long else "horizontal"

    def draw(self, scale: Scale, values: Array, chosen: tuple[float, float] | None) -> None:
        """Draw the values of a frame, and the range that is chosen."""
        edges, top = scale.bars(), scale.counts(values)
        middles = 0.5 * (edges[1:] + edges[:-1])
        if scale.whole and scale.high - scale.low <= MOST_INTEGERS:
            middles = np.round(middles)
        colour = ["#{:02x}{:02x}{:02x}".format(*rgba[:3]) for rgba in scale.colours(middles)]
        self._bars.data = {"left": edges[:-1], "right": edges[1:], "top": top, "colour": colour}
        self.chart.y_range.end = 1.08 * max(1, int(top.max(initial=0)))
        low, high = chosen or (0.0, 0.0)
        self._chosen.data_source.data = {"left": [low], "right": [high], "bottom": [0], "top": [self.chart.y_range.end]}
        self._chosen.visible = chosen is not None

    def _select(self, event: SelectionGeometry) -> None:
        if event.final and event.geometry["type"] == "rect":
            low, high = sorted((event.geometry["x0"], event.geometry["x1"]))
            self._brushed((low, high))


class OverFrames:
    """A number over the frames; a click goes to a frame.

    Parameters
    ----------
    n_frames
        Number of frames.
    went
        Called with the frame that was clicked.
    """

    def __init__(self, n_frames: int, went: Callable[[int], None]) -> None:
        beside = 0.5 + 0.05 * (n_frames - 1)
        # Ranges of numbers, not those that Bokeh finds from the data: a series begins without a finite value.
        self.chart = plain(
            height=170, tools="xpan,xwheel_zoom,reset,tap", active_scroll="xwheel_zoom", x_axis_label="frame",
            x_range=Range1d(-beside, n_frames - 1 + beside), y_range=Range1d(0, 1),
        )  # fmt: skip
        self.text = ""
        self.values, self.errors = np.zeros(n_frames), np.zeros(n_frames)
        self._points = ColumnDataSource({"frame": np.arange(n_frames)} | dict.fromkeys(_DRAWN, self.values))
        self.chart.segment("frame", "low", "frame", "high", color=ACCENT, alpha=0.35, source=self._points)
        line = self.chart.line("frame", "value", color=ACCENT, alpha=0.6, source=self._points)
        dots = self.chart.scatter("frame", "value", color=ACCENT, size=4, source=self._points)
        for drawn in (line, dots):
            drawn.nonselection_glyph = drawn.selection_glyph = None
        self._here = Span(location=0, dimension="height", line_color=MUTED, line_dash="dashed")
        self.chart.add_layout(self._here)
        self.chart.on_event(Tap, lambda event: went(round(event.x)))

    def draw(self, text: str, values: Floats, errors: Floats | None = None) -> None:
        """Draw the values (frame,) with their standard errors, where there are any."""
        self.text, self.values = text, values
        self.errors = np.zeros(len(values)) if errors is None else errors
        reach = np.nan_to_num(self.errors)
        frame = self._points.data["frame"]
        low, high = values - reach, values + reach
        self._points.data = {"frame": frame, "value": values, "low": low, "high": high}
        self._show(low[np.isfinite(low)], high[np.isfinite(high)], 100.0 if text.endswith("/ %") else None)
        self.chart.yaxis[0].axis_label = text

    def mark(self, frame: int) -> None:
        """Mark the frame that is shown."""
        self._here.location = frame

    def _show(self, low: Floats, high: Floats, limit: float | None) -> None:
        """Let the chart reach from the lowest to the highest of finite values, and hardly past what has no more.

        It reaches as far as before where there is no value.
        """
        if low.size == 0 or high.size == 0:
            return
        bottom, top = float(low.min()), float(high.max())
        beside = 0.08 * (top - bottom) or 0.1 * abs(top) or 1.0
        above = top + beside
        if limit is not None and top <= limit:
            above = min(above, limit + 0.02 * (limit - bottom + beside))  # a point on the limit is seen whole
        y = self.chart.y_range
        y.start, y.end = y.reset_start, y.reset_end = bottom - beside, above
