from functools import cache

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.common_neighbours import classify
from stemdask.kernels.atoms.kinds import FCC
from stemdask.kernels.atoms.lattice_fit import fit_fcc_lattice
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.simulate import nanocrystal

A = 3.92


def fitted(positions, cell=None):
    is_fcc = classify(find_neighbours(positions, 1.55 * A / np.sqrt(2), cell)).kind == FCC
    return fit_fcc_lattice(positions, find_neighbours(positions, 1.22 * A / np.sqrt(2), cell), is_fcc)


@cache
def particle(shape="truncated-octahedron", diameter=24):
    return nanocrystal(diameter, shape=shape, lattice_parameter=A).positions


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_parameter_orientation_and_sites_are_found_in_any_orientation(seed):
    random = np.random.default_rng(seed)
    turn = Rotation.random(rng=random).as_matrix()
    positions = particle(diameter=18) @ turn.T + 10 * random.normal(size=3)
    fit = fitted(positions)
    assert fit.parameter == pytest.approx(A, rel=1e-12)
    assert fit.rms < 1e-12
    assert fit.on_site.all()
    # The found axes are the cube axes in another order: the turn between the two permutes x, y and z.
    between = np.abs(turn.T @ fit.orientation)
    np.testing.assert_allclose(np.sort(between, axis=0), [[0, 0, 0], [0, 0, 0], [1, 1, 1]], atol=1e-9)
    np.testing.assert_allclose(fit.origin + fit.site @ fit.cell.T / 2, positions, atol=1e-9)


def test_the_axes_chosen_are_those_nearest_to_the_axes_of_the_frame():
    turn = Rotation.from_rotvec([0.1, 0.2, -0.15]).as_matrix()
    np.testing.assert_allclose(fitted(particle() @ turn.T).orientation, turn, atol=1e-9)


def test_its_error_is_the_scatter_of_the_parameter_over_repeated_measurements():
    random = np.random.default_rng(0)
    fits = [fitted(particle() + random.normal(scale=0.08, size=particle().shape)) for _ in range(60)]
    parameters = np.array([fit.parameter for fit in fits])
    assert parameters.std() == pytest.approx(np.mean([fit.parameter_err for fit in fits]), rel=0.25)
    assert parameters.mean() == pytest.approx(A, abs=4 * parameters.std() / np.sqrt(60))


def test_a_tetragonal_crystal_keeps_its_edges():
    stretch = np.diag([1.02, 1.0, 0.97])
    fit = fitted(particle() @ stretch)
    np.testing.assert_allclose(np.linalg.norm(fit.cell, axis=0), A * np.diag(stretch), rtol=1e-10)
    assert fit.parameter == pytest.approx(A * np.cbrt(1.02 * 0.97))


def test_the_lattice_ends_at_the_twin_boundaries_of_a_decahedron():
    positions = particle("decahedron", 30)
    fit = fitted(positions)
    assert fit.on_site.mean() < 0.35  # one of five grains, and the boundaries that it shares
    assert fit.rms < 0.02 * A  # an ideal decahedron is strained to close its gap


def test_sites_follow_a_crystal_through_a_periodic_box():
    atoms = bulk("Pt", "fcc", a=A, cubic=True).repeat(4)
    fit = fitted(atoms.positions, np.asarray(atoms.cell))
    assert fit.parameter == pytest.approx(A)
    assert fit.on_site.all()


@pytest.mark.parametrize("n", [0, 1, 2, 13])
def test_without_a_core_there_is_no_lattice(n):
    assert fitted(particle()[:n]) is None
