import numpy as np
import pytest

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal, trajectory


def analysed(frame, **params):
    chosen, problems = steps(Document({"analyses": {"lattice_fit": params}}), "atoms")
    assert problems == []
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return chain.analyse("atoms", chosen, frame)


def test_strain_against_the_bulk_and_against_the_own_core_differ_by_the_lattice_parameter():
    frame = trajectory(nanocrystal(24, lattice_parameter=3.90), 1, sigma=0.03).read(0)
    bulk, own = analysed(frame, lattice_parameter="3.92 angstrom"), analysed(frame)
    parameter, error = own["lattice_fit/lattice_parameter"], own["lattice_fit/lattice_parameter_err"]
    assert abs(parameter - 3.90) < 4 * error
    assert np.nanmean(bulk["atoms/strain_volume"]) == pytest.approx((3.90 / 3.92) ** 3 - 1, abs=0.002)
    assert np.nanmean(own["atoms/strain_volume"]) == pytest.approx(0, abs=0.003)
    assert np.nanmedian(own["atoms/distance_to_site"]) == pytest.approx(0.03 * 1.54, rel=0.15)


def test_a_particle_without_a_crystalline_core_has_no_lattice():
    gas = np.random.default_rng(0).uniform(0, 20, (200, 3))
    found = analysed(AtomsFrame(0, gas, np.full(200, 78, np.uint8)))
    assert np.isnan(found["lattice_fit/lattice_parameter"])
    assert np.isnan(found["atoms/strain_xx"]).all()
    assert found["lattice_fit/n_core"] == 0


@pytest.mark.golden
def test_the_reconstructed_particle_has_the_lattice_parameter_of_platinum(reference):
    from ase.io import read

    atoms = read(reference / "data" / "stage1_docked_ATMS.pdb")
    found = analysed(AtomsFrame(0, atoms.positions, atoms.numbers.astype(np.uint8)))
    assert found["lattice_fit/lattice_parameter"] == pytest.approx(3.92, abs=0.1)
    assert found["lattice_fit/n_core"] > 80
