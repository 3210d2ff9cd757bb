from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.rdf import bin_edges, first_minimum, pair_counts, periodic_rdf, tutorial_rdf


def lattice(cells, basis, a=4.0):
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    return (grid + np.array(basis)).reshape(-1, 3) * a


FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
BCC = [[0, 0, 0], [0.5, 0.5, 0.5]]


@pytest.mark.golden
@pytest.mark.parametrize("name", ["stage1", "stage2", "trunc_octa_ideal"])
def test_the_published_distribution_is_reproduced(reference, name):
    golden = np.load(reference / "golden" / f"pyboo_{name}.npz")
    edges = bin_edges(len(golden["r"]) * 0.02, 0.02)
    counts = pair_counts(golden["pos"], edges)
    np.testing.assert_array_equal(counts, np.histogram(pdist(golden["pos"]), edges)[0])
    np.testing.assert_allclose(tutorial_rdf(counts, edges, golden["pos"]), golden["gr"], rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(edges[:-1] + 0.01, golden["r"], atol=1e-14)


@pytest.mark.golden
@pytest.mark.parametrize(("name", "published"), [("stage1", 3.41), ("stage2", 3.45)])
def test_the_first_minimum_of_real_particles_is_found_within_its_error(reference, name, published):
    positions = np.load(reference / "golden" / f"pyboo_{name}.npz")["pos"]
    edges = bin_edges(22.0, 0.02)
    cutoff, error, _ = first_minimum(pair_counts(positions, edges), edges)
    assert abs(cutoff - published) < error < 0.1


@given(st.integers(0, 80), st.sampled_from([0.5, 1.3, 4.0]), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_a_histogram_of_all_pairs_on_edges_too(n, r_max, seed, on_grid):
    rng = np.random.default_rng(seed)
    positions = rng.integers(0, 30, (n, 3)) * 0.1 if on_grid else rng.uniform(0, 3, (n, 3))
    edges = bin_edges(r_max, 0.1)
    distances = pdist(positions) if n > 1 else np.empty(0)
    expected = np.histogram(distances[distances < edges[-1]], edges)[0]
    np.testing.assert_array_equal(pair_counts(positions, edges), expected)


def test_counts_in_a_skewed_box_smaller_than_the_range_are_those_of_all_images():
    rng = np.random.default_rng(3)
    cell = 4 * np.eye(3) + rng.uniform(-0.6, 0.6, (3, 3))
    positions = rng.uniform(0, 4, (30, 3))
    edges = bin_edges(7.0, 0.1)
    distances = find_neighbours(positions, 7.0, cell).distance
    np.testing.assert_array_equal(2 * pair_counts(positions, edges, cell), np.histogram(distances, edges)[0])


def test_an_ideal_gas_in_a_periodic_box_has_a_distribution_of_one():
    positions = np.random.default_rng(0).uniform(0, 20, (4000, 3))
    edges = bin_edges(8.0, 0.5)
    g = periodic_rdf(pair_counts(positions, edges, 20 * np.eye(3)), edges, 4000, 8000.0)
    np.testing.assert_allclose(g[2:], 1.0, atol=0.03)


def test_atoms_without_a_finite_position_are_left_out():
    positions = np.array([[0, 0, 0], [np.nan, 0, 0], [1.0, 0, 0], [0, np.inf, 0]])
    edges = bin_edges(2.0, 0.5)
    assert pair_counts(positions, edges).tolist() == [0, 0, 1, 0]
    assert np.isfinite(tutorial_rdf(pair_counts(positions, edges), edges, positions)).all()


@pytest.mark.parametrize(
    ("basis", "shells"),
    [(FCC, (np.sqrt(0.5), 1.0)), (BCC, (np.sqrt(0.75), 1.0)), ([[0, 0, 0]], (1.0, np.sqrt(2)))],
    ids=["fcc", "bcc", "sc"],
)
def test_an_ideal_particle_has_its_cutoff_between_the_first_two_shells(basis, shells):
    edges = bin_edges(20.0, 0.02)
    cutoff, error, _ = first_minimum(pair_counts(lattice(5, basis), edges), edges)
    middle, gap = 4.0 * np.mean(shells), 4.0 * np.diff(shells)[0]
    assert abs(cutoff - middle) < 0.1 * gap
    assert 0 < error < gap / np.sqrt(12)


@given(st.floats(0.3, 3.0))
@settings(max_examples=20, deadline=None)
def test_the_cutoff_scales_with_the_particle(scale):
    rng = np.random.default_rng(1)
    positions = lattice(5, FCC) + rng.normal(0, 0.12, (500, 3))
    edges = bin_edges(10.0, 0.02)
    one = first_minimum(pair_counts(positions, edges), edges)
    other = first_minimum(pair_counts(positions * scale, edges * scale), edges * scale)
    np.testing.assert_allclose(np.array(other), np.array(one) * scale, rtol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_thermal_noise_moves_the_cutoff_no_further_than_its_error_says(seed):
    rng = np.random.default_rng(seed)
    edges = bin_edges(10.0, 0.02)
    ideal = 4.0 * (np.sqrt(0.5) + 1) / 2
    cutoff, error, _ = first_minimum(pair_counts(lattice(4, FCC) + rng.normal(0, 0.1, (256, 3)), edges), edges)
    assert abs(cutoff - ideal) < 3 * error


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_too_few_atoms_for_a_second_shell_have_no_cutoff(n):
    positions = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]], float)[:n]
    edges = bin_edges(4.0, 0.02)
    counts = pair_counts(positions, edges)
    assert counts.sum() == n * (n - 1) / 2
    assert np.isnan(first_minimum(counts, edges)[:2]).all()
