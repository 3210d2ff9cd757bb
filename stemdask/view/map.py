"""The map of a frame: its image, columns or cells in the colours of a property, and displacements as arrows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from bokeh.events import RangesUpdate, Reset, Tap
from bokeh.models import ColumnDataSource, CustomJS, LinearColorMapper, Range1d
from bokeh.palettes import Greys256

from stemdask.figures.canvas import cell_outlines, extent, spacing, wheel
from stemdask.figures.style import INK, MUTED, quantity
from stemdask.kernels.arrays import Array, Booleans, Floats
from stemdask.model import ImageFrame
from stemdask.view.charts import plain
from stemdask.view.colours import Colours
from stemdask.view.picture import MOST, picture

#: Of what isn't chosen.
_FAINT = 0.12
#: A missing pixel is transparent.
_GREYS = ("#ffffff00", *Greys256[1:])
#: Keeps lengths along x and y equal, and all in sight that was, whatever the shape of the window is.
_EQUAL = """
const scale = Math.max((x.end - x.start) / map.inner_width, (y.start - y.end) / map.inner_height);
if (isFinite(scale) && scale > 0) {
  const [across, down] = [0.5 * (x.start + x.end), 0.5 * (y.start + y.end)];
  const [wide, high] = [0.5 * scale * map.inner_width, 0.5 * scale * map.inner_height];
  x.setv({start: across - wide, end: across + wide});
  y.setv({start: down + high, end: down - high});
}
"""


class Map:
    """Draws into one Bokeh figure, whose zoom stays when the frame changes.

    Parameters
    ----------
    clicked
        Called with y and x of a click.
    moved
        Called when another part of the map is seen.
    unit
        Of the lengths.
    height
        Of the figure, dots of the screen.
    """

    def __init__(
        self,
        clicked: Callable[[float, float], None],
        moved: Callable[[], None],
        unit: str,
        height: int,
    ) -> None:
        self.chart = plain(
            height=height, tools="pan,wheel_zoom,box_zoom,reset,save", active_scroll="wheel_zoom",
            x_range=Range1d(0, 1), y_range=Range1d(1, 0), x_axis_label=quantity("x", unit),
            y_axis_label=quantity("y", unit),
        )  # fmt: skip
        self.chart.toolbar_location = "above"
        self.chart.toolbar.logo = None
        self.chart.grid.grid_line_color = None
        self._spanned = False
        self._image: ImageFrame | None = None
        self._picture = ColumnDataSource({"levels": [], "x": [], "y": [], "dw": [], "dh": []})
        mapper = LinearColorMapper(palette=_GREYS, low=-0.5, high=255.5)
        self.chart.image("levels", "x", "y", "dw", "dh", color_mapper=mapper, source=self._picture)
        place: dict[str, Array] = {
            "x": np.zeros(0),
            "y": np.zeros(0),
            "colour": np.zeros(0, np.uint32),
            "alpha": np.zeros(0),
        }
        self._rings, self._crosses = (ColumnDataSource(place) for _ in range(2))
        self._cells = ColumnDataSource({"xs": [], "ys": [], "colour": [], "alpha": []})
        self._circles = [
            self.chart.circle(
                "x", "y", radius=1.0, fill_color=None, line_color=colour, line_alpha="alpha", line_width=width,
                source=self._rings,
            )
            for colour, width in (("white", 2.6), ("colour", 1.4))  # seen on black and on white
        ]  # fmt: skip
        self.chart.patches("xs", "ys", fill_color="colour", fill_alpha="alpha", line_color=None, source=self._cells)
        self.chart.scatter("x", "y", marker="x", size=8, line_width=2, color=MUTED, alpha="alpha", source=self._crosses)
        self._shafts = ColumnDataSource({"x0": [], "y0": [], "x1": [], "y1": [], "turned": [], "colour": []})
        for colour, width in ((INK, 2.4), ("colour", 1.4)):
            self.chart.segment("x0", "y0", "x1", "y1", line_color=colour, line_width=width, source=self._shafts)
        self.chart.scatter(
            "x1", "y1", marker="triangle", size=6, angle="turned", fill_color="colour", line_color=INK, line_width=0.7,
            source=self._shafts,
        )  # fmt: skip
        self._picked = ColumnDataSource({"x": [], "y": []})
        for colour, width in (("white", 5), (INK, 2)):
            self.chart.scatter(
                "x", "y", marker="circle", size=22, fill_color=None, line_color=colour, line_width=width,
                source=self._picked,
            )  # fmt: skip
        equal = CustomJS(args={"map": self.chart, "x": self.chart.x_range, "y": self.chart.y_range}, code=_EQUAL)
        for name in ("inner_width", "inner_height"):
            self.chart.js_on_change(name, equal)
        self.chart.js_on_event(Reset, equal)
        self.chart.on_event(Tap, lambda event: clicked(event.y, event.x))
        self.chart.on_event(RangesUpdate, lambda event: self._move(moved))

    def draw_image(self, image: ImageFrame | None) -> None:
        """Draw the image of a frame, as much of it as is seen."""
        self._image = image
        if image is None:
            self._picture.data = {name: [] for name in ("levels", "x", "y", "dw", "dh")}
            return
        if not self._spanned:
            left, right, bottom, top = extent(image)
            self.span(left, right, top, bottom)
        self.draw_seen()

    def draw_seen(self) -> None:
        """Draw the part of the image that is seen again, in as many pixels as the screen has."""
        if self._image is None:
            return
        x, y = self.chart.x_range, self.chart.y_range
        seen = picture(self._image, (x.start, x.end, y.end, y.start) if max(self._image.pixels.shape) > MOST else None)
        self._picture.data = {
            "levels": [seen.levels], "x": [seen.left], "y": [seen.top], "dw": [seen.width], "dh": [seen.height],
        }  # fmt: skip

    def draw_things(self, where: Floats, colours: Colours, usable: Booleans, chosen: Booleans, *, filled: bool) -> None:
        """Draw columns as rings, or cells as those of the lattice that they lie on.

        Parameters
        ----------
        where
            (n, 2), y and x; NaN isn't drawn.
        colours
            (n, 4).
        usable
            (n,), False: a grey cross.
        chosen
            (n,), False: faint.
        filled
            Whether they are cells.
        """
        there = np.isfinite(where).all(axis=1)
        if there.sum() > 1:
            apart = spacing(*where[there].T)
            for circle in self._circles:
                circle.glyph.radius = 0.22 * apart
            if not self._spanned:
                (top, left), (bottom, right) = where[there].min(axis=0) - apart, where[there].max(axis=0) + apart
                self.span(left, right, top, bottom)
        alpha = np.where(chosen, 0.75 if filled else 1.0, _FAINT)
        for source, which in ((self._rings, there & usable & (not filled)), (self._crosses, there & ~usable)):
            source.data = {
                "x": where[which, 1], "y": where[which, 0], "colour": _packed(colours[which]), "alpha": alpha[which],
            }  # fmt: skip
        which = usable[there] & filled
        outlines = cell_outlines(*where[there].T)[which] if which.any() else np.zeros((0, 4, 2))
        self._cells.data = {
            "xs": outlines[..., 0].tolist(), "ys": outlines[..., 1].tolist(),
            "colour": _packed(colours[there][which]), "alpha": alpha[there][which],
        }  # fmt: skip

    def draw_vectors(self, middles: Floats, arrows: Floats, typical: float) -> None:
        """Draw displacements in the colours of their directions; one of the length `typical` reaches a neighbour.

        Parameters
        ----------
        middles
            (n, 2), y and x.
        arrows
            (n, 2), u and v.
        typical
            A length of `arrows`.
        """
        scale = 1.1 * spacing(*middles.T) / typical if len(middles) > 1 else 1.0
        u, v = 0.5 * scale * arrows.T
        y, x = middles.T
        direction = np.arctan2(-v, u)
        colours = np.round(255 * wheel()(direction / (2 * np.pi) + 0.5)).astype(np.uint8)
        self._shafts.data = {
            "x0": x - u, "y0": y - v, "x1": x + u, "y1": y + v, "turned": direction - 0.5 * np.pi,
            "colour": _packed(colours),
        }  # fmt: skip

    def draw_picked(self, place: Floats | None) -> None:
        """Draw a ring about a place, y and x; none for None."""
        some = place is not None and bool(np.isfinite(place).all())
        self._picked.data = {"x": [place[1]], "y": [place[0]]} if place is not None and some else {"x": [], "y": []}

    def span(self, left: float, right: float, top: float, bottom: float) -> None:
        """Let the map show a region, and return to it when it is reset."""
        self._spanned = True
        x, y = self.chart.x_range, self.chart.y_range
        x.start, x.end, y.start, y.end = left, right, bottom, top
        x.reset_start, x.reset_end, y.reset_start, y.reset_end = left, right, bottom, top

    def _move(self, moved: Callable[[], None]) -> None:
        if self._image is not None and max(self._image.pixels.shape) > MOST:
            moved()


def _packed(colours: Colours) -> Array:
    """Return colours (n, 4) as Bokeh takes a column of them: 32 bits each."""
    return np.ascontiguousarray(colours).view(">u4").ravel().astype(np.uint32)
