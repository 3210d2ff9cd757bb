from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, texts

from stemdask.figures.atoms.bond_order import IDEAL, ORDER_LINE, order_maps


def structure(n=30, padding=2):
    """Return atoms with padding after them, as a frame with fewer atoms than others has."""
    random = np.random.default_rng(0)
    names = ("q4_avg", "q6_avg", "w6_avg", "distance_to_center")
    return xr.Dataset({name: ("atom", np.append(random.normal(size=n), np.full(padding, np.nan))) for name in names})


def test_every_atom_has_its_place_in_both_maps_and_the_colour_of_its_distance():
    found = structure()
    figure = order_maps(found)
    left, right, scale = figure.axes
    for axes, name in ((left, "q4_avg"), (right, "w6_avg")):
        points = axes.collections[0]
        np.testing.assert_array_equal(points.get_offsets()[:30], np.stack([found[name], found["q6_avg"]], axis=1)[:30])
        np.testing.assert_array_equal(points.get_array()[:30], found["distance_to_center"][:30])
    assert (left.get_xlabel(), left.get_ylabel(), right.get_xlabel()) == ("$Q_4$", "$Q_6$", "$W_6$")
    assert scale.get_ylabel() == "distance to the centre / Å"
    assert_drawn(figure)


def test_perfect_crystals_are_marked_and_the_line_of_order_is_drawn():
    figure = order_maps(structure())
    left = figure.axes[0]
    assert texts(figure) == " ".join([*IDEAL, *IDEAL])
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines[:4]] == [v[:2] for v in IDEAL.values()]
    assert left.lines[4].get_ydata()[0] == ORDER_LINE


def test_marks_of_w6_follow_the_normalisation():
    def mark(normalised):
        axes = order_maps(structure(), normalised=normalised).axes[1]
        (found,) = (text.xy[0] for text in axes.texts if text.get_text() == "ico")
        return found

    q6, w6 = IDEAL["ico"][1:]
    assert mark(True) == w6
    assert mark(False) == pytest.approx(w6 * (q6**2 * 13 / (4 * np.pi)) ** 1.5)


@pytest.mark.parametrize("n", [1, 0])
def test_one_and_no_atoms_are_drawn(n):
    figure = order_maps(structure(n))
    figure.canvas.draw()
    assert figure.axes[0].collections[0].get_offsets().compressed().size == 2 * n
