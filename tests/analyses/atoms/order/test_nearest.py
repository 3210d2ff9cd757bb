import numpy as np
import pytest
from crystals import particle

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps


def analysed(positions, numbers, **params):
    frame = AtomsFrame(0, positions, numbers)
    chosen, problems = steps(Document({"analyses": {"nearest": params}}), "atoms")
    assert problems == []
    prepared = chain.prepare("atoms", chosen, [frame])
    frame.results.update(prepared)
    return prepared | chain.analyse("atoms", chosen, frame)


def test_each_pair_of_elements_has_the_distances_of_the_crystal():
    found = analysed(*particle("CeO2", 14.0, 0.05))
    pairs = list(zip(found["nearest/center"].tolist(), found["nearest/neighbor"].tolist(), strict=True))
    assert pairs == [(8, 8), (8, 58), (58, 8), (58, 58)]
    bond = 5.41 * np.sqrt(3) / 4
    median = dict(zip(pairs, found["nearest/median"], strict=True))
    assert median[58, 8][:6] == pytest.approx(bond, abs=0.12)
    assert median[58, 58][0] == pytest.approx(5.41 / np.sqrt(2), abs=0.12)
    assert (np.diff(found["nearest/mean"], axis=1) >= 0).all()
    order = [found[f"nearest/{name}"] for name in ("min", "median", "max")]
    assert (np.diff(order, axis=0) >= 0).all()


def test_the_nearest_of_any_element_is_kept_for_each_atom():
    positions, numbers = particle("NaCl", 9.0)
    found = analysed(positions, numbers, n_nearest=1)
    apart = np.linalg.norm(positions[:, None] - positions, axis=-1) + 99 * np.eye(len(positions))
    np.testing.assert_allclose(found["atoms/nearest_distance"], apart.min(axis=1))


def test_a_lone_pair_has_one_distance_without_spread():
    found = analysed(np.array([[0.0, 0, 0], [2.5, 0, 0]]), np.array([78, 28], np.uint8), n_nearest=2)
    assert found["nearest/n_atoms"][:, 0].tolist() == [0, 1, 1, 0]
    assert found["nearest/mean"][1, 0] == 2.5
    assert np.isnan(found["nearest/std"]).all()
    assert np.isnan(found["nearest/mean"][1, 1])
