import numpy as np
import pytest
from crystals import inner, particle

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps


def analysed(positions, numbers, **params):
    frame = AtomsFrame(0, positions, numbers)
    chosen, problems = steps(Document({"analyses": {"centrosymmetry": params}}), "atoms")
    assert problems == []
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return chain.analyse("atoms", chosen, frame)


@pytest.mark.parametrize(("name", "n_paired"), [("Pt", 12), ("Fe", 8), ("NaCl", 6), ("FePt", 12), ("Co", 12)])
def test_as_many_neighbours_are_paired_as_the_lattice_has(name, n_paired):
    positions, numbers = particle(name)
    found = analysed(positions, numbers)
    assert found["particle/centrosymmetry_neighbors"] == n_paired
    if name != "Co":  # hcp has no centre of symmetry
        np.testing.assert_allclose(found["atoms/centrosymmetry"][inner(positions)], 0, atol=1e-9)


def test_a_number_that_is_given_is_taken():
    positions, numbers = particle("Fe")
    assert analysed(positions, numbers, n_neighbors=12)["particle/centrosymmetry_neighbors"] == 12


def test_an_odd_number_is_refused_before_the_run():
    _, problems = steps(Document({"analyses": {"centrosymmetry": {"n_neighbors": 7}}}), "atoms")
    assert len(problems) > 0


def test_the_core_of_a_cold_particle_has_less_of_it_than_its_surface():
    positions, numbers = particle("Pt", sigma=0.05)
    found = analysed(positions, numbers)
    outside = found["atoms/surface"] == 1
    assert found["particle/centrosymmetry_core"] == pytest.approx(9 * 12 * 0.05**2, rel=0.25)
    assert np.median(found["atoms/centrosymmetry"][outside]) > 20 * found["particle/centrosymmetry_core"]
