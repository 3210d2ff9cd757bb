from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, legend, share_drawn

from stemdask.analyses.atoms.order import structure as analysis
from stemdask.figures.atoms.structure import KINDS, disputed, structure_in_time, structure_types

NUMBER = {name: kind for kind, name in analysis.KINDS.items()}


def structure(kinds):
    random = np.random.default_rng(0)
    found = {axis: ("atom", random.normal(size=len(kinds))) for axis in "xyz"}
    return xr.Dataset(found | {"structure": ("atom", np.array([NUMBER.get(kind, -1) for kind in kinds], np.int8))})


def test_every_structure_type_has_a_colour_of_its_own():
    assert set(analysis.KINDS.values()) == set(KINDS)
    assert len(set(KINDS.values())) == len(KINDS)


def test_bars_count_each_structure_type():
    figure = structure_types(structure(["fcc", "fcc", "hcp", "surface", "surface", "surface"]))
    *_, bars = figure.axes
    names = [label.get_text() for label in bars.get_yticklabels()]
    widths = dict(zip(names, [bar.get_width() for bar in bars.patches], strict=True))
    assert widths == {"surface": 3, "hcp": 1, "fcc": 2}
    assert_drawn(figure)


def test_what_lies_at_the_surface_is_drawn_behind():
    left = structure_types(structure(["fcc", "surface", "surface", "hcp"])).axes[0]
    behind, before = left.collections
    assert (len(behind.get_offsets()), len(before.get_offsets())) == (2, 2)


def test_only_structure_types_that_occur_have_a_line():
    counts = np.zeros((6, len(analysis.KINDS)))
    order = list(analysis.KINDS.values())
    counts[:, order.index("disordered")], counts[:, order.index("fcc")] = [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]
    counts[1] = np.nan
    figure = structure_in_time(xr.DataArray(counts, dims=("frame", "structure_kind")))
    (axes,) = figure.axes
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert set(drawn) == {"disordered", "fcc"}
    np.testing.assert_array_equal(drawn["fcc"], [6, np.nan, 4, 3, 2, 1])
    assert sorted(legend(axes)) == ["disordered", "fcc"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("frame", "atoms")
    assert_drawn(figure)


@pytest.mark.parametrize("n", [1, 0])
def test_a_frame_with_hardly_any_atoms_is_drawn(n):
    figure = structure_types(structure(["fcc"] * n))
    assert (share_drawn(figure) > 1e-3) == bool(n)


def test_atoms_on_a_lattice_that_bond_order_calls_disordered_are_explained():
    kinds = ["fcc", "hcp", "surface", "surface", "disordered", "fcc"]
    lattice = np.array([NUMBER[name] for name in ("fcc", "hcp", "fcc", "fcc", "disordered", "fcc")], np.int8)
    crystalline = np.array([1, 0, 0, 0, 0, 0], np.int8)
    atoms = structure(kinds).assign(lattice=("atom", lattice), crystalline=("atom", crystalline))
    (sentence,) = disputed(atoms)
    assert sentence.startswith("4 atoms lie on a lattice")
    assert "2 lack neighbours, 1 lie where twins meet" in sentence
    assert "1 have strained" in sentence
    (sentence,) = disputed(atoms.isel(atom=[2, 3]))
    assert sentence.endswith("All of them lack neighbours.")
    assert disputed(atoms.assign(crystalline=("atom", np.ones(6, np.int8)))) == []
