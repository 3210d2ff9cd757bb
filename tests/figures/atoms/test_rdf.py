from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, share_drawn, texts, title

from stemdask.figures.atoms.rdf import pair_distribution


def rdf(cutoff=3.4, bins=100):
    r = xr.DataArray(0.1 * (np.arange(bins) + 0.5), dims="r", attrs={"units": "angstrom"})
    return xr.Dataset({"g": ("r", np.abs(np.sin(r.values))), "cutoff": cutoff, "cutoff_err": 0.02}, coords={"r": r})


def test_g_is_drawn_as_it_is_with_the_first_minimum_and_its_error():
    figure = pair_distribution(rdf())
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), rdf()["g"])
    assert axes.lines[1].get_xdata()[0] == 3.4
    assert "first minimum 3.400 ± 0.020 Å" in texts(figure)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("r / Å", "g(r)")
    assert_drawn(figure)


def test_a_cutoff_that_was_given_is_no_minimum_and_has_no_error():
    figure = pair_distribution(rdf().assign(cutoff_err=0.0))
    assert "cutoff 3.4 Å" in texts(figure)
    assert "±" not in "".join(texts(figure))


def test_an_ideal_particle_lies_below_the_structure_on_the_same_distances():
    ideal = rdf(cutoff=3.2).assign(g=10 * rdf()["g"])
    above, below = pair_distribution(rdf(), ideal).axes
    np.testing.assert_array_equal(below.lines[0].get_ydata(), ideal["g"])
    assert (title(above), title(below)) == ("structure", "ideal particle")
    assert above.get_xlim() == below.get_xlim()
    assert above.get_ylim()[1] < 2 < below.get_ylim()[1]


def test_no_first_minimum_is_drawn_where_none_was_found():
    figure = pair_distribution(rdf(cutoff=np.nan))
    assert len(figure.axes[0].lines) == 1
    assert not texts(figure)


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_a_lone_atom_has_no_pairs_to_draw(fill):
    figure = pair_distribution(rdf(cutoff=np.nan).assign(g=("r", np.full(100, fill))))
    assert len(figure.axes[0].lines) == 1
    assert share_drawn(figure) < 0.01
