import itertools

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.distance import pdist

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.kernels.atoms.convex_body import particle_body
from stemdask.kernels.atoms.ideal_gas import pair_distance_probability
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal


def analysed(frame, rdf=None, **params):
    chosen, problems = steps(Document({"analyses": {"rdf": rdf or {}, "finite_rdf": params}}), "atoms")
    assert problems == []
    prepared = chain.prepare("atoms", chosen, [frame])
    frame.results.update(prepared)
    return prepared | chain.analyse("atoms", chosen, frame)


@pytest.mark.parametrize("shape", ["sphere", "truncated-octahedron", "octahedron", "icosahedron"])
def test_a_crystal_has_on_average_one_at_all_distances_where_the_uncorrected_one_falls_to_zero(shape):
    ideal = nanocrystal(30, shape=shape)
    positions = ideal.positions + np.random.default_rng(0).normal(scale=0.3, size=ideal.positions.shape)
    found = analysed(AtomsFrame(0, positions, ideal.numbers), {"bin_width": "0.1 angstrom"})
    r, counts = found["rdf/r"], found["rdf/counts"]
    edges = np.arange(len(r) + 1) * 0.1
    expected = len(positions) * (len(positions) - 1) / 2 * pair_distance_probability(particle_body(positions), edges)
    known = (r > 4) & (r < 0.8 * pdist(positions).max())
    np.testing.assert_allclose(found["rdf/g_finite"][known], (counts / expected)[known], rtol=1e-9)
    # Shells of a crystal even out over windows of 3 angstrom.
    window = (r[known] / 3).astype(int)
    sums = np.bincount(window, counts[known]), np.bincount(window, expected[known])
    mean = sums[0][sums[1] > 0] / sums[1][sums[1] > 0]
    assert np.abs(mean - 1).max() < 0.15
    assert found["rdf/g"][known][-10:].mean() < 0.4


def test_an_ideal_gas_in_a_box_that_its_hull_shows_has_one():
    corners = np.array(list(itertools.product([0.0, 30.0], repeat=3)))
    random = np.random.default_rng(0)
    found = []
    for _ in range(12):
        gas = np.vstack([corners, random.uniform(0, 30, (2000, 3))]) * [1, 0.5, 0.8]
        frame = AtomsFrame(0, gas, np.full(len(gas), 78, np.uint8))
        found.append(analysed(frame, {"bin_width": "1 angstrom", "r_max": "30 angstrom"}, margin="hull"))
    g = np.array([one["rdf/g_finite"] for one in found])
    error = g.std(axis=0, ddof=1) / np.sqrt(12)
    assert found[0]["rdf/r"][-1] > 0.7 * 30 * np.sqrt(1 + 0.5**2 + 0.8**2)
    assert (np.abs(g.mean(axis=0) - 1) < 4 * error + 0.01)[1:].all()
    assert error[1:25].max() < 0.02


@pytest.mark.golden
@pytest.mark.parametrize("stage", [1, 2])
def test_reconstructed_particles_have_on_average_one_to_four_fifths_of_their_diameter(reference, stage):
    from ase.io import read

    atoms = read(reference / "data" / f"stage{stage}_docked_ATMS.pdb")
    found = analysed(AtomsFrame(0, atoms.positions, atoms.numbers.astype(np.uint8)))
    r, smooth = found["rdf/r"], np.convolve(found["rdf/g_finite"], np.ones(125) / 125, "same")
    far = (r > 6) & (r < 0.8 * pdist(atoms.positions).max())
    assert np.abs(smooth[far] - 1).max() < 0.15
    assert smooth[far].mean() == pytest.approx(1, abs=0.02)


def test_partial_distributions_add_up_to_the_whole_by_their_numbers_of_pairs():
    particle = nanocrystal(22)
    random = np.random.default_rng(0)
    numbers = random.choice([78, 79], len(particle.positions), p=[0.7, 0.3]).astype(np.uint8)
    positions = particle.positions + random.normal(scale=0.1, size=particle.positions.shape)
    found = analysed(AtomsFrame(0, positions, numbers))
    assert list(zip(found["rdf/pair_element_1"], found["rdf/pair_element_2"], strict=True)) == [
        (78, 78),
        (78, 79),
        (79, 79),
    ]
    a, b = (numbers == 78).sum(), (numbers == 79).sum()
    pairs = np.array([a * (a - 1) / 2, a * b, b * (b - 1) / 2])
    known = np.isfinite(found["rdf/g_finite"])
    whole = (pairs @ found["rdf/g_partial"])[known] / pairs.sum()
    np.testing.assert_allclose(whole, found["rdf/g_finite"][known], atol=1e-12)


def test_an_ordered_alloy_has_neighbours_of_the_other_element_only():
    atoms = bulk("NaCl", "rocksalt", a=4.0, cubic=True).repeat(4)
    found = analysed(
        AtomsFrame(0, atoms.positions, atoms.numbers.astype(np.uint8), np.asarray(atoms.cell), (True, True, True)),
        {"r_max": "7 angstrom"},
    )
    first = (found["rdf/r"] > 1.9) & (found["rdf/r"] < 2.1)
    same, other, _ = found["rdf/g_partial"]
    assert same[first].sum() == 0
    r, width = found["rdf/r"][first], 0.02
    shell = 4 / 3 * np.pi * ((r + width / 2) ** 3 - (r - width / 2) ** 3)
    density = 4 / 4.0**3  # four atoms of each element in a cubic cell
    assert (other[first] * density * shell).sum() == pytest.approx(6)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_atoms_that_span_no_volume_have_no_distribution(n):
    found = analysed(AtomsFrame(0, 2.7 * np.eye(3)[:n], np.full(n, 78, np.uint8)))
    assert np.isnan(found["rdf/g_finite"]).all()
    assert np.isnan(found["rdf/g_partial"]).all()
