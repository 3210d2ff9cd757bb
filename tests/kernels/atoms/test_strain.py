from functools import cache

import numpy as np
import pytest
from crystals import fitted
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.kinds import FCC
from stemdask.kernels.atoms.lattices import LATTICES
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.strain import atomic_strain
from stemdask.simulate import nanocrystal

A = 3.92
STRAIN = np.array([[0.02, 0.005, 0], [0.005, -0.01, 0.003], [0, 0.003, 0.015]])


def strained(positions, parameter=A, **options):
    near = find_neighbours(positions, 1.22 * A / np.sqrt(2))
    fit = fitted(positions, A / np.sqrt(2))
    edges = np.full(3, parameter)
    return atomic_strain(near, fit.site, fit.on_site, fit.orientation, LATTICES[FCC], edges, **options)


@cache
def particle():
    return nanocrystal(24, lattice_parameter=A).positions


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_known_strain_is_found_in_the_axes_of_the_crystal_however_it_is_turned(seed):
    random = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(random.uniform(-0.3, 0.3, 3)).as_matrix()
    found = strained(particle() @ (turn @ (np.eye(3) + STRAIN)).T + random.normal(size=3))
    np.testing.assert_allclose(found.strain, np.broadcast_to(STRAIN, found.strain.shape), atol=1e-9)
    np.testing.assert_allclose(found.volume, np.linalg.det(np.eye(3) + STRAIN) - 1, atol=1e-9)
    np.testing.assert_allclose(found.rotation, 0, atol=1e-4)


def test_one_percent_longer_bonds_read_one_percent():
    found = strained(particle() * 1.01)
    np.testing.assert_allclose(found.strain, np.broadcast_to(0.01 * np.eye(3), found.strain.shape), atol=1e-9)


def test_the_error_is_the_scatter_over_repeated_measurements():
    random = np.random.default_rng(0)
    runs = [strained(particle() + random.normal(scale=0.05, size=particle().shape)) for _ in range(40)]
    strains = np.array([run.strain for run in runs])
    scatter = strains[:, :, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]].std(axis=0, ddof=1)
    errors = np.array([run.error for run in runs])
    stated = np.sqrt((errors**2).mean())
    scatter = np.sqrt((scatter**2).mean(axis=0))
    # One error stands for all components: those along the axes scatter more than the shears, which are means of two.
    assert scatter[:3].mean() == pytest.approx(stated, rel=0.1)
    assert 0.6 * stated < scatter[3:].mean() < stated


def test_a_bent_crystal_turns_and_stretches_from_place_to_place():
    ideal, radius = particle(), 150.0
    angle = ideal[:, 0] / radius
    bent = np.column_stack(
        [(radius + ideal[:, 2]) * np.sin(angle), ideal[:, 1], (radius + ideal[:, 2]) * np.cos(angle) - radius]
    )
    found = strained(bent)
    inner = np.linalg.norm(ideal, axis=1) < 8
    np.testing.assert_allclose(found.strain[inner, 0, 0], ideal[inner, 2] / radius, atol=0.003)
    np.testing.assert_allclose(found.rotation[inner], np.abs(np.degrees(angle[inner])), atol=0.3)


def test_atoms_with_too_few_or_flat_bonds_have_no_strain():
    positions = particle()
    counts = find_neighbours(positions, 1.22 * A / np.sqrt(2)).counts
    found = strained(positions, min_bonds=7)
    np.testing.assert_array_equal(np.isnan(found.volume), counts < 7)
    assert np.isnan(found.strain[np.isnan(found.volume)]).all()


@pytest.mark.claims
def test_inside_the_crystal_the_strain_is_that_of_ovito():
    pytest.importorskip("ovito")
    from ovito.data import DataCollection
    from ovito.modifiers import ElasticStrainModifier

    positions = particle() @ (np.eye(3) + STRAIN) + np.random.default_rng(0).normal(scale=0.05, size=particle().shape)
    data = DataCollection()
    data.create_cell(100 * np.eye(3), pbc=(False, False, False))
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    crystal = ElasticStrainModifier.Lattice.FCC
    data.apply(
        ElasticStrainModifier(
            lattice_constant=A, input_crystal_structure=crystal, axial_ratio=1.0, calculate_deformation_gradients=True
        )
    )
    theirs = np.array(data.particles["Elastic Deformation Gradient"]).reshape(-1, 3, 3)
    core = np.linalg.det(theirs) != 0
    assert core.sum() > 100
    np.testing.assert_allclose(strained(positions).volume[core], np.linalg.det(theirs[core]) - 1, atol=1e-9)
