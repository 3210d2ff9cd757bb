import numpy as np
import pytest
from crystals import CELLS, inner, particle

from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.voronoi_cells import voronoi_cells
from stemdask.simulate import nanocrystal


@pytest.mark.parametrize(
    ("name", "hole", "index", "n_faces"),
    [
        ("Pt", 2.3, [0, 12, 0, 0], 12),
        ("Co", 2.1, [0, 12, 0, 0], 12),
        ("Fe", 2.0, [0, 6, 0, 8], 14),
        ("Po", 3.3, [0, 6, 0, 0], 6),
        ("Si", 2.6, [12, 0, 0, 4], 16),
    ],
)
def test_crystals_have_the_cells_of_the_textbook(name, hole, index, n_faces):
    crystal = CELLS[name].repeat(2)
    found = voronoi_cells(crystal.positions, hole, crystal.cell[:])
    assert not found.is_open.any()
    np.testing.assert_allclose(found.volume, crystal.get_volume() / len(crystal), rtol=1e-9)
    assert (found.indices == index).all()
    assert (found.n_faces == n_faces).all()


def test_faces_that_noise_opens_at_corners_do_not_count_as_long_as_they_are_small():
    crystal = CELLS["Fe"].repeat(6)
    noise = np.random.default_rng(0).normal(scale=0.03, size=crystal.positions.shape)
    found = voronoi_cells(crystal.positions + noise, 2.2, crystal.cell[:])
    assert (found.indices == [0, 6, 0, 8]).all(axis=1).mean() > 0.95
    assert found.volume.sum() == pytest.approx(crystal.get_volume())


@pytest.mark.parametrize("shape", ["truncated-octahedron", "icosahedron", "decahedron", "cuboctahedron"])
def test_the_cells_of_the_outer_shell_are_open_and_no_others(shape):
    ideal = nanocrystal(24, shape=shape).positions
    outer = find_neighbours(ideal, 3.3).counts < 12
    found = voronoi_cells(ideal + np.random.default_rng(0).normal(scale=0.1, size=ideal.shape), 3.3)
    np.testing.assert_array_equal(found.is_open, outer)
    assert np.isnan(found.volume).sum() == found.is_open.sum()
    assert (found.indices[found.is_open] == -1).all()


@pytest.mark.parametrize(("name", "hole"), [("Si", 2.9), ("CeO2", 2.7), ("Fe", 2.5)])
def test_cells_inside_an_open_structure_are_closed(name, hole):
    positions, _ = particle(name, 14.0, 0.05)
    assert not voronoi_cells(positions, hole).is_open[inner(positions)].any()


def test_a_vacancy_makes_the_cells_around_it_larger():
    crystal = CELLS["Pt"].repeat(4)
    volume = crystal.get_volume() / len(crystal)
    del crystal[0]
    found = voronoi_cells(crystal.positions, 3.3, crystal.cell[:])
    assert (found.volume > 1.01 * volume).sum() == 12
    assert found.volume.sum() == pytest.approx(crystal.get_volume())


@pytest.mark.parametrize(
    "positions",
    [
        np.empty((0, 3)),
        np.zeros((1, 3)),
        2.7 * np.eye(3),
        np.zeros((9, 3)),
        [[2.7 * (k % 4), k // 4, 0] for k in range(16)],
    ],
    ids=["none", "one", "three", "coincident", "plane"],
)
def test_atoms_that_span_no_volume_have_open_cells(positions):
    assert voronoi_cells(positions, 3.3).is_open.all()


def test_missing_coordinates_leave_the_others_as_they_are():
    positions = nanocrystal(20).positions
    without = voronoi_cells(np.delete(positions, 5, axis=0), 3.3)
    positions[5] = np.nan
    found = voronoi_cells(positions, 3.3)
    assert found.is_open[5]
    np.testing.assert_array_equal(np.delete(found.volume, 5), without.volume)
    assert voronoi_cells(positions, np.nan).is_open.all()


@pytest.mark.claims
def test_ovito_and_freud_have_the_same_volumes_and_pyscal3_the_same_indices():
    freud = pytest.importorskip("freud")
    pyscal3 = pytest.importorskip("pyscal3")
    pytest.importorskip("ovito")
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import VoronoiAnalysisModifier

    crystal = CELLS["Pt"].repeat(5)
    crystal.positions += np.random.default_rng(0).normal(scale=0.3, size=crystal.positions.shape)
    crystal.wrap()
    found = voronoi_cells(crystal.positions, 4.0, crystal.cell[:])
    data = ase_to_ovito(crystal)
    data.apply(VoronoiAnalysisModifier())
    np.testing.assert_allclose(found.volume, data.particles["Atomic Volume"][...], rtol=1e-9)
    edge = float(crystal.cell[0, 0])
    diagram = freud.locality.Voronoi().compute((freud.box.Box.cube(edge), crystal.positions - edge / 2))
    np.testing.assert_allclose(found.volume, diagram.volumes, rtol=1e-4)
    pyscal3.find_neighbors(crystal, method="voronoi")
    np.testing.assert_array_equal(found.indices, pyscal3.voronoi_vector(crystal))
