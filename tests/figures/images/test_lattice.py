from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, legend, share_drawn

from stemdask.figures.images.lattice import cell, words

MEAN = xr.Dataset({"a_y": 0.0, "a_x": 0.4, "b_y": 0.5, "b_x": 0.1, "origin_y": 0.2, "origin_x": 0.3})


def columns(kinds, places, grain=0):
    return xr.Dataset(
        {
            "y": ("column", 0.2 + 0.5 * places[:, 1]),
            "x": ("column", 0.3 + 0.4 * places[:, 0] + 0.1 * places[:, 1]),
            "sublattice": ("column", np.array(kinds)),
            "grain": ("column", np.full(len(kinds), grain)),
        }
    )


def test_columns_of_all_cells_fall_on_their_places_in_one():
    cells = np.stack(np.meshgrid(np.arange(6), np.arange(6)), axis=-1).reshape(-1, 2)
    places = np.concatenate([cells, cells + np.array([0.5, 0.55])])
    figure = cell(columns([0] * 36 + [1] * 36, places), MEAN)
    (axes,) = figure.axes
    a, b = axes.collections
    np.testing.assert_allclose(a.get_offsets(), np.zeros((36, 2)), atol=1e-9)
    np.testing.assert_allclose(b.get_offsets(), np.tile([0.5, 0.55], (36, 1)))
    assert legend(axes) == ["A", "B"]
    assert axes.yaxis_inverted()
    assert share_drawn(figure) > 0


@pytest.mark.parametrize("found", [columns([0, 1], np.eye(2), grain=1), columns([], np.empty((0, 2)))])
def test_what_lies_outside_the_first_grain_is_not_drawn(found):
    assert share_drawn(cell(found, MEAN)) == 0


def test_scatter_of_the_columns_is_seen():
    places = np.random.default_rng(0).normal(0, 0.05, (200, 2)) + np.arange(200)[:, None] % 5
    assert_drawn(cell(columns([0] * 200, places), MEAN))


def test_a_frame_without_a_lattice_is_empty():
    assert share_drawn(cell(columns([0, 1], np.eye(2)), MEAN * np.nan)) == 0


@pytest.mark.parametrize(
    ("flag", "scale"), [(0, ["scale: plausible"]), (1, ["scale: no crystal has such a lattice vector"]), (-1, [])]
)
def test_the_first_line_states_the_cell_and_judges_a_scale_that_is_there(flag, scale):
    assert words(results_of(flag, grains=[0, 0, -1]), 0) == ["cell 0.4000 × 0.5099 nm, 78.7°", *scale]


def test_the_first_line_says_whose_cell_it_is_where_there_are_several_grains():
    told = words(results_of(-1, grains=[0, 2, 1, -1]), 0)
    assert told == ["cell of the largest of 3 grains 0.4000 × 0.5099 nm, 78.7°"]


@pytest.mark.parametrize(
    ("n", "said"),
    [(0, []), (1, ["1 gap inside the crystal, 2.6 nm across"]), (3, ["3 gaps inside the crystal, up to 2.6"])],
)
def test_the_first_line_says_that_there_are_holes_or_cores(n, said):
    told = words(results_of(-1, grains=[0, 0], n_gaps=n, widest_gap=1.3), 0)[1:]
    assert len(told) == len(said)
    assert all(line.startswith(start) for line, start in zip(told, said, strict=True))


def results_of(flag, grains, **more):
    mean = MEAN.assign(calibration=flag, **more)
    if "widest_gap" in mean:
        mean["widest_gap"].attrs["units"] = "nm"
    mean["a_y"].attrs["units"] = "nm"
    found = {"lattice": mean, "columns": xr.Dataset({"grain": ("column", grains)})}
    return SimpleNamespace(at=lambda group, frame: found[group])


def test_the_first_line_of_a_frame_without_a_lattice_states_none():
    assert words(SimpleNamespace(at=lambda group, frame: MEAN * np.nan), 0) == []
