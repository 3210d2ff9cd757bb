"""The page of the viewer: what is chosen, and what is drawn of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn
from scipy.spatial import cKDTree

from stemdask.figures.style import quantity
from stemdask.kernels.arrays import Floats
from stemdask.model import FrameStatus
from stemdask.view import words
from stemdask.view.charts import Histogram, OverFrames
from stemdask.view.colours import Scale
from stemdask.view.components import FrameControl, Particle, Words
from stemdask.view.map import Map
from stemdask.view.reading import Frames, Part, Thing, Things, nearest

#: Milliseconds between two looks at a run that is followed, and after which a part of a large image is drawn again.
EVERY, _SETTLED = 2000, 120
#: Seconds for which a series is read while nothing else happens.
_PATIENCE = 0.2
_LETTERS = {"good": "g", "doubtful": "d", "failed": "f", "pending": "p"}
_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_WIDE = {"sizing_mode": "stretch_width"}
_TALL = 680


def in_notebook(store: Path) -> Any:
    """Return the viewer of a store for a notebook, which Panel is made ready for."""
    pn.extension(inline=True)  # nothing is loaded from the network
    return Page(Frames(store), alone=False).layout()


class Page:
    """A page in one browser.

    Parameters
    ----------
    frames
        What is seen.
    watch
        Follow the run, and show its newest frame.
    alone
        Whether nothing else is on the page.
    """

    def __init__(self, frames: Frames, *, watch: bool = False, alone: bool = True) -> None:
        self.frames = frames
        self._watch = watch
        self._picked: int | None = None
        self._thing: Thing | None = None
        self._parts: Iterator[Part] = iter(())
        self._brush: tuple[float, float] | None = None
        self._things: Things | None = None
        self._scale = Scale("values", 0.0, 1.0)
        self._arrow = 1.0
        self._dim = ""
        self._settling = False
        self._make_choices(alone)
        self._make_drawings()
        self._choose_colour()
        self._choose_arrows()
        self._choose_trend()
        self.draw()
        self._tell_state()
        for widget, changed in (
            (self.control, self.draw),
            (self.colour, self._new_colour),
            (self.arrows, self._new_arrows),
            (self.trend, self._choose_trend),
        ):
            widget.param.watch(lambda event, changed=changed: changed(), "value")

    def _make_choices(self, alone: bool) -> None:
        first = self.frames.last_done() if self._watch else int(np.argmax(self.frames.status == FrameStatus.OK))
        self.control = FrameControl(value=first, drawn=first, levels=self._levels(), whole_page=alone, **_WIDE)
        self.newest = pn.widgets.Checkbox(label="Show the newest frame", value=True, visible=self._watch)
        self.colour = pn.widgets.Select(label="Colour", **_WIDE)
        self.arrows = pn.widgets.Select(label="Arrows", **_WIDE)
        self.trend = pn.widgets.Select(label="Frame by frame", **_WIDE)
        self._offer()

    def _offer(self) -> None:
        """Offer what the store holds by now, and keep what was chosen."""
        groups: dict[str, dict[str, str]] = {}
        for stored in self.frames.properties:
            groups.setdefault(stored.group, {})[stored.name] = stored.path
        vectors = {"none": "", **{stored.group: stored.path for stored in self.frames.vectors_there()}}
        trends = {name: k for k, name in enumerate(self.frames.verdicts.columns)}
        first = self.frames.first_property()
        quality = next((k for name, k in trends.items() if name.startswith("measured")), 0)
        for widget, options, usual in (
            (self.colour, {"groups": groups}, first.path if first else None),
            (self.arrows, {"options": vectors}, list(vectors.values())[:2][-1]),
            (self.trend, {"options": trends}, quality),
        ):
            widget.param.update(value=usual if widget.value is None else widget.value, **options)
        self.arrows.visible = len(vectors) > 1

    def _make_drawings(self) -> None:
        look = {"stylesheets": [_STYLE], "margin": 0, **_WIDE}
        self.head, self.of_frame, self.key, self.count, self.values, self.failed = (Words(**look) for _ in range(6))
        self.histogram = Histogram(self._choose_range)
        self.series, self.trends = (OverFrames(self.frames.n_frames, self._go) for _ in range(2))
        self.panes = [
            pn.pane.Bokeh(drawn.chart, margin=0, **_WIDE) for drawn in (self.histogram, self.series, self.trends)
        ]
        # Hidden, not added on demand: what comes into a notebook later asks the network for its style.
        self.place_of_series = pn.Column(self.panes[1], visible=False, margin=0, **_WIDE)
        self.seen: Map | Particle
        if self.frames.kind == "atoms":
            self.seen = self.drawing = Particle(height=_TALL, **_WIDE)
            self.seen.param.watch(lambda event: self._pick(event.new[0] if event.new[0] >= 0 else None), "clicked")
        else:
            self.seen = Map(self._click, self._move, self.frames.unit(), _TALL)
            self.drawing = pn.pane.Bokeh(self.seen.chart, margin=0, **_WIDE)
            self.panes.append(self.drawing)

    def layout(self) -> Any:
        """Return the page as Panel shows it."""
        histogram, _, trends = self.panes[:3]
        left = pn.Column(self.drawing, self.key, styles={"flex": "3 1 30rem", "min-width": "0"})
        choices = pn.FlexBox(self.colour, self.arrows, flex_wrap="nowrap", gap="0.6rem", **_WIDE)
        right = pn.Column(
            choices, histogram, self.count, self.values, self.place_of_series, self.trend, trends, self.failed,
            styles={"flex": "2 1 22rem", "min-width": "0"},
        )  # fmt: skip
        if self._watch:
            pn.state.add_periodic_callback(self.follow, period=EVERY)
        return pn.Column(
            self.head,
            pn.FlexBox(
                self.control, self.newest, flex_wrap="nowrap", align_items="center", margin=(8, 0, 2, 0), **_WIDE
            ),
            self.of_frame,
            pn.FlexBox(left, right, align_items="flex-start", gap="1rem", **_WIDE),
            styles={"max-width": "112rem", "margin": "0 auto", "padding": "0.8rem"},
            **_WIDE,
        )

    def draw(self) -> None:
        """Draw the frame that is asked for."""
        frame, trouble = self.control.value, ""
        if frame != self.frames.last_done():
            self.newest.value = False
        if isinstance(self.seen, Map):
            image, trouble = self.frames.image(frame)
            self.seen.draw_image(image)
            self._draw_arrows()
        if self.colour.value:
            self._things = self.frames.things(self.frames.property(self.colour.value), frame)
        if self._thing is not None:
            (number,) = self._thing.find(slice(frame, frame + 1))
            self._picked = int(number) if number >= 0 else None
        elif frame != self.control.drawn:
            self._picked = None
        self._draw_things()
        self._tell_values()
        self.of_frame.object = words.of_frame(self.frames.verdicts.frames[frame], trouble)
        self.series.mark(frame)
        self.trends.mark(frame)
        self.control.drawn = frame
        self._push()

    def follow(self) -> None:
        """Look whether the run has come further."""
        if not self.frames.is_new():
            return
        nothing_yet = not self.frames.has_results()
        self.frames.refresh()
        self.control.levels = self._levels()
        self._offer()
        self._choose_trend()
        self._tell_state()
        if nothing_yet:
            self._choose_colour()
            self._choose_arrows()
        last = self.frames.last_done()
        if self.newest.value and last != self.control.value:
            self._go(last)
        else:
            self.draw()

    def _draw_things(self) -> None:
        """Draw the columns, cells or atoms of the frame, and how their values are distributed."""
        if self._things is None:
            return
        where, values, usable = self._things
        known = np.where(usable, values.astype(float), np.nan)
        low, high = self._brush or (-np.inf, np.inf)
        chosen = (known >= low) & (known <= high) if self._brush else np.ones(len(known), bool)
        colours = self._scale.colours(values, usable)
        dim = self.frames.property(self.colour.value).dims[1]
        if isinstance(self.seen, Map):
            self.seen.draw_things(where, colours, usable, chosen, filled=dim == "cell")
            self.seen.draw_picked(None if self._picked is None else where[self._picked])
        else:
            self.seen.draw(where, colours, chosen, _apart(where), -1 if self._picked is None else self._picked)
        self.histogram.draw(self._scale, known, self._brush)
        n, there = int(usable.sum()), int(np.isfinite(where).all(axis=1).sum())
        said = f"{n} {dim}s; drag over the histogram to choose some"
        if self._brush:
            said = f"{int((chosen & usable).sum())} of {n} {dim}s chosen; click the histogram to choose all"
        self.count.object = words.note(said + (f"; {there - n} could not be measured (grey)." if there > n else "."))

    def _draw_arrows(self) -> None:
        path = self.arrows.value
        middles, vectors = self.frames.vectors(self.control.value, path) if path else (np.zeros((0, 2)),) * 2
        assert isinstance(self.seen, Map)
        self.seen.draw_vectors(middles, vectors, self._arrow)

    def _tell_values(self) -> None:
        """Tell all values of the thing that is picked."""
        if not self.colour.value:
            return
        shown, frame = self.frames.property(self.colour.value), self.control.value
        dim = shown.dims[1]
        if self._picked is not None:
            rows = self.frames.told(shown, frame, self._picked)
            self.values.object = words.values(f"{dim} {self._picked} of frame {frame}".capitalize(), rows)
        elif self._thing is not None:
            self.values.object = words.note(f"The {dim} that was chosen is not seen in this frame.")
        else:
            self.values.object = words.note(
                f"Click one of the {dim}s for its values, and for its series over the frames."
            )

    def _tell_state(self) -> None:
        self.head.object = words.head(self.frames)
        self.failed.object = words.failures(self.frames)

    def _new_colour(self) -> None:
        self._choose_colour()
        self.draw()

    def _choose_colour(self) -> None:
        """Take the property that is chosen, and keep what is picked where it has this property too."""
        if not self.colour.value:
            return
        shown = self.frames.property(self.colour.value)
        before, self._brush = self._things, None
        self._scale = Scale.of(shown, self.frames.sample(shown.path))
        self.histogram.name(shown, self._scale)
        self._things = self.frames.things(shown, self.control.value)
        same = before is not None and len(before.where) == len(self._things.where) and self._dim == shown.dims[1]
        self._dim = shown.dims[1]
        self._follow_picked(self._picked if same else None)

    def _new_arrows(self) -> None:
        self._choose_arrows()
        self.draw()

    def _choose_arrows(self) -> None:
        """Take the vectors that are chosen, and find how long their arrows are drawn."""
        if not self.arrows.value:
            self.key.object = ""
            return
        self._arrow = self.frames.typical(self.arrows.value)
        self.key.object = words.arrow_key(self._arrow, self.frames.property(self.arrows.value).units)

    def _choose_trend(self) -> None:
        numbers = [verdict.numbers[self.trend.value] for verdict in self.frames.verdicts.frames]
        self.trends.draw(self.frames.verdicts.columns[self.trend.value], np.array(numbers, dtype=float))
        self._push()

    def _choose_range(self, brush: tuple[float, float] | None) -> None:
        self._brush = brush
        self._draw_things()
        self._push()

    def _click(self, y: float, x: float) -> None:
        self._pick(nearest(self._things.where, (y, x)) if self._things is not None else None)

    def _pick(self, index: int | None) -> None:
        self._follow_picked(index)
        self._draw_things()
        self._tell_values()
        self._push()

    def _follow_picked(self, index: int | None) -> None:
        """Begin to draw the property of the thing that is picked over all frames."""
        shown, n = self.frames.property(self.colour.value), self.frames.n_frames
        self._picked, self._parts = index, iter(())
        self._thing = None if index is None else self.frames.thing(shown, self.control.value, index)
        self.place_of_series.visible = self._thing is not None and n > 1
        if self._thing is not None and n > 1:
            self._parts = self.frames.series(shown, self._thing)
            self.series.draw(quantity(shown.name, shown.units), np.full(n, np.nan), np.full(n, np.nan))
            self.series.mark(self.control.value)
            self._read_on()

    def _read_on(self) -> None:
        """Draw more of the series, as much as can be read before anybody waits; the rest later."""
        values, errors = self.series.values.copy(), self.series.errors.copy()  # Bokeh compares with what it drew
        end = time.perf_counter() + _PATIENCE
        for part in self._parts:
            values[part.frames], errors[part.frames] = part.values, part.errors
            if time.perf_counter() > end:
                pn.state.add_periodic_callback(self._read_on, period=_SETTLED, count=1)
                break
        self.series.draw(self.series.text, values, errors)
        self._push()

    def _go(self, frame: int) -> None:
        self.control.value = int(np.clip(frame, 0, self.frames.n_frames - 1))

    def _move(self) -> None:
        """Draw the part of the image that is seen, once it no longer moves."""
        if not self._settling:
            self._settling = True
            pn.state.add_periodic_callback(self._settle, period=_SETTLED, count=1)

    def _settle(self) -> None:
        self._settling = False
        assert isinstance(self.seen, Map)
        self.seen.draw_seen()
        self._push()

    def _levels(self) -> str:
        return "".join(_LETTERS[verdict.level] for verdict in self.frames.verdicts.frames)

    def _push(self) -> None:
        """Send what was drawn to a notebook; a server does so by itself."""
        pn.io.push_notebook(*self.panes)


def _apart(where: Floats) -> float:
    """Return the median distance between nearest neighbours (n, 3)."""
    there = where[np.isfinite(where).all(axis=1)]
    if len(there) < 2:
        return 2.5
    return float(np.median(cKDTree(there).query(there, k=2)[0][:, 1]))
