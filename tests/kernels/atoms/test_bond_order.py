"""Bond order against pyboo's arrays, analytic values, the definition itself, and the symmetries that it must have."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from stemdask.kernels.atoms.bond_order import bond_order
from stemdask.kernels.atoms.bonds import bonds, mean_bond_length
from stemdask.kernels.atoms.crystallinity import Criterion, crystallinity
from stemdask.kernels.atoms.neighbours import Neighbours, find_neighbours
from stemdask.kernels.atoms.wigner import wigner_3j
from stemdask.kernels.atoms.workspace import Workspace

GOLDEN = ["stage1", "stage2", "trunc_octa_ideal"]


def fcc(cells, a=4.0, sigma=0.0, seed=0):
    corner = np.array(list(product(range(cells), repeat=3)))
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    positions = (corner[:, None] + basis).reshape(-1, 3) * a
    return positions + np.random.default_rng(seed).normal(0, sigma, positions.shape)


def cluster(vectors):
    """One central atom and the ends of its bonds, as the neighbour list of the centre alone."""
    vectors = np.asarray(vectors, float)
    n = len(vectors)
    first = np.r_[0, n, np.full(n, n)]
    return Neighbours.from_vectors(first, np.arange(1, n + 1, dtype=np.int32), vectors)


def unordered(vectors):
    return np.unique(np.round(vectors, 12), axis=0)


def permutations_with_signs(*vectors):
    found = []
    for x, y, z in vectors:
        for order in ((x, y, z), (y, z, x), (z, x, y), (x, z, y), (z, y, x), (y, x, z)):
            found += [np.array(order) * sign for sign in product((-1, 1), repeat=3)]
    return unordered(found)


GOLDEN_RATIO = (1 + np.sqrt(5)) / 2
HEXAGON = [[np.cos(k * np.pi / 3), np.sin(k * np.pi / 3), 0] for k in range(6)]
TRIANGLE = [
    [np.cos(a) / np.sqrt(3), np.sin(a) / np.sqrt(3), np.sqrt(2 / 3)] for a in np.pi / 6 + np.arange(3) * 2 * np.pi / 3
]
SHELLS = {
    "fcc": permutations_with_signs((1, 1, 0)),
    "hcp": np.array([*HEXAGON, *TRIANGLE, *(np.array(TRIANGLE) * [1, 1, -1])]),
    "bcc": np.vstack([permutations_with_signs((1, 1, 1)), permutations_with_signs((2, 0, 0))]),
    "sc": permutations_with_signs((1, 0, 0)),
    "icosahedron": unordered([np.roll([0, s, t * GOLDEN_RATIO], k) for s, t, k in product((-1, 1), (-1, 1), range(3))]),
}
# Steinhardt et al. 1983, table I and fig. 2; Mickel et al. 2013, table I.
ANALYTIC = {
    "fcc": (0.19094, 0.57452, -0.159317, -0.013161),
    "hcp": (0.09722, 0.48476, 0.134097, -0.012442),
    "bcc": (0.03637, 0.51069, 0.159317, 0.013161),
    "sc": (0.76376, 0.35355, 0.159317, 0.013161),
    "icosahedron": (0.0, 0.66332, None, -0.169754),
}


@pytest.mark.golden
@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("degrees", [(4, 6), (4, 5, 6, 8)], ids=["by polynomials", "by recurrence"])
def test_every_array_of_pyboo_is_reproduced(reference, name, degrees):
    golden = np.load(reference / "golden" / f"pyboo_{name}.npz")
    neighbours = find_neighbours(golden["pos"], float(golden["R_max"]))
    order = bond_order(neighbours, degrees, convention="pyboo")
    bonded = bonds(neighbours)
    np.testing.assert_array_equal(np.column_stack([bonded.atom_1, bonded.atom_2]), golden["bonds_sorted"])
    np.testing.assert_array_equal(neighbours.counts, golden["Nngb"])
    np.testing.assert_array_equal(order.crystalline, golden["xtal"])
    six = degrees.index(6)
    ours = {
        "q4": order.q[0], "q6": order.q[six], "Q4": order.q_avg[0], "Q6": order.q_avg[six],
        "w4": order.w[0], "w6": order.w[six], "W4": order.w_avg[0], "W6": order.w_avg[six],
        "s6_sorted": order.s6[bonded.entry], "C6": order.crystallinity, "dist_to_NNs": mean_bond_length(neighbours),
    }  # fmt: skip
    for key, values in ours.items():
        np.testing.assert_allclose(values, golden[key], rtol=0, atol=1e-13, err_msg=key)


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize("degrees", [(4, 6), (4, 6, 8)], ids=["by polynomials", "by recurrence"])
def test_perfect_shells_have_their_published_values(name, degrees):
    order = bond_order(cluster(SHELLS[name]), degrees, normalisation="steinhardt")
    q4, q6, w4, w6 = ANALYTIC[name]
    assert order.q[0, 0] == pytest.approx(q4, abs=1e-5)
    assert order.q[1, 0] == pytest.approx(q6, abs=1e-5)
    assert order.w[1, 0] == pytest.approx(w6, abs=1e-5)
    if w4 is not None:
        assert order.w[0, 0] == pytest.approx(w4, abs=1e-5)


def test_bulk_fcc_has_its_published_unnormalised_value_and_coarse_graining_changes_nothing():
    neighbours = find_neighbours(fcc(3), 3.4, 12 * np.eye(3))
    for convention in ("lechner-dellago", "pyboo"):
        order = bond_order(neighbours, convention=convention)
        np.testing.assert_allclose(order.q[0], 0.19094, atol=1e-5)
        np.testing.assert_allclose(order.q[1], 0.57452, atol=1e-5)
        np.testing.assert_allclose(order.w[1], -0.0026260, atol=1e-7)
        np.testing.assert_allclose(order.q_avg, order.q, atol=1e-12)
        np.testing.assert_allclose(order.w_avg, order.w, atol=1e-12)
        np.testing.assert_allclose(order.s6, 1.0, atol=1e-12)
        assert (order.crystalline == 1).all()
        np.testing.assert_allclose(order.margin, 0.2, atol=1e-12)


def by_definition(neighbours, degree, with_itself):
    """q and w, and those of the averaged coefficients, written down as in the papers."""
    x, y, z = neighbours.vector.T / neighbours.distance
    weight = np.ones(len(x)) if neighbours.weight is None else neighbours.weight
    n = len(neighbours.first) - 1
    m = np.arange(-degree, degree + 1)
    harmonics = sph_harm_y(degree, m, np.arccos(z)[:, None], np.arctan2(y, x)[:, None]) * weight[:, None]
    own = np.zeros((n, 2 * degree + 1), complex)
    np.add.at(own, neighbours.centre, harmonics)
    own /= np.bincount(neighbours.centre, weight, n)[:, None]
    averaged = own.copy() if with_itself else np.zeros_like(own)
    np.add.at(averaged, neighbours.centre, own[neighbours.other])
    averaged /= (neighbours.counts + with_itself)[:, None]
    found = []
    for coefficients in (own, averaged):
        q = np.sqrt(4 * np.pi / (2 * degree + 1) * (abs(coefficients) ** 2).sum(axis=1))
        column = dict(zip(m.tolist(), coefficients.T, strict=True))
        w = sum(
            wigner_3j(degree, a, b) * column[a] * column[b] * column[-a - b]
            for a, b in product(column, column)
            if abs(a + b) <= degree
        )
        found += [q, np.real(w)]
    return found


@pytest.mark.parametrize("degrees", [(2,), (4, 6), (1, 2, 3), (5, 8), (10,), (12, 15)])
@pytest.mark.parametrize("convention", ["lechner-dellago", "pyboo"])
@pytest.mark.parametrize("weighted", [False, True])
def test_any_degree_follows_the_definition(degrees, convention, weighted):
    rng = np.random.default_rng(5)
    neighbours = find_neighbours(rng.uniform(0, 6, (120, 3)), 2.0)
    if weighted:
        neighbours = replace(neighbours, weight=rng.uniform(0.1, 1, len(neighbours.other)))
    order = bond_order(neighbours, degrees, convention=convention)
    for k, degree in enumerate(degrees):
        q, w, q_avg, w_avg = by_definition(neighbours, degree, convention == "lechner-dellago")
        np.testing.assert_allclose(order.q[k], q, atol=1e-12)
        np.testing.assert_allclose(order.q_avg[k], q_avg, atol=1e-12)
        np.testing.assert_allclose(order.w[k], w, atol=1e-12)
        np.testing.assert_allclose(order.w_avg[k], w_avg, atol=1e-12)


def test_s6_and_crystallinity_follow_their_definition():
    neighbours = find_neighbours(fcc(3, sigma=0.2), 3.4)
    x, y, z = neighbours.vector.T / neighbours.distance
    n = len(neighbours.first) - 1
    q6m = np.zeros((n, 13), complex)
    np.add.at(q6m, neighbours.centre, sph_harm_y(6, np.arange(-6, 7), np.arccos(z)[:, None], np.arctan2(y, x)[:, None]))
    q6m /= np.linalg.norm(q6m, axis=1)[:, None]
    s6 = np.real((q6m[neighbours.centre] * q6m[neighbours.other].conj()).sum(axis=1))
    order = bond_order(neighbours, (4,), criterion=Criterion(0.7, min_fraction=0.4))
    np.testing.assert_allclose(order.s6, s6, atol=1e-13)
    np.testing.assert_allclose(order.crystallinity, np.bincount(neighbours.centre, s6) / neighbours.counts, atol=1e-13)
    enough = np.bincount(neighbours.centre, s6 > 0.7) > 0.4 * neighbours.counts
    np.testing.assert_array_equal(order.crystalline, enough)


@pytest.mark.parametrize(("min_bonds", "min_mean"), [(6, -2.0), (7, 0.6), (1, 0.9), (40, -2.0)])
def test_crystalline_atoms_have_enough_crystalline_bonds_and_a_mean_that_is_large_enough(min_bonds, min_mean):
    neighbours = find_neighbours(fcc(3, sigma=0.25, seed=2), 3.4)
    order = bond_order(neighbours, criterion=Criterion(0.5, min_bonds=min_bonds, min_mean=min_mean))
    solid = np.bincount(neighbours.centre, order.s6 > 0.5, len(order.crystalline)) >= min_bonds
    np.testing.assert_array_equal(order.crystalline, solid & (order.crystallinity > min_mean))


def test_the_flag_changes_exactly_where_the_margin_says():
    neighbours = find_neighbours(fcc(3, sigma=0.25, seed=2), 3.4)
    order = bond_order(neighbours, criterion=Criterion(0.7))
    assert 0 < order.crystalline.mean() < 1
    for i in range(0, len(order.margin), 7):
        just_before, just_after = 0.7 + order.margin[i] - 1e-9, 0.7 + order.margin[i] + 1e-9
        assert crystallinity(neighbours.first, order.s6, Criterion(just_before)).crystalline[i] == 1
        assert crystallinity(neighbours.first, order.s6, Criterion(just_after)).crystalline[i] == 0


def invariants(positions, cutoff=3.4, degrees=(3, 4, 6)):
    order = bond_order(find_neighbours(positions, cutoff), degrees)
    return np.vstack([*order.q, *order.q_avg, *order.w, *order.w_avg, order.crystallinity])


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=25, deadline=None)
def test_turned_moved_mirrored_and_renumbered_atoms_keep_their_order(seed, mirrored):
    rng = np.random.default_rng(seed)
    positions = fcc(3, sigma=0.15, seed=seed % 7)
    mirror = np.diag([1.0, 1.0, -1.0 if mirrored else 1.0])
    turned = positions @ mirror @ Rotation.random(random_state=seed % 2**31).as_matrix() + rng.normal(0, 30, 3)
    order = rng.permutation(len(positions))
    np.testing.assert_allclose(invariants(turned[order]), invariants(positions)[:, order], atol=1e-11)


@pytest.mark.parametrize("degrees", [(4, 6), (3, 5)])
def test_atoms_without_neighbours_have_no_order_and_are_not_crystalline(degrees):
    order = bond_order(find_neighbours(np.eye(3) * 10, 1.0), degrees)
    for values in (order.q, order.w, order.q_avg, order.w_avg, order.crystallinity, order.margin):
        assert np.isnan(values).all()
    assert order.crystalline.tolist() == [0, 0, 0]


@pytest.mark.parametrize("degrees", [(6,), (4, 6), (3, 5)])
def test_an_atom_without_neighbours_spoils_no_other(degrees):
    positions = np.random.default_rng(3).uniform(0, [120, 6, 6], (300, 3))
    positions = positions[np.argsort(positions[:, 0])]  # so that the first are done before others are begun
    lonely = np.insert(positions, 5, [0, 100.0, 0], axis=0)
    alone, beside = (bond_order(find_neighbours(x, 4.0), degrees, convention="pyboo") for x in (positions, lonely))
    np.testing.assert_allclose(beside.s6, alone.s6, atol=1e-13)
    for name in ("q", "q_avg", "w", "w_avg"):
        np.testing.assert_allclose(np.delete(getattr(beside, name), 5, axis=1), getattr(alone, name), atol=1e-13)
    assert np.isnan(beside.q_avg[:, 5]).all()


@pytest.mark.parametrize("degrees", [(4, 6), (3, 5)])
def test_coincident_atoms_have_no_order_and_spoil_only_their_neighbours(degrees):
    positions = np.vstack([np.zeros((2, 3)), fcc(2) + 50])
    order = bond_order(find_neighbours(positions, 3.4), degrees)
    assert np.isnan(order.q[:, :2]).all()
    assert order.crystalline[:2].tolist() == [-1, -1]
    assert np.isfinite(order.q[:, 2:]).all()
    assert np.isfinite(order.q_avg[:, 2:]).all()


def test_no_atoms_give_empty_arrays():
    order = bond_order(find_neighbours(np.empty((0, 3)), 1.0))
    assert order.q.shape == (2, 0)
    assert order.s6.shape == (0,)


def test_two_atoms_have_the_order_of_one_bond():
    order = bond_order(find_neighbours([[0, 0, 0], [0.3, 1, 2.2]], 3.0))
    np.testing.assert_allclose(order.q, 1.0)
    np.testing.assert_allclose(order.s6, 1.0)


def test_w_of_odd_degrees_vanishes():
    order = bond_order(find_neighbours(fcc(2, sigma=0.3), 3.6), (1, 3, 5))
    assert not order.w.any()


def test_a_workspace_used_again_gives_the_same_bytes():
    workspace = Workspace()
    for cells in (3, 2, 4):
        positions = fcc(cells, sigma=0.1)
        kept = bond_order(find_neighbours(positions, 3.4, workspace=workspace), workspace=workspace)
        fresh = bond_order(find_neighbours(positions, 3.4))
        for ours, theirs in zip(kept, fresh, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("degrees", [(0, 4), (4, 4), (-2,)])
def test_impossible_degrees_are_refused(degrees):
    with pytest.raises(ValueError, match="degrees must differ and be at least 1"):
        bond_order(find_neighbours(np.eye(3), 2.0), degrees)


@pytest.mark.parametrize("degree", [1, 2, 4, 6, 11, 20])
def test_wigner_symbols_are_orthonormal(degree):
    for m3 in range(-degree, degree + 1):
        total = sum(wigner_3j(degree, m1, -m3 - m1) ** 2 for m1 in range(-degree, degree + 1))
        assert total == pytest.approx(1 / (2 * degree + 1), rel=1e-14)
