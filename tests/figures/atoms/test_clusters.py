from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, share_drawn
from matplotlib.colors import to_rgba

from stemdask.figures.atoms.clusters import by_cluster
from stemdask.figures.style import MUTED, SUBLATTICES


def atoms(labels):
    random = np.random.default_rng(0)
    found = {axis: ("atom", random.normal(size=len(labels))) for axis in "xyz"}
    return xr.Dataset(found | {"cluster": ("atom", np.array(labels, int))})


def test_each_cluster_has_its_colour_and_what_belongs_to_none_is_grey():
    found = atoms([0, 0, 1, -1])
    figure = by_cluster(found)
    points = figure.axes[0].collections[0]
    colour = dict(zip(points.get_offsets()[:, 0].tolist(), points.get_facecolors().tolist(), strict=True))
    expected = [SUBLATTICES[0], SUBLATTICES[0], SUBLATTICES[1], MUTED]
    for x, named in zip(found["x"].values.tolist(), expected, strict=True):
        assert colour[x] == pytest.approx(to_rgba(named))
    assert figure.axes[1].get_ylabel() == "z / Å"
    assert_drawn(figure)


@pytest.mark.parametrize("n", [1, 0])
def test_one_and_no_atoms_are_drawn(n):
    assert (share_drawn(by_cluster(atoms([0] * n))) > 0) == bool(n)
