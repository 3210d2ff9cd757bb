import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal

NAMES = ("{100}", "{110}", "{111}")


def analysed(positions, periodic=False, number=78, **params):
    box = (60 * np.eye(3), (True,) * 3) if periodic else ()
    frame = AtomsFrame(0, np.asarray(positions, float), np.full(len(positions), number, np.uint8), *box)
    chosen, problems = steps(Document({"analyses": {"facets": params}}), "atoms")
    assert problems == []
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return chain.analyse("atoms", chosen, frame)


def shaken(shape, diameter=26.0, sigma=0.1):
    ideal = nanocrystal(diameter, shape=shape).positions
    noise = np.random.default_rng(0).normal(scale=sigma, size=ideal.shape)
    return (ideal + noise) @ Rotation.random(rng=1).as_matrix().T


def test_an_ideal_octahedron_without_corners_has_the_facets_of_geometry():
    positions = nanocrystal(26).positions
    found = analysed(positions)
    hull = ConvexHull(positions)
    cosine = np.abs(hull.equations[:, :3]).max(axis=1)  # 1 for {100}, 1/√3 for {111}
    edges = positions[hull.simplices[:, 1:]] - positions[hull.simplices[:, :1]]
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    np.testing.assert_allclose(
        found["facets/area"], [areas[cosine > 0.9].sum(), 0, areas[cosine < 0.9].sum()], rtol=1e-6
    )
    assert found["facets/surface_area"] == pytest.approx(hull.area)
    assert found["facets/enclosed_volume"] == pytest.approx(hull.volume)
    distance = found["facets/distance"]
    assert distance[0] == pytest.approx(np.abs(positions).max())
    assert distance[2] == pytest.approx((positions @ np.ones(3)).max() / np.sqrt(3))
    assert np.isnan(distance[1])


def test_each_atom_at_the_surface_lies_on_the_facet_of_the_plane_through_it():
    positions = nanocrystal(26).positions
    facet = analysed(positions)["atoms/facet"]
    height = np.stack([np.abs(positions).max(axis=1), np.abs(positions).sum(axis=1) / np.sqrt(3)])
    on = height > height.max(axis=1, keepdims=True) - 1e-6  # on a cube face, on an octahedron's
    assert set(facet[on[0] & ~on[1]]) == {0}
    assert set(facet[on[1] & ~on[0]]) == {2}
    assert (facet[on[0] & on[1]] >= 0).all()
    assert set(facet[~on.any(axis=0)]) == {-1}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("octahedron", [0, 0, 1]), ("cuboctahedron", [0.63, 0, 0.37]), ("icosahedron", [0, 0, 1])],
)
def test_a_shaken_and_turned_polyhedron_keeps_its_facets(shape, expected):
    found = analysed(shaken(shape))
    np.testing.assert_allclose(found["facets/fraction"], expected, atol=0.12)


def test_a_rhombic_dodecahedron_of_bcc_has_110_alone():
    grid = np.stack(np.meshgrid(*[np.arange(-7, 8)] * 3), -1).reshape(-1, 3)
    iron = 2.87 * np.vstack([grid, grid + 0.5])
    normals = np.array([[1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]]) / np.sqrt(2)
    inside = (np.abs(iron @ normals.T) < 2.87 / np.sqrt(2) * 4.01).all(axis=1)
    found = analysed(iron[inside])
    assert found["facets/fraction"][1] > 0.95
    assert found["facets/wulff_fraction"][1] == pytest.approx(1)


def test_given_energies_make_the_wulff_shape():
    found = analysed(nanocrystal(20).positions, families=[[1, 0, 0], [1, 1, 1]], surface_energies=[1.0, 5.0])
    np.testing.assert_allclose(found["facets/wulff_fraction"], [1, 0], atol=1e-9)


#: Edges a and c [angstrom] of cobalt, magnesium and ruthenium, and their atomic numbers.
HEXAGONAL = {"Co": (27, 2.507, 4.069), "Mg": (12, 3.209, 5.211), "Ru": (44, 2.706, 4.282)}


