import numpy as np
import pytest
from crystals import particle

from stemdask.analyses import chain
from stemdask.analyses.atoms.shape.lattice_fit import FITTED, NAMES, UNKNOWN
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
    assert found["lattice_fit/reason"] == UNKNOWN


#: Lattice parameter of particles of compounds and metals, and their lattice.
EXPECTED = {
    "Pt": ("fcc", 3.92),
    "Co": ("hcp", 2.507),
    "Fe": ("bcc", 2.87),
    "Si": ("cubic_diamond", 5.43),
    "CeO2": ("fcc", 5.41),
    "NaCl": ("rock_salt", 5.64),
    "FePt": ("fcc", np.cbrt(3.85**2 * 3.71)),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_crystal_has_its_lattice_and_no_strain_against_it(name):
    positions, numbers = particle(name, 14.0, 0.05)
    found = analysed(AtomsFrame(0, positions, numbers))
    lattice, parameter = EXPECTED[name]
    assert found["lattice_fit/reason"] == FITTED
    assert NAMES[int(found["lattice_fit/lattice"])] == lattice
    assert abs(found["lattice_fit/lattice_parameter"] - parameter) < 4 * found["lattice_fit/lattice_parameter_err"]
    assert np.isfinite(found["atoms/strain_volume"]).sum() > 150
    for component in ("xx", "yy", "zz", "xy"):
        assert abs(np.nanmean(found[f"atoms/strain_{component}"])) < 0.004


def test_the_axes_of_an_ordered_alloy_differ_by_its_tetragonality():
    positions, numbers = particle("FePt", 14.0, 0.05)
    found = analysed(AtomsFrame(0, positions, numbers))
    edges = sorted(float(found[f"lattice_fit/a_{axis}"]) for axis in ("100", "010", "001"))
    errors = max(float(found[f"lattice_fit/a_{axis}_err"]) for axis in ("100", "010", "001"))
    np.testing.assert_allclose(edges, [3.71, 3.85, 3.85], atol=4 * errors)


def test_a_decahedron_has_five_lattices_and_no_strain_against_its_own():
    frame = trajectory(nanocrystal(30, "Au", shape="decahedron"), 1, sigma=0.03).read(0)
    found = analysed(frame)
    parameters = found["lattice_fit/grain_parameter"]
    assert np.isfinite(parameters).sum() == 5
    assert np.ptp(parameters[:5]) < 0.05
    assert np.isfinite(found["atoms/strain_volume"]).mean() > 0.4
    assert np.nanmedian(np.abs(found["atoms/lattice_rotation"])) < 1.5


@pytest.mark.golden
def test_the_reconstructed_particle_has_the_lattice_parameter_of_platinum(reference):
    from ase.io import read

    atoms = read(reference / "data" / "stage1_docked_ATMS.pdb")
    found = analysed(AtomsFrame(0, atoms.positions, atoms.numbers.astype(np.uint8)))
    assert found["lattice_fit/lattice_parameter"] == pytest.approx(3.92, abs=0.1)
    assert found["lattice_fit/n_core"] > 80
