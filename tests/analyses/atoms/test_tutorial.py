"""The published analysis of a nanocrystal in time, from its own structures to the variables of the store."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from stemdask import simulate
from stemdask.analyses import chain, registry
from stemdask.analyses.atoms.order.bond_order import BondOrderParams
from stemdask.config.document import Document
from stemdask.errors import ConfigError, FrameError
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.sources.atoms.elements import nearest_distance

TUTORIAL = {
    "shape": {},
    "rdf": {},
    "coordination": {"rule": "bulk_distance"},
    "bond_order": {"l": [4, 6], "cutoff": "3.41 angstrom", "convention": "pyboo"},
}


def analyse(config, *frames):
    """Run a config's analyses on frames and return what each stores, the constants included."""
    chosen, problems = steps(Document({"analyses": config}), "atoms")
    assert problems == []
    prepared = chain.prepare("atoms", chosen, list(frames))
    found = []
    for frame in frames:
        frame.results.clear()
        frame.results.update(prepared)
        found.append(prepared | chain.analyse("atoms", chosen, frame))
    return found


def particle(positions, number=78, **more):
    positions = np.asarray(positions, float).reshape(-1, 3)
    return AtomsFrame(0, positions, np.full(len(positions), number, np.uint8), **more)


def golden(reference, name):
    arrays = np.load(reference / "golden" / f"pyboo_{name}.npz")
    return arrays, particle(arrays["pos"])


