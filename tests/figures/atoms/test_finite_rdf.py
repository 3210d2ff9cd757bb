from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, legend

from stemdask.figures.atoms.finite_rdf import finite_pair_distribution


def rdf(pairs=1):
    counts = np.array([0, 40, 90, 30, 12, 0, 2])
    g = np.where(counts > 0, 1.5, 0.0)
    g[-1] = 90.0
    elements = np.array([[28, 28], [28, 78], [78, 78]])[:pairs]
    data = {"g": ("r", 0.5 * g), "g_finite": ("r", g), "counts": ("r", counts)}
    data["g_partial"] = (("pair", "r"), np.tile(g, (pairs, 1)))
    data |= {f"pair_element_{k + 1}": ("pair", elements[:, k]) for k in (0, 1)}
    return xr.Dataset(data, coords={"r": ("r", 0.5 + np.arange(7.0), {"units": "angstrom"})})


def test_the_noise_of_few_pairs_at_the_far_end_is_left_out():
    figure = finite_pair_distribution(rdf())
    (axes,) = figure.axes
    corrected, counted = axes.lines[:2]
    assert corrected.get_xdata()[-1] == counted.get_xdata()[-1] == 4.5
    assert axes.get_ylim()[1] < 3
    assert list(axes.lines[2].get_ydata()) == [1, 1]
    assert legend(axes) == ["corrected for the surface", "as counted"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("r / Å", "g(r)")
    assert_drawn(figure)


@pytest.mark.parametrize(("pairs", "named"), [(1, []), (3, ["Ni–Ni", "Ni–Pt", "Pt–Pt"])])
def test_pairs_of_elements_are_drawn_where_there_is_more_than_one(pairs, named):
    below = finite_pair_distribution(rdf(pairs)).axes[1:]
    assert [entry for axes in below for entry in legend(axes)] == named


def test_a_lone_atom_has_no_pairs_to_draw():
    none = (rdf() * np.nan).assign(counts=("r", np.zeros(7, int))).assign_coords(r=rdf()["r"])
    figure = finite_pair_distribution(none)
    figure.canvas.draw()
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).all()
