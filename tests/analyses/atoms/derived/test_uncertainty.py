import numpy as np
import pytest

from stemdask.analyses import chain
from stemdask.analyses.atoms.derived.uncertainty import ASSUMED, BOUND, GIVEN
from stemdask.analyses.atoms.order.rdf import RdfParams
from stemdask.analyses.atoms.shape.shape import ShapeParams
from stemdask.config.document import Document
from stemdask.errors import StemdaskError
from stemdask.model import AtomsFrame, Step
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal


def analysed(frame, analyses=None, **params):
    chosen, problems = steps(Document({"analyses": {**(analyses or {}), "uncertainty": params}}), "atoms")
    assert problems == []
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return chain.analyse("atoms", chosen, frame)


def measured(sigma, seed=0, index=0, diameter=21.2):
    particle = nanocrystal(diameter)
    noise = np.random.default_rng(seed).normal(scale=sigma, size=particle.positions.shape)
    return AtomsFrame(index, particle.positions + noise, particle.numbers)


def test_the_stated_error_is_the_scatter_over_repeated_measurements():
    repeated = [analysed(measured(0.1, seed), coordinate_error=0.1, n_samples=20) for seed in range(10)]
    for path, name in (
        ("particle/diameter", "diameter"),
        ("atoms/mean_bond_length", "mean_bond_length"),
        ("atoms/crystallinity", "crystallinity"),
    ):
        values = np.array([found[path].mean() for found in repeated])
        stated = np.mean([found[f"uncertainty/{name}"] for found in repeated])
        assert values.std(ddof=1) == pytest.approx(stated, rel=0.6), name  # nine degrees of freedom


def test_errors_of_the_coordinates_take_order_away_and_the_shift_says_so():
    found = analysed(measured(0.05), coordinate_error=0.2)
    assert found["uncertainty/crystallinity_shift"] < -3 * found["uncertainty/crystallinity"]
    assert found["uncertainty/n_disordered_shift"] > 0


def test_a_longer_cutoff_counts_more_neighbours_at_the_rate_stated():
    frame = measured(0.25)
    cutoff = 3.3
    found = analysed(frame, {"rdf": {"cutoff": cutoff}}, n_samples=2, cutoff_step=0.1)
    more, less = (
        analysed(measured(0.25), {"rdf": {"cutoff": cutoff + moved}}, n_samples=2)["atoms/n_neighbors"].mean()
        for moved in (0.1, -0.1)
    )
    assert found["uncertainty/n_neighbors_slope"] == pytest.approx((more - less) / 0.2)
    assert found["uncertainty/n_neighbors_slope"] > 0
    assert found["uncertainty/mean_coordination_slope"] == found["uncertainty/n_neighbors_slope"]


@pytest.mark.parametrize(("sigma", "expected"), [(0.06, 0.06), (0.15, 0.15), (0.3, 0.2)])
def test_an_error_that_the_lattice_leaves_no_room_for_is_replaced_by_its_bound(sigma, expected):
    found = analysed(measured(sigma), n_samples=2)
    assert found["uncertainty/coordinate_error"] == pytest.approx(expected, rel=0.1)
    assert found["uncertainty/coordinate_error_from"] == (BOUND if sigma < 0.2 else ASSUMED)


def test_a_given_error_of_the_coordinates_holds():
    found = analysed(measured(0.05), n_samples=2, coordinate_error=0.3)
    assert found["uncertainty/coordinate_error"] == pytest.approx(0.3)
    assert found["uncertainty/coordinate_error_from"] == GIVEN


def test_without_a_lattice_the_usual_error_is_assumed():
    gas = AtomsFrame(0, np.random.default_rng(0).uniform(0, 20, (200, 3)), np.full(200, 78, np.uint8))
    found = analysed(gas, n_samples=2)
    assert found["uncertainty/coordinate_error"] == 0.2
    assert found["uncertainty/coordinate_error_from"] == ASSUMED


def test_coordination_by_bulk_distances_does_not_hang_on_the_cutoff():
    found = analysed(measured(0.25), {"coordination": {"rule": "bulk_distance"}}, n_samples=2, cutoff_step=0.1)
    assert found["uncertainty/mean_coordination_slope"] == 0


def test_all_other_results_are_as_without_it():
    chosen, _ = steps(Document({"analyses": {"bond_order": {}, "shape": {}, "coordination": {}}}), "atoms")
    frame = measured(0.1)
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    alone = chain.analyse("atoms", chosen, frame)
    beside = analysed(measured(0.1), n_samples=3)
    for path, array in alone.items():
        np.testing.assert_array_equal(beside[path], array, err_msg=path)


def test_the_random_numbers_belong_to_the_frame():
    first, same, other = (analysed(measured(0.1, index=index), n_samples=3) for index in (4, 4, 5))
    assert first["uncertainty/diameter"] == same["uncertainty/diameter"]
    assert first["uncertainty/diameter"] != other["uncertainty/diameter"]


def test_any_result_can_be_named_and_an_unknown_one_is_answered_with_those_there_are():
    found = analysed(measured(0.05), {"lattice_fit": {}}, of=["lattice_fit/lattice_parameter"], coordinate_error=0.05)
    stated = found["lattice_fit/lattice_parameter_err"]
    assert found["uncertainty/lattice_parameter"] == pytest.approx(stated, rel=0.6)
    with pytest.raises(StemdaskError, match=r"particle/largest_cluster.*allowed: .*particle/diameter"):
        analysed(measured(0.05), of=["particle/largest_cluster"])


@pytest.mark.parametrize("of", [["diameter"], ["a/b/c"], ["a/n", "b/n"], ["profile/q6"]])
def test_names_that_cannot_be_used_are_refused(of):
    problems = steps(Document({"analyses": {"uncertainty": {"of": of}}}), "atoms")[1]
    assert "of" in problems[0]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_what_is_unknown_has_no_uncertainty(n):
    frame = AtomsFrame(0, 2.7 * np.eye(3)[:n], np.full(n, 78, np.uint8))
    found = analysed(frame, n_samples=2)
    assert np.isnan(found["uncertainty/diameter"])


def test_each_uncertainty_has_the_unit_of_its_number():
    from stemdask.analyses.atoms.derived.uncertainty import UncertaintyParams, outputs

    known = {v.path: v for v in chain.declared("atoms", [Step("shape", ShapeParams()), Step("rdf", RdfParams())])}
    units = {
        v.path: v.units
        for v in outputs(UncertaintyParams(of=("particle/hull_volume", "rdf/cutoff", "atoms/q6")), known)
    }
    assert units["uncertainty/hull_volume"] == units["uncertainty/hull_volume_shift"] == "angstrom^3"
    assert units["uncertainty/hull_volume_slope"] == "angstrom^3/angstrom"
    assert units["uncertainty/cutoff"] == "angstrom"
    assert units["uncertainty/cutoff_slope"] == units["uncertainty/q6"] == "1"


def test_only_the_analyses_that_lead_to_the_results_are_repeated(monkeypatch):
    import dataclasses

    from stemdask.analyses.atoms.order import finite_rdf
    from stemdask.analyses.atoms.shape import shape

    times = {"finite_rdf": 0, "shape": 0}

    def counted(module):
        def run(frame, params):
            times[module.ANALYSIS.name] += 1
            return module.run(frame, params)

        monkeypatch.setattr(module, "ANALYSIS", dataclasses.replace(module.ANALYSIS, run=run))

    counted(finite_rdf)
    counted(shape)
    analysed(measured(0.1), {"finite_rdf": {}}, n_samples=5)
    assert times == {"finite_rdf": 1, "shape": 1 + 5 + 2}
