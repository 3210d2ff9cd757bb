import numpy as np
import pytest

from stemdask.kernels.atoms import kinds
from stemdask.kernels.atoms.facets import broken_bonds, hexagonal_planes, nearest_plane, planes, wulff_areas
from stemdask.kernels.atoms.surface_bonds import CRYSTALS, FLUORITE

LOW = [(1, 0, 0), (1, 1, 0), (1, 1, 1)]


@pytest.mark.parametrize(
    ("hkl", "n"), [((1, 0, 0), 6), ((1, 1, 0), 12), ((1, 1, 1), 8), ((3, 1, 1), 24), ((2, 1, 0), 24), ((3, 2, 1), 48)]
)
def test_families_have_the_planes_of_the_cube(hkl, n):
    found = planes([hkl])
    assert len(found.normals) == n
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1)
    np.testing.assert_allclose(found.normals.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("hkl", "n", "from_c"),
    [
        ((0, 0, 1), 2, 0),
        ((1, 0, 0), 6, 90),
        ((1, 1, 0), 6, 90),
        ((1, 0, 1), 12, np.degrees(np.arctan(np.sqrt(32) / 3))),  # tan = 2 c / √3 a
        ((2, 1, 1), 24, np.degrees(np.arctan(np.sqrt(7) * np.sqrt(32) / 3))),
    ],
)
def test_families_of_hexagonal_crystals_have_the_planes_and_the_tilt_of_the_textbook(hkl, n, from_c):
    found = hexagonal_planes([hkl])
    assert len(found.normals) == n
    np.testing.assert_allclose(found.normals.sum(axis=0), 0, atol=1e-12)
    angle = np.degrees(np.arccos(np.abs(found.normals[:, 2])))
    np.testing.assert_allclose(angle, from_c, atol=1e-9)


def test_a_direction_belongs_to_the_nearest_plane_or_to_none():
    every = planes(LOW)
    tilted = np.array([[np.cos(t), np.sin(t), 0] for t in np.radians([0, 10, 22, 40])])
    plane = nearest_plane(np.vstack([tilted, np.zeros(3)]), every, 15.0)
    family = np.where(plane >= 0, every.family[plane], -1)
    assert family.tolist() == [0, 0, -1, 1, -1]


def test_the_broken_bonds_of_fcc_and_bcc_are_those_of_the_textbook():
    np.testing.assert_allclose(broken_bonds(LOW, CRYSTALS[kinds.FCC]), [2 / np.sqrt(3), 3 / np.sqrt(6), 1])
    np.testing.assert_allclose(broken_bonds(LOW, CRYSTALS[kinds.BCC]), [np.sqrt(2), 1, np.sqrt(3 / 2) * 1])


def test_diamond_and_fluorite_are_cut_where_fewest_bonds_are_lost():
    for kind in (kinds.CUBIC_DIAMOND, FLUORITE):
        np.testing.assert_allclose(broken_bonds(LOW, CRYSTALS[kind]), [np.sqrt(3), np.sqrt(3 / 2), 1])
        np.testing.assert_allclose(wulff_areas(LOW, broken_bonds(LOW, CRYSTALS[kind])), [0, 0, 1], atol=1e-9)


def test_hcp_is_cut_by_hand_count():
    """The basal plane cuts 3 bonds for each (√3 / 2) d²; a prism 6 for each √(8/3) d², an atom and its neighbour."""
    basal, prism = broken_bonds([(0, 0, 1), (1, 0, 0)], CRYSTALS[kinds.HCP])
    assert prism / basal == pytest.approx((6 / np.sqrt(8 / 3)) / (3 / (np.sqrt(3) / 2)))


def test_the_wulff_shape_of_broken_bonds_is_the_regular_truncated_octahedron():
    squares, hexagons = 6.0, 12 * np.sqrt(3)
    found = wulff_areas(LOW, broken_bonds(LOW, CRYSTALS[kinds.FCC]))
    np.testing.assert_allclose(found, [squares / (squares + hexagons), 0, hexagons / (squares + hexagons)], atol=1e-9)


@pytest.mark.parametrize(
    ("energies", "expected"),
    [([1, 9, 9], [1, 0, 0]), ([9, 9, 1], [0, 0, 1]), ([9, 1, 9], [0, 1, 0])],
    ids=["cube", "octahedron", "rhombic dodecahedron"],
)
def test_one_cheap_family_makes_its_own_polyhedron(energies, expected):
    np.testing.assert_allclose(wulff_areas(LOW, energies), expected, atol=1e-9)


def test_a_cuboctahedron_has_squares_and_triangles():
    squares, triangles = 6.0, 8 * np.sqrt(3) / 4
    found = wulff_areas([(1, 0, 0), (1, 1, 1)], [1, 2 / np.sqrt(3)])
    np.testing.assert_allclose(found, np.array([squares, triangles]) / (squares + triangles), atol=1e-9)


def test_what_makes_no_shape_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        wulff_areas([(1, 0, 0)], [0.0])
    with pytest.raises(ValueError, match="no plane"):
        planes([(0, 0, 0)])
    with pytest.raises(ValueError, match="no plane"):
        hexagonal_planes([(0, 0, 0)])


@pytest.mark.long
@pytest.mark.parametrize("ratio", [pytest.param(0.8, marks=pytest.mark.slow), 1.3])
def test_ase_builds_particles_of_the_same_shape(ratio):
    """Particles of ASE grow by whole layers, so that their facets scatter about those of the Wulff shape."""
    from ase.cluster import wulff_construction

    from stemdask.kernels.atoms.alpha_shape import alpha_shape

    parts = []
    for n_atoms in (4000, 8000, 16000, 40000):
        built = wulff_construction("Pt", [(1, 0, 0), (1, 1, 1)], [ratio, 1.0], n_atoms, "fcc", rounding="closest")
        surface, every = alpha_shape(built.positions, 3.3), planes([(1, 0, 0), (1, 1, 1)])
        plane = nearest_plane(surface.normals, every, 10.0)
        areas = np.bincount(every.family[plane[plane >= 0]], surface.areas[plane >= 0], 2)
        parts.append(areas / areas.sum())
    np.testing.assert_allclose(np.mean(parts, axis=0), wulff_areas([(1, 0, 0), (1, 1, 1)], [ratio, 1.0]), atol=0.05)
