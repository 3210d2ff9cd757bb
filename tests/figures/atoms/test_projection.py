from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, share_drawn

from stemdask.figures.atoms.projection import by_property, from_far


def structure(n=30, padding=2):
    random = np.random.default_rng(0)
    values = {name: np.append(random.normal(size=n), np.full(padding, np.nan)) for name in ("x", "y", "z", "depth")}
    about = {"depth": {"units": "angstrom", "long_name": "depth below the surface"}}
    return xr.Dataset({name: ("atom", array, about.get(name, {})) for name, array in values.items()})


def test_near_atoms_are_drawn_after_far_ones_and_padding_never():
    found = structure()
    order = from_far(found, "xz")
    assert sorted(order) == list(range(30))
    assert (np.diff(found["y"].values[order]) >= 0).all()


def test_atoms_are_drawn_in_two_projections_in_the_colour_of_their_property():
    found = structure()
    figure = by_property(found, "depth")
    left, right, scale = figure.axes
    for axes, plane in ((left, "xy"), (right, "xz")):
        order = from_far(found, plane)
        points = axes.collections[0]
        np.testing.assert_array_equal(points.get_offsets(), np.stack([found[a] for a in plane], axis=1)[order])
        np.testing.assert_array_equal(points.get_array(), found["depth"][order])
        assert (axes.get_xlabel(), axes.get_ylabel()) == (f"{plane[0]} / Å", f"{plane[1]} / Å")
        assert axes.get_aspect() == 1
    assert scale.get_ylabel() == "depth below the surface / Å"
    assert_drawn(figure)


def test_the_deepest_atoms_are_seen_where_they_are_drawn_in_front():
    found = structure()
    drawn = by_property(found, "depth", greatest_in_front=True).axes[0].collections[0]
    assert (np.diff(drawn.get_array()) >= 0).all()
    assert sorted(drawn.get_offsets()[:, 0]) == sorted(found["x"].values[:30])


@pytest.mark.parametrize("n", [1, 0])
def test_one_and_no_atoms_are_drawn(n):
    figure = by_property(structure(n), "depth")
    assert figure.axes[0].collections[0].get_offsets().shape == (n, 2)
    assert (share_drawn(figure) > 0) == bool(n)