@pytest.mark.golden
@pytest.mark.parametrize("engine", ["native", "pyboo"])
@pytest.mark.parametrize("name", ["stage1", "stage2", "trunc_octa_ideal"])
def test_every_published_array_is_in_the_store(reference, name, engine):
    if engine == "pyboo" and importlib.util.find_spec("boo") is None:
        pytest.skip("pyboo is not installed; .ci/pyboo builds it")
    published, frame = golden(reference, name)
    config = TUTORIAL | {"bond_order": TUTORIAL["bond_order"] | {"engine": engine}}
    (found,) = analyse(config, frame)
    names = {
        "q4": "q4", "q6": "q6", "q4_avg": "Q4", "q6_avg": "Q6", "w4": "w4", "w6": "w6", "w4_avg": "W4", "w6_avg": "W6",
        "crystallinity": "C6", "crystalline": "xtal", "n_neighbors": "Nngb", "mean_bond_length": "dist_to_NNs",
        "coordination": "CN", "distance_to_center": "d_center",
    }  # fmt: skip
    for ours, theirs in names.items():
        np.testing.assert_allclose(found[f"atoms/{ours}"], published[theirs], rtol=0, atol=1e-12, err_msg=ours)
    np.testing.assert_allclose(found["bonds/s6"], published["s6_sorted"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        np.column_stack([found["bonds/atom_1"], found["bonds/atom_2"]]), published["bonds_sorted"]
    )
    histogram = published["CN_hist_counts"]
    np.testing.assert_array_equal(found["particle/coordination_histogram"][: len(histogram)], histogram)
    assert found["particle/coordination_histogram"].sum() == len(published["pos"])
    assert float(found["particle/diameter"]) == pytest.approx(float(published["diameter"]), abs=1e-12)
    shared = min(len(found["rdf/r"]), len(published["r"]))
    np.testing.assert_allclose(found["rdf/g"][:shared], published["gr"][:shared], rtol=1e-13, atol=1e-13)


@pytest.mark.golden
def test_the_published_sentences_come_out(reference):
    _, frame = golden(reference, "stage1")
    (found,) = analyse(TUTORIAL, frame)
    assert f"{float(found['particle/diameter']):5.3f}" == "19.688"
    assert len(frame.positions) == 314
    assert int(found["particle/n_disordered"]) == 2
    assert f"{float(found['particle/fraction_disordered']):5.3f}" == "0.006"


@pytest.mark.golden
@pytest.mark.parametrize("name", ["stage1", "stage2"])
def test_without_any_number_from_the_user_the_flags_are_the_published_ones(reference, name):
    published, frame = golden(reference, name)
    (found,) = analyse({"bond_order": {"convention": "pyboo"}}, frame)
    changed = (found["atoms/crystalline"] != published["xtal"]).mean()
    assert changed < 0.01
    assert np.array_equal(found["atoms/crystalline"] == 1, found["atoms/crystalline_margin"] > 0)


def test_one_shared_cutoff_holds_for_all_frames():
    source = simulate.trajectory(simulate.nanocrystal(14.0), 4, sigma=0.1)
    found = analyse({"rdf": {"cutoff": "shared"}}, *(source.read(k) for k in range(4)))
    assert len({float(one["rdf/cutoff"]) for one in found}) == 1
    own = analyse({"rdf": {}}, *(source.read(k) for k in range(4)))
    low, high = (limit(float(one["rdf/cutoff"]) for one in own) for limit in (min, max))
    assert low - 0.02 <= float(found[0]["rdf/cutoff"]) <= high + 0.02
    assert float(found[0]["rdf/cutoff_err"]) <= max(float(one["rdf/cutoff_err"]) for one in own)


def test_a_given_cutoff_is_used_as_it_is():
    frame = simulate.trajectory(simulate.nanocrystal(12.0), 1, sigma=0.05).read(0)
    (found,) = analyse({"rdf": {"cutoff": "3.3 angstrom"}, "bond_order": {}}, frame)
    assert float(found["rdf/cutoff"]) == pytest.approx(3.3, rel=1e-15)
    assert float(found["rdf/cutoff_err"]) == 0


def test_variables_follow_the_degrees():
    frame = simulate.trajectory(simulate.nanocrystal(12.0), 1, sigma=0.05).read(0)
    (found,) = analyse({"bond_order": {"l": [3, 8]}}, frame)
    assert {"atoms/q3", "atoms/q3_avg", "atoms/q8", "atoms/q8_avg", "atoms/w8", "atoms/w8_avg"} <= set(found)
    assert not {"atoms/w3", "atoms/q6"} & set(found)
    (plain,) = analyse({"bond_order": {}}, frame)
    np.testing.assert_allclose(found["bonds/s6"], plain["bonds/s6"], atol=1e-13)


@pytest.mark.parametrize("rule", ["nearest", "sann", "voronoi"])
def test_bonds_of_any_rule_join_each_pair_once(rule):
    frame = simulate.trajectory(simulate.nanocrystal(14.0), 1, sigma=0.1).read(0)
    (found,) = analyse({"bond_order": {"neighbours": rule}}, frame)
    low, high = found["bonds/atom_1"], found["bonds/atom_2"]
    assert (low < high).all()
    assert len(np.unique(np.column_stack([low, high]), axis=0)) == len(low) > 0
    assert np.isfinite(found["bonds/s6"]).all()


@pytest.mark.parametrize("n", [1, 2])
def test_an_atom_or_two_give_missing_values(n):
    (found,) = analyse(TUTORIAL | {"bond_order": {}}, particle(np.eye(3)[:n] * 2.7))
    for path in ("atoms/q6", "atoms/q6_avg", "atoms/w4", "atoms/crystallinity", "atoms/mean_bond_length"):
        assert np.isnan(found[path]).all(), path
    assert np.isnan(found["rdf/cutoff"])
    assert np.isnan(found["particle/hull_volume"])
    assert found["atoms/crystalline"].tolist() == [0] * n


def test_a_periodic_crystal_is_bulk_everywhere():
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    fcc = (grid + np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])).reshape(-1, 3) * 3.92
    frame = particle(fcc, cell=4 * 3.92 * np.eye(3), periodic=(True, True, True))
    (found,) = analyse({"coordination": {}, "bond_order": {}}, frame)
    assert set(found["atoms/coordination"].tolist()) == {12}
    np.testing.assert_allclose(found["atoms/q6"], 0.57452, atol=1e-5)
    assert int(found["particle/n_disordered"]) == 0


