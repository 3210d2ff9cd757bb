import numpy as np
import pytest

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal


def analysed(positions, analyses):
    frame = AtomsFrame(0, np.asarray(positions, float), np.full(len(positions), 78, np.uint8))
    chosen, problems = steps(Document({"analyses": analyses}), "atoms")
    assert problems == []
    prepared = chain.prepare("atoms", chosen, [frame])
    frame.results.update(prepared)
    return prepared | chain.analyse("atoms", chosen, frame)


def test_a_faceted_particle_is_a_core_within_one_layer_of_surface():
    particle = nanocrystal(21.2)
    found = analysed(particle.positions, {"surface": {}})
    depth, surface = found["atoms/depth"], found["atoms/surface"] == 1
    np.testing.assert_allclose(depth[surface], 0, atol=1e-9)
    # The next layers are {100} and {111} ones; the former are nearer.
    assert depth[~surface].min() == pytest.approx(3.92 / 2)
    assert found["particle/n_surface"] == 174
    assert found["particle/fraction_surface"] == pytest.approx(174 / 314)
    gcn = found["atoms/generalized_coordination"]
    assert gcn[np.argmin(np.linalg.norm(particle.positions, axis=1))] == 12
    assert gcn[surface].max() == pytest.approx(7.5)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_atoms_that_span_no_volume_have_no_depth(n):
    found = analysed(2.7 * np.eye(3)[:n], {"surface": {}})
    assert np.isnan(found["atoms/depth"]).all()
    assert len(found["atoms/surface"]) == n


def test_two_crystals_apart_are_two_clusters_and_a_gas_is_none():
    small, large = nanocrystal(15).positions, nanocrystal(21.2).positions
    found = analysed(
        np.vstack([small, large + np.array([60, 0, 0])]), {"rdf": {"cutoff": "3.41 angstrom"}, "clusters": {}}
    )
    label = found["atoms/cluster"]
    assert found["particle/n_clusters"] == 2
    assert set(label[: len(small)]) <= {1, -1}
    assert set(label[len(small) :]) <= {0, -1}
    assert found["particle/largest_cluster"] == (label == 0).sum()
    gas = np.random.default_rng(0).uniform(0, 20, (300, 3))
    assert analysed(gas, {"rdf": {"cutoff": "3.41 angstrom"}, "clusters": {}})["particle/largest_cluster"] < 20


def test_clusters_hold_crystalline_atoms_only():
    positions = nanocrystal(21.2).positions
    positions = positions + np.random.default_rng(0).normal(scale=0.25, size=positions.shape)
    found = analysed(positions, {"clusters": {"min_atoms": 1}})
    np.testing.assert_array_equal(found["atoms/cluster"] >= 0, found["atoms/crystalline"] == 1)


def test_a_profile_is_the_mean_of_the_atoms_in_each_shell():
    positions = nanocrystal(21.2).positions
    found = analysed(positions, {"radial_profile": {"properties": ["coordination", "crystalline"], "width": 2.5}})
    radius = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    assert found["profile/n"].sum() == len(positions)
    for k, middle in enumerate(found["profile/shell"]):
        chosen = np.abs(radius - middle) <= 1.25
        if chosen.any():
            assert found["profile/coordination"][k] == pytest.approx(found["atoms/coordination"][chosen].mean())
    assert found["profile/coordination"][0] == 12
    assert found["profile/coordination"][-1] < 8
    assert np.nanmin(found["profile/coordination_err"]) >= 0
    assert np.nanmax(found["profile/crystalline"]) <= 1


def test_a_profile_by_depth_begins_at_the_surface():
    found = analysed(nanocrystal(21.2).positions, {"radial_profile": {"by": "depth", "properties": ["coordination"]}})
    profile = found["profile/coordination"]
    assert profile[0] < 9 < profile[1]


def test_a_property_that_nobody_gives_is_named_with_those_there_are():
    from stemdask.errors import StemdaskError

    with pytest.raises(StemdaskError, match=r"strain_volume.*allowed: .*crystallinity"):
        analysed(nanocrystal(15).positions, {"radial_profile": {"properties": ["strain_volume"]}})


def test_any_property_of_another_analysis_can_be_profiled():
    found = analysed(
        nanocrystal(21.2).positions, {"radial_profile": {"properties": ["strain_volume"]}, "lattice_fit": {}}
    )
    np.testing.assert_allclose(found["profile/strain_volume"][found["profile/n"] > 0], 0, atol=1e-9)


def test_profiles_have_the_units_of_their_properties():
    from stemdask.analyses.atoms.derived.radial_profile import RadialProfileParams, outputs
    from stemdask.analyses.atoms.order import bond_order
    from stemdask.analyses.atoms.shape import lattice_fit

    known = {v.path: v for v in (bond_order.MEAN_BOND_LENGTH, lattice_fit.STRAIN_VOLUME)}
    units = {
        v.path: v.units for v in outputs(RadialProfileParams(properties=("mean_bond_length", "strain_volume")), known)
    }
    assert units["profile/mean_bond_length"] == units["profile/mean_bond_length_err"] == "angstrom"
    assert units["profile/strain_volume"] == "1"
