"""The viewer as its tests see it: served in a process of its own, in a browser that remembers what it was told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import toy


@contextmanager
def serving(store: Path, *options: str) -> Iterator[str]:
    """Serve a store until the end; yield the address."""
    words = store.parent / f"{store.name}.viewer"
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with words.open("wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "stemdask", "view", str(store), "--no-browser", *options],
            stdout=said,
            stderr=said,
            env=environment,
        )
        try:
            toy.wait_until(lambda: server.poll() is not None or "Ctrl-C" in words.read_text(), 600)
            assert server.poll() is None, words.read_text()
            found = re.search(r"http://\S+", words.read_text())
            assert found is not None
            yield found[0]
            assert "Traceback" not in words.read_text(), words.read_text()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


class Opened:
    """A page of the viewer in a browser, and all that it asked for and complained of."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        page.set_default_timeout(180_000)
        page.goto(url)
        self._wait()

    def _wait(self) -> None:
        self.page.locator(".frames").wait_for()
        self.page.wait_for_function("Bokeh.documents.length && Bokeh.documents[0].is_idle")

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def text(self) -> str:
        """Return all words of the page, a paragraph or a row of a table in each line, with tabs between its cells."""
        return str(self.page.evaluate(_WORDS))

    def values(self) -> dict[str, str]:
        """Return the values of what was clicked, by their names."""
        return dict(re.findall(r"^(\S+/\S+)\t(.+?)\t?$", self.text(), re.MULTILINE))

    def wait_for(self, true: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait for something of the page to be true."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.text()
            self.page.wait_for_timeout(50)

    def go(self, frame: int) -> None:
        """Move the slider, as dragging does, and wait until the frame is drawn."""
        self.page.locator("input[type=range][aria-label=Frame]").evaluate(
            "(slider, frame) => { slider.value = frame; slider.dispatchEvent(new Event('input')); }", frame
        )
        self.wait_for(lambda: self.drawn() == frame)

    def drawn(self) -> int:
        """Return the frame that is drawn."""
        return int(self.page.evaluate(_DRAWN))

    def sees(self) -> bytes:
        """Return what the map or the particle looks like."""
        self.page.wait_for_timeout(300)  # a frame of the screen
        return bytes(self.page.locator("canvas").nth(self._place_of_map()).screenshot())

    def click_map(self, y: float, x: float) -> None:
        """Click a place of the map."""
        across, down = self.page.evaluate(_PLACE_ON_MAP, [y, x])
        self.page.mouse.click(across, down)

    def histogram_of(self) -> str:
        """Return the words below the histogram."""
        return str(self.page.evaluate(f"{_HISTOGRAM}.below[0].axis_label"))

    def brush(self, low: float, high: float) -> None:
        """Drag over the histogram between two values."""
        (left, y), (right, _) = (self.page.evaluate(_PLACE_IN_HISTOGRAM, value) for value in (low, high))
        self.page.mouse.move(left, y)
        self.page.mouse.down()
        self.page.mouse.move(0.5 * (left + right), y, steps=4)
        self.page.mouse.move(right, y, steps=4)
        self.page.mouse.up()

    def drag(self, what: Any, dx: float, dy: float) -> None:
        """Drag something from its middle."""
        box = what.bounding_box()
        x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + dx, y + dy, steps=5)
        self.page.mouse.up()

    def _place_of_map(self) -> int:
        sizes = self.page.locator("canvas").evaluate_all("all => all.map(one => one.clientWidth * one.clientHeight)")
        return int(np.argmax(sizes))


_WORDS = """() => {
    const after = { TD: "\\t", TR: "\\n", P: "\\n", H1: "\\n", H2: "\\n", DIV: "\\n", LABEL: "\\n" };
    const read = (node) => node.nodeType == 3 ? node.data : ["STYLE", "SCRIPT", "OPTION"].includes(node.tagName) ? ""
        : [...(node.shadowRoot ?? node).childNodes].map(read).join("") + (after[node.tagName] ?? "");
    return read(document.body);
}"""
_MODELS = "Bokeh.documents.flatMap(document => [...document._all_models.values()])"
_DRAWN = f"{_MODELS}.find(model => model.class_name == 'FrameControl').data.drawn"
_PLACE_ON_MAP = f"""([y, x]) => {{
    const map = {_MODELS}.find(model => model.type == 'Figure' && model.y_range.start > model.y_range.end);
    const view = Bokeh.index.find_one(map), box = view.el.getBoundingClientRect();
    return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)];
}}"""
_HISTOGRAM = f"{_MODELS}.find(model => model.type == 'Figure' && model.left[0].axis_label == 'number')"
_PLACE_IN_HISTOGRAM = f"""(x) => {{
    const view = Bokeh.index.find_one({_HISTOGRAM}), box = view.el.getBoundingClientRect();
    return [box.left + view.frame.x_scale.compute(x), box.top + 0.5 * box.height];
}}"""