def cut(element, distances, sigma=0.05, seed=1):
    """Return an hcp particle cut by the planes of families, at distances in units of a, shaken and turned; and
    the area of each family: those faces of the convex hull of its sites that are exactly such planes."""
    _, a, c = HEXAGONAL[element]
    crystal = bulk(element, "hcp", a=a, c=c)
    sites = crystal.repeat((44, 44, 22))
    sites = sites.positions - sites.positions.mean(axis=0) + 0.3 * crystal.positions[1]
    reciprocal = np.linalg.inv(crystal.cell[:]).T
    planes = {"{0001}": ((0, 0, 1),), "{10-10}": ((1, 0, 0), (0, 1, 0), (1, -1, 0))}
    planes["{10-11}"] = tuple((h, k, s) for h, k, _ in planes["{10-10}"] for s in (1, -1))
    normals = {name: _unit(np.array(family) @ reciprocal) for name, family in planes.items()}
    inside = np.all([(np.abs(sites @ normals[n].T) < d * a).all(axis=1) for n, d in distances.items()], axis=0)
    hull = ConvexHull(sites[inside])
    edges = hull.points[hull.simplices[:, 1:]] - hull.points[hull.simplices[:, :1]]
    of_face = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    parallel = [(np.abs(hull.equations[:, :3] @ normals[n].T) > 1 - 1e-9).any(axis=1) for n in normals]
    noise = np.random.default_rng(seed).normal(scale=sigma, size=(inside.sum(), 3))
    turned = (sites[inside] + noise) @ Rotation.random(rng=seed).as_matrix().T
    return turned, np.array([of_face[p].sum() for p in parallel])


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("element", HEXAGONAL)
def test_a_hexagonal_prism_has_basal_and_prismatic_facets_though_its_rows_lie_at_two_heights(element):
    positions, areas = cut(element, {"{0001}": 6.4, "{10-10}": 6.4})
    found = analysed(positions, number=HEXAGONAL[element][0])
    np.testing.assert_allclose(found["facets/hexagonal_area"][:2], areas[:2], rtol=0.1)
    assert found["facets/hexagonal_fraction"][2] < 0.06  # where faces meet
    assert np.isnan(found["facets/area"]).all()
    assert set(found["atoms/facet"]) == {-1, 3, 4, 5}


@pytest.mark.parametrize("element", HEXAGONAL)
def test_a_prism_with_pyramids_has_facets_of_three_families(element):
    positions, areas = cut(element, {"{0001}": 9.0, "{10-10}": 10.0, "{10-11}": 10.0})
    found = analysed(positions, number=HEXAGONAL[element][0])
    np.testing.assert_allclose(found["facets/hexagonal_area"][:2], areas[:2], rtol=0.1)
    assert found["facets/hexagonal_area"][2] > 0.9 * areas[2]  # more, by edges that are no exact planes of the hull
    assert 0.95 < found["facets/hexagonal_fraction"].sum() <= 1


def test_facets_of_a_cubic_particle_are_not_hexagonal():
    found = analysed(nanocrystal(26).positions)
    assert np.isnan(found["facets/hexagonal_area"]).all()
    assert found["atoms/facet"].max() < 3


@pytest.mark.parametrize(
    "params",
    [
        {"hexagonal_families": [[0, 0, 0]]},
        {"hexagonal_families": [[1, 0, 0], [0, 1, 0]]},
        {"families": [[0, 0, 0]]},
        {"families": [[1, 0, 0], [0, 0, 1]]},
        {"surface_energies": [1.0]},
        {"surface_energies": [1.0, 2.0, -1.0]},
    ],
)
def test_what_makes_no_sense_is_refused_before_the_run(params):
    assert len(steps(Document({"analyses": {"facets": params}}), "atoms")[1]) > 0


def test_without_a_crystal_there_is_a_surface_but_no_facet_and_in_a_box_neither():
    melt = np.random.default_rng(0).uniform(-9, 9, (300, 3))
    found = analysed(melt[np.linalg.norm(melt, axis=1) < 9], probe_radius="5 angstrom")
    assert found["facets/surface_area"] > 500
    assert np.isnan(found["facets/area"]).all()
    assert np.isnan(analysed(nanocrystal(20).positions, periodic=True)["facets/surface_area"])


@pytest.mark.golden
def test_a_real_particle_has_more_of_111_than_of_anything_else(reference):
    from ase.io import read

    fraction = analysed(read(reference / "data" / "stage1_docked_ATMS.pdb").positions)["facets/fraction"]
    assert np.argmax(fraction) == 2
    assert 0.5 < fraction.sum() <= 1
