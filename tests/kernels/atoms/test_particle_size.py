from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.atoms.hull import equivalent_diameter, hull_volume


@pytest.mark.golden
@pytest.mark.parametrize("name", ["stage1", "stage2", "trunc_octa_ideal"])
def test_the_published_diameter_is_reproduced(reference, name):
    golden = np.load(reference / "golden" / f"pyboo_{name}.npz")
    assert equivalent_diameter(hull_volume(golden["pos"])) == pytest.approx(float(golden["diameter"]), abs=1e-12)


def test_a_cube_with_atoms_inside_has_the_volume_of_the_cube():
    corners = np.stack(np.meshgrid(*[[0.0, 2.0]] * 3), -1).reshape(-1, 3)
    inside = np.random.default_rng(0).uniform(0, 2, (50, 3))
    assert hull_volume(np.vstack([corners, inside])) == pytest.approx(8.0)


def test_a_ball_has_its_own_diameter():
    points = np.random.default_rng(0).normal(size=(4000, 3))
    points *= 5 / np.linalg.norm(points, axis=1)[:, None]
    assert equivalent_diameter(hull_volume(points)) == pytest.approx(10.0, rel=0.01)


@pytest.mark.parametrize(
    "positions",
    [
        np.empty((0, 3)),
        np.zeros((1, 3)),
        np.eye(3),
        np.zeros((9, 3)),
        np.c_[np.random.default_rng(0).uniform(size=(9, 2)), np.zeros(9)],
        np.r_[np.eye(3), np.zeros((1, 3)), [[np.nan, 0, 0]]],
    ],
    ids=["none", "one", "three", "coincident", "coplanar", "not finite"],
)
def test_what_spans_no_volume_has_no_size(positions):
    assert np.isnan(hull_volume(positions))
    assert np.isnan(equivalent_diameter(hull_volume(positions)))
