"""A figure in words."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from stemdask.figures.canvas import arrows
from stemdask.figures.described import described
from stemdask.figures.style import new


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return described(figure)


def test_what_is_drawn_is_told_with_its_axes_and_its_legend():
    figure, axes = new()
    axes.plot([0.0, 1.0, 2.0], [3.0, 4.0, 5.0], label="found")
    axes.scatter([1.0, 2.0], [3.0, 4.0])
    axes.set(xlabel="r / Å", ylabel="$q_4$", xlim=(0, 2), ylim=(3, 5), title="Order")
    axes.legend()
    assert drawn(figure) == "Order; 1 curve, 2 marks; r / Å from 0 to 2; q4 from 3 to 5; legend: found."


def test_arrows_images_bars_and_panels_are_counted():
    figure, (left, right) = new(6, 3, 1, 2)
    left.imshow(np.zeros((5, 5)))
    arrows(left, np.arange(4.0), np.arange(4.0), np.ones(4), np.ones(4), typical=1.0)
    right.bar([1, 2, 3], [1, 2, 3])
    text = drawn(figure)
    assert text.startswith("Panel 1: 1 image, 4 arrows")
    assert "Panel 2: 3 bars" in text


def test_of_many_panels_the_first_are_told():
    figure, panels = new(6, 6, 3, 3)
    for axes in panels.flat:
        axes.plot([1, 2, 3])
    assert drawn(figure).count("Panel") == 6
    assert drawn(figure).endswith("And 3 panels like these.")
