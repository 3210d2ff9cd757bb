from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, legend, share_drawn, title

from stemdask.figures.atoms.lattice_fit import strain


def atoms(n, depth=None):
    random = np.random.default_rng(0)
    found = {axis: ("atom", random.normal(size=n)) for axis in "xyz"}
    found["strain_volume"] = ("atom", 0.01 * np.arange(n))
    if depth is not None:
        found["depth"] = ("atom", np.array(depth, float))
    return xr.Dataset(found)


def test_strain_is_averaged_by_layers_of_depth_in_percent():
    figure = strain(atoms(6, depth=[0.1, 0.3, 1.0, 2.5, 3.5, np.nan]))
    panel = figure.axes[1]
    mean = panel.containers[0].lines[0]
    np.testing.assert_allclose(mean.get_xdata(), [1.4 / 3, 3.0])
    np.testing.assert_allclose(mean.get_ydata(), [1.0, 3.5])
    assert panel.get_xlabel() == "depth below the surface / Å"
    assert panel.get_ylabel() == "change of volume / %"
    assert legend(panel) == ["atom", "mean of each 2 Å"]
    assert_drawn(figure)


def test_atoms_without_strain_are_grey_and_the_others_coloured_by_it():
    found = atoms(6)
    found["strain_volume"][2:4] = np.nan
    axes, scale = strain(found).axes
    grey, coloured = axes.collections
    assert len(grey.get_offsets()) == 2
    np.testing.assert_allclose(sorted(coloured.get_array()), [0, 1, 4, 5])
    low, high = coloured.get_clim()
    assert low == -high
    assert title(axes) == "change of volume / %"
    assert scale.get_label() == "<colorbar>"


def test_strain_without_depth_is_drawn_as_a_map_alone():
    assert "depth below the surface / Å" not in [axes.get_xlabel() for axes in strain(atoms(2)).axes]


@pytest.mark.parametrize("n", [1, 0])
def test_a_frame_with_hardly_any_atoms_is_drawn(n):
    found = atoms(n, depth=[np.nan] * n)
    found["strain_volume"] = found["strain_volume"] * np.nan
    assert (share_drawn(strain(found)) > 0) == bool(n)
