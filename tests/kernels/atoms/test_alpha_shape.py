import numpy as np
import pytest
from scipy.spatial import ConvexHull

from stemdask.kernels.atoms.alpha_shape import alpha_shape
from stemdask.simulate import nanocrystal


@pytest.mark.parametrize("shape", ["truncated-octahedron", "octahedron", "cuboctahedron", "icosahedron"])
@pytest.mark.parametrize("radius", [2.5, 3.3, 8.0])
def test_a_convex_crystal_has_the_surface_of_its_hull_whatever_the_probe(shape, radius):
    positions = nanocrystal(22, shape=shape).positions
    hull, found = ConvexHull(positions), alpha_shape(positions, radius)
    assert found.area == pytest.approx(hull.area)
    assert found.volume == pytest.approx(hull.volume)
    assert (np.einsum("ij,ij->i", found.normals, positions[found.triangles].mean(axis=1)) > 0).all()
    np.testing.assert_allclose(found.areas @ found.normals, 0, atol=1e-6)


def test_a_dent_and_a_hole_inside_add_to_the_surface_and_take_from_the_volume():
    positions = nanocrystal(30, shape="cuboctahedron").positions
    whole = alpha_shape(positions, 3.3)
    hollow = alpha_shape(positions[np.linalg.norm(positions, axis=1) > 5], 3.3)
    assert hollow.area > 1.1 * whole.area
    assert hollow.volume < 0.98 * whole.volume
    np.testing.assert_allclose(hollow.areas @ hollow.normals, 0, atol=1e-6)
    chipped = positions[np.linalg.norm(positions - [9.8, 0, 0], axis=1) > 7]
    assert alpha_shape(chipped, 3.3).volume < ConvexHull(chipped).volume - 50


def test_a_ball_of_a_fine_lattice_has_the_volume_of_a_ball():
    grid = np.stack(np.meshgrid(*[np.arange(-12.0, 13.0)] * 3), -1).reshape(-1, 3)
    found = alpha_shape(grid[np.linalg.norm(grid, axis=1) <= 12], 1.2)
    assert 4 / 3 * np.pi * 11**3 < found.volume < 4 / 3 * np.pi * 12**3
    assert found.area > 4 * np.pi * 11**2


@pytest.mark.parametrize(
    "positions", [np.empty((0, 3)), np.zeros((5, 3)), np.eye(3), [[k % 3, k // 3, 0] for k in range(9)]]
)
def test_atoms_that_fill_no_volume_have_no_surface(positions):
    assert alpha_shape(positions, 3.0) is None


def test_a_probe_that_passes_between_all_atoms_finds_none_and_missing_atoms_are_left_out():
    positions = nanocrystal(16).positions
    assert alpha_shape(positions, 1.0) is None
    assert alpha_shape(positions, np.nan) is None
    without = alpha_shape(np.delete(positions, 7, axis=0), 3.3)
    positions[7] = np.nan
    found = alpha_shape(positions, 3.3)
    assert found.volume == without.volume
    assert 7 not in found.triangles


@pytest.mark.claims
@pytest.mark.parametrize("radius", [2.9, 3.3, 4.0])
def test_ovito_finds_the_same_surface_of_a_rough_particle(radius):
    pytest.importorskip("ovito")
    from ase import Atoms
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import ConstructSurfaceModifier

    positions = nanocrystal(24).positions
    positions = positions + np.random.default_rng(0).normal(scale=0.25, size=positions.shape)
    data = ase_to_ovito(Atoms("Pt" * len(positions), positions + 40, cell=80 * np.eye(3)))
    data.apply(ConstructSurfaceModifier(radius=radius, smoothing_level=0, identify_regions=True))
    found = alpha_shape(positions, radius)
    theirs = data.attributes
    assert found.area == pytest.approx(theirs["ConstructSurfaceMesh.surface_area"], rel=1e-6)
    assert found.volume == pytest.approx(theirs["ConstructSurfaceMesh.filled_volume"], rel=1e-6)
