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


def test_cells_are_those_of_their_lattice() -> None:
    from stemdask.view.map import Map

    seen = Map(lambda y, x: None, lambda: None, "nm", 680)
    j, i = (steps.ravel().astype(float) for steps in np.mgrid[:6, :7])
    colours, usable, chosen = np.full((42, 4), 200, np.uint8), np.arange(42) != 3, np.arange(42) != 5
    for x, y, corners, area in ((0.4 * i, 0.7 * j, 4, 0.28), (i + 0.5 * j, 0.75**0.5 * j, 6, 0.75**0.5)):
        seen.draw_things(np.column_stack([y, x]), colours, usable, chosen, filled=True)
        drawn = seen._cells.data
        assert len(drawn["xs"]) == len(drawn["alpha"]) == len(drawn["colour"]) == 41
        assert np.argmin(drawn["alpha"]) == 4  # the one before it that can't be used isn't there
        for xs, ys in zip(drawn["xs"], drawn["ys"], strict=True):
            assert len(xs) == corners
            assert 0.5 * abs(np.dot(xs, np.roll(ys, 1)) - np.dot(ys, np.roll(xs, 1))) == pytest.approx(area)
        assert np.mean(drawn["xs"][0]) == pytest.approx(x[0])
        assert (seen._crosses.data["x"], len(seen._rings.data["x"])) == (x[3], 0)
    seen.draw_things(np.column_stack([y, x]), colours, usable, chosen, filled=False)
    assert (len(seen._cells.data["xs"]), len(seen._rings.data["x"])) == (0, 41)
