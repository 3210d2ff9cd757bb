import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from stemdask.kernels.atoms.debye import debye_intensity, structure_factor
from stemdask.kernels.atoms.form_factors import form_factor
from stemdask.simulate import nanocrystal

Q = 0.05 * np.arange(1, 401)


def test_two_atoms_interfere_by_the_sine_of_their_distance():
    factors = np.array([Q, 2 + Q])
    found = debye_intensity(np.array([[0.0, 0, 0], [1.2, 1.6, 0]]), np.array([0, 1]), factors, Q)
    expected = factors[0] ** 2 + factors[1] ** 2 + 2 * factors[0] * factors[1] * np.sin(2 * Q) / (2 * Q)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_it_is_the_double_sum_over_all_atoms_of_an_alloy():
    random = np.random.default_rng(0)
    positions, species = random.uniform(-12, 12, (300, 3)), random.integers(0, 3, 300)
    factors = np.stack([form_factor(number, Q) for number in (8, 28, 78)])
    f, r = factors[species], squareform(pdist(positions))
    expected = [f[:, k] @ np.sinc(q * r / np.pi) @ f[:, k] for k, q in enumerate(Q)]
    np.testing.assert_allclose(debye_intensity(positions, species, factors, Q), expected, rtol=1e-6)


def test_forward_scattering_is_that_of_all_electrons_at_once():
    particle = nanocrystal(12).positions
    n = len(particle)
    total = debye_intensity(particle, np.zeros(n, int), np.full((1, 1), 78.0), np.array([1e-4]))
    assert total[0] == pytest.approx((78 * n) ** 2, rel=1e-5)


def test_a_crystal_has_peaks_where_bragg_puts_them():
    particle, a = nanocrystal(40).positions, 3.92
    q = np.linspace(2.0, 5.6, 901)
    factors = np.ones((1, len(q)))
    species = np.zeros(len(particle), int)
    s = structure_factor(debye_intensity(particle, species, factors, q), species, factors)
    for hkl in ((1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1)):
        at = 2 * np.pi / a * np.linalg.norm(hkl)
        near = np.abs(q - at) < 0.12
        assert q[near][np.argmax(s[near])] == pytest.approx(at, abs=0.02)


def test_atoms_far_from_each_other_scatter_alone():
    positions = 1e3 * np.arange(3.0)[:, None] * [1, 0, 0]
    factors = np.stack([form_factor(n, Q) for n in (28, 78)])
    species = np.array([0, 1, 1])
    s = structure_factor(debye_intensity(positions, species, factors, Q), species, factors)
    np.testing.assert_allclose(s, 1, atol=0.05)
    assert np.isnan(structure_factor(np.zeros(400), np.empty(0, int), factors)).all()


def test_atoms_out_of_all_proportion_are_refused():
    with pytest.raises(ValueError, match=r"lie up to 1e\+09 apart"):
        debye_intensity(np.array([[0.0, 0, 0], [1e9, 0, 0]]), np.zeros(2, int), np.ones((1, 400)), Q)


@pytest.mark.parametrize("symbol", ["C", "O", "Ni", "Pd", "Ag", "Pt", "Au"])  # its copper has 28.5 electrons
def test_form_factors_are_those_that_ase_has_for_some_elements(symbol):
    from ase.data import atomic_numbers
    from ase.utils.xrdebye import XrDebye

    theirs = XrDebye([], 1.54).get_waasmaier
    for q in (0.5, 2.0, 5.0, 10.0):  # theirs is a function of q / 4π
        found = form_factor(atomic_numbers[symbol], [q])[0]
        assert found == pytest.approx(theirs(symbol, q / (4 * np.pi)), rel=0.01, abs=0.05)


def test_every_element_to_californium_scatters_as_many_electrons_as_it_has():
    for number in range(1, 99):
        assert form_factor(number, [0.0])[0] == pytest.approx(number, rel=2e-3)
    for number in (0, 99, 118):
        with pytest.raises(ValueError, match=f"atomic number {number}"):
            form_factor(number, [1.0])


@pytest.mark.parametrize("number", [6, 14, 28, 46, 78])
def test_electrons_are_scattered_by_what_the_mott_bethe_formula_leaves_of_the_nucleus(number):
    s = np.array([0.2, 0.4, 0.8])
    expected = 0.023934 * (number - form_factor(number, 4 * np.pi * s)) / s**2
    np.testing.assert_allclose(form_factor(number, 4 * np.pi * s, "electron"), expected, rtol=0.03)


def test_ase_sums_the_same_with_constant_form_factors():
    from ase import Atoms
    from ase.utils.xrdebye import XrDebye

    random = np.random.default_rng(3)
    numbers = random.choice([28, 78], 60)
    positions = random.uniform(0, 9, (60, 3))
    theirs = XrDebye(Atoms(numbers, positions), 1.54, damping=0, method="")
    q = np.array([0.7, 3.3, 9.1])
    factors = np.repeat([[28.0], [78.0]], 3, axis=1)
    found = debye_intensity(positions, (numbers == 78).astype(int), factors, q)
    np.testing.assert_allclose(found, [theirs.get(one / (2 * np.pi)) for one in q], rtol=1e-6)


@pytest.mark.claims
def test_freud_has_the_same_structure_factor_to_single_precision():
    freud = pytest.importorskip("freud")
    positions = nanocrystal(16).positions + np.random.default_rng(0).normal(scale=0.1, size=(201, 3))
    theirs = freud.diffraction.StaticStructureFactorDebye(num_k_values=100, k_max=12.0, k_min=0.1)
    theirs.compute((freud.box.Box.cube(200.0), positions))
    one = np.ones((1, 100))
    q = np.asarray(theirs.k_values, float)
    found = structure_factor(debye_intensity(positions, np.zeros(201, int), one, q), np.zeros(201, int), one)
    np.testing.assert_allclose(found, theirs.S_k, rtol=1e-4, atol=1e-4)
