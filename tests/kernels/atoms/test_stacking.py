import numpy as np
import pytest

from stemdask.kernels.atoms.common_neighbours import classify
from stemdask.kernels.atoms.kinds import HCP
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.stacking import FAULT, LAMELLA, TWIN, hcp_layers
from stemdask.simulate import nanocrystal

NEAREST = 2.77


def rod(sequence):
    """Close-packed layers in a given order, cut to a rod along z."""
    a, b, c = np.array([1, 0, 0]), np.array([0.5, np.sqrt(3) / 2, 0]), np.array([0, 0, np.sqrt(2 / 3)])
    i, j = np.meshgrid(np.arange(-8, 9), np.arange(-8, 9))
    flat = i.reshape(-1, 1) * a + j.reshape(-1, 1) * b
    layers = [flat + "ABC".index(letter) * (a + b) / 3 + k * c for k, letter in enumerate(sequence)]
    positions = NEAREST * np.concatenate(layers)
    return positions[np.hypot(*positions[:, :2].T) < 12]


def layers_of(positions, min_atoms=3):
    order = classify(find_neighbours(positions, 1.55 * NEAREST))
    near = find_neighbours(positions, 1.2 * NEAREST)
    return hcp_layers(positions, order.kind == HCP, order.normal, near, min_atoms)


@pytest.mark.parametrize(
    ("sequence", "kinds", "defects"),
    [
        ("ABCABCABC", [], []),
        ("ABCABCBACBA", [TWIN], [0]),
        ("ABCABCBCABCA", [FAULT, FAULT], [0, 0]),
        ("ABCABCBACABC", [TWIN, TWIN], [0, 1]),  # an extrinsic fault: B and A twinned around one fcc layer
        ("ABCABABABCABC", [LAMELLA] * 4, [0] * 4),
    ],
)
def test_a_stacking_order_is_read_from_its_hcp_layers(sequence, kinds, defects):
    found = layers_of(rod(sequence))
    assert list(found.kind) == kinds
    assert sorted(found.defect) == defects
    np.testing.assert_allclose(found.normal, np.tile([0, 0, 1], (len(kinds), 1)), atol=1e-9)


def test_the_twin_boundary_lies_where_the_order_turns_round():
    found = layers_of(rod("ABCABCBACBA"))
    assert found.centre[0, 2] == pytest.approx(5 * np.sqrt(2 / 3) * NEAREST)
    assert found.size[0] == (found.label == 0).sum()


@pytest.mark.parametrize(("shape", "planes"), [("decahedron", 5), ("icosahedron", 30), ("sphere", 0)])
def test_multiply_twinned_particles_have_the_twin_planes_of_their_geometry(shape, planes):
    positions = nanocrystal(27, shape=shape).positions
    positions += np.random.default_rng(0).normal(scale=0.05, size=positions.shape)
    found = layers_of(positions)
    assert len(found.size) == planes
    assert set(found.kind) <= {TWIN}
    assert len(set(found.defect)) == planes


def test_layers_of_too_few_atoms_are_left_out():
    positions = rod("ABCABCBACBA")
    size = layers_of(positions).size[0]
    assert len(layers_of(positions, size).size) == 1
    left_out = layers_of(positions, size + 1)
    assert len(left_out.size) == 0
    assert set(left_out.label) == {-1}
