"""The map of a large image: as many pixels as a screen has, and all of them once it is zoomed."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.model import ImageFrame

pytest.importorskip("bokeh", reason="bokeh is not installed")


def test_a_large_image_is_shown_pixel_for_pixel_where_it_is_zoomed() -> None:
    from stemdask.view.map import Map

    seen = Map(lambda y, x: None, lambda: None, "nm", 680)
    pixels = np.random.default_rng(0).random((2500, 2100)).astype(np.float32)
    seen.draw_image(ImageFrame(0, pixels, (0.01, 0.01)))
    (whole,) = seen._picture.data["levels"]
    assert max(whole.shape) <= 1024
    x, y = seen.chart.x_range, seen.chart.y_range
    x.start, x.end, y.start, y.end = 4.0, 11.0, 20.0, 13.0
    seen.draw_seen()
    (part,) = seen._picture.data["levels"]
    assert min(part.shape) >= 700
    assert seen._picture.data["dw"][0] / part.shape[1] == pytest.approx(0.01)  # a pixel of the image each
