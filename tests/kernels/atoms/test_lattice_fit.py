from functools import cache

import crystals
import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.kinds import BCC, CUBIC_DIAMOND, FCC, HCP, HEXAGONAL_DIAMOND, SIMPLE_CUBIC
from stemdask.kernels.atoms.lattices import LATTICES
from stemdask.simulate import nanocrystal

A = 3.92


def fitted(positions, cell=None):
    return crystals.fitted(positions, A / np.sqrt(2), FCC, cell)


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
    assert fit.size == pytest.approx(A, rel=1e-12)
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
    parameters = np.array([fit.size for fit in fits])
    assert parameters.std() == pytest.approx(np.mean([fit.size_err for fit in fits]), rel=0.25)
    assert parameters.mean() == pytest.approx(A, abs=4 * parameters.std() / np.sqrt(60))


def test_a_tetragonal_crystal_keeps_its_edges():
    stretch = np.diag([1.02, 1.0, 0.97])
    fit = fitted(particle() @ stretch)
    np.testing.assert_allclose(np.linalg.norm(fit.cell, axis=0), A * np.diag(stretch), rtol=1e-10)
    assert fit.size == pytest.approx(A * np.cbrt(1.02 * 0.97))


def test_the_lattice_ends_at_the_twin_boundaries_of_a_decahedron():
    positions = particle("decahedron", 30)
    fit = fitted(positions)
    assert fit.on_site.mean() < 0.35  # one of five grains, and the boundaries that it shares
    assert fit.rms < 0.02 * A  # an ideal decahedron is strained to close its gap


def test_sites_follow_a_crystal_through_a_periodic_box():
    atoms = bulk("Pt", "fcc", a=A, cubic=True).repeat(4)
    fit = fitted(atoms.positions, np.asarray(atoms.cell))
    assert fit.size == pytest.approx(A)
    assert fit.on_site.all()


@pytest.mark.parametrize("n", [0, 1, 2, 13])
def test_without_a_core_there_is_no_lattice(n):
    assert fitted(particle()[:n]) is None


#: Distance of nearest neighbours and edges of the cell.
OTHERS = {
    "Co": (HCP, 2.5, (2.507, np.sqrt(3) * 2.507, 4.069)),
    "Fe": (BCC, 2.485, (2.87, 2.87, 2.87)),
    "Si": (CUBIC_DIAMOND, 2.351, (5.43, 5.43, 5.43)),
    "wurtzite": (HEXAGONAL_DIAMOND, 2.63, (4.3, np.sqrt(3) * 4.3, 7.01)),
    "Po": (SIMPLE_CUBIC, 3.35, (3.35, 3.35, 3.35)),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_the_edges_of_every_kind_of_lattice_are_found_within_their_errors(name, sigma):
    kind, distance, edges = OTHERS[name]
    turn = Rotation.from_rotvec([0.2, -0.5, 0.3]).as_matrix()
    positions, _ = crystals.particle(name, 14.0, sigma)
    fit = crystals.fitted(positions @ turn.T, distance, kind)
    found = np.linalg.norm(fit.cell, axis=0)
    np.testing.assert_allclose(found, edges, atol=1e-9 + 4 * fit.edge_err.max(), rtol=1e-3)
    assert fit.rms == pytest.approx(sigma * np.sqrt(3), rel=0.1, abs=2e-3)
    sites = fit.origin + fit.site / LATTICES[kind].divisions @ fit.cell.T
    away = np.linalg.norm(sites - positions @ turn.T, axis=1)[fit.on_site]
    assert away.max() < 0.02 + 5 * sigma
    assert len(np.unique(fit.site[fit.on_site], axis=0)) == fit.on_site.sum()