@pytest.mark.parametrize(
    ("number", "distance"),
    [(78, 3.912 / np.sqrt(2)), (79, 4.0782 / np.sqrt(2)), (26, 2.87 * np.sqrt(0.75)), (27, 2.51)],
)
def test_nearest_distances_follow_the_bulk_structure(number, distance):
    assert nearest_distance(number) == pytest.approx(distance)


def test_coordination_is_stored_by_both_rules_with_the_distances_it_comes_from():
    frame = simulate.trajectory(simulate.nanocrystal(14.0, "Au"), 1, sigma=0.05).read(0)
    by_minimum, by_bulk = (
        analyse({"coordination": {"rule": rule}}, frame)[0] for rule in ("first_minimum", "bulk_distance")
    )
    np.testing.assert_array_equal(by_minimum["atoms/coordination"], by_bulk["atoms/coordination_first_minimum"])
    np.testing.assert_array_equal(by_bulk["atoms/coordination"], by_minimum["atoms/coordination_bulk_distance"])
    assert by_minimum["coordination/cutoff"].tolist() == [float(by_minimum["rdf/cutoff"])]
    assert by_minimum["coordination/cutoff_err"].tolist() == [float(by_minimum["rdf/cutoff_err"])]
    assert by_bulk["coordination/cutoff"] == pytest.approx([1.2 * 4.0782 / np.sqrt(2)])
    assert np.isnan(by_bulk["coordination/cutoff_err"]).all()


def test_a_frame_of_which_most_atoms_have_no_neighbour_fails_in_words():
    in_voxels = particle(simulate.nanocrystal(14.0).positions / 0.3434)
    with pytest.raises(FrameError, match=r"atoms have no neighbour.*input\.scale"):
        analyse({"coordination": {"rule": "bulk_distance"}}, in_voxels)


def test_in_a_compound_atoms_of_one_element_are_no_neighbours_and_the_pairs_say_so():
    grid = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), -1).reshape(-1, 3)
    numbers = np.where(grid.sum(axis=1) % 2, 11, 17).astype(np.uint8)
    frame = AtomsFrame(0, 2.82 * grid, numbers, 8 * 2.82 * np.eye(3), (True, True, True))
    (found,) = analyse({"coordination": {}}, frame)
    pairs = list(zip(found["coordination/element_1"], found["coordination/element_2"], strict=True))
    assert pairs == [(11, 11), (11, 17), (17, 17)]
    assert found["coordination/cutoff"][[0, 2]].tolist() == [0, 0]
    assert 2.82 < found["coordination/cutoff"][1] < 4.9
    assert set(found["atoms/coordination"].tolist()) == {6}
    assert set(found["atoms/coordination_same_element"].tolist()) == {0}


def test_a_given_lattice_parameter_sets_the_cutoff_of_coordination():
    frame = particle([[0, 0, 0], [3.2, 0, 0]], number=78)
    (near,) = analyse({"coordination": {}}, frame)
    (far,) = analyse({"coordination": {"lattice_parameter": "3.7 angstrom"}}, frame)
    assert near["atoms/coordination"].tolist() == [1, 1]
    assert far["atoms/coordination"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "wrong", [{"l": [5, 6]}, {"neighbours": "sann"}, {"convention": "lechner-dellago"}], ids=["odd", "rule", "average"]
)
def test_what_pyboo_cannot_do_is_refused_before_the_run(wrong):
    with pytest.raises(ValidationError, match="engine pyboo can't do"):
        BondOrderParams(**({"engine": "pyboo", "convention": "pyboo"} | wrong))


def test_a_missing_pyboo_is_told_before_the_run_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "boo", None)
    analysis = registry.get("atoms", "bond_order")
    with pytest.raises(ConfigError, match=r"scipy<1\.17"):
        analysis.prepare([], BondOrderParams(engine="pyboo", convention="pyboo"))
