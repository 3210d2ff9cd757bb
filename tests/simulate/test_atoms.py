import numpy as np
import pytest
from scipy.spatial import cKDTree

from stemdask.simulate import nanocrystal, trajectory


@pytest.mark.parametrize(
    ("shape", "magic"),
    [
        ("truncated-octahedron", {38, 201, 314, 586, 1289}),
        ("octahedron", {19, 44, 85, 146, 231, 344}),
        ("cuboctahedron", {13, 55, 147, 309, 561}),
        ("icosahedron", {13, 55, 147, 309, 561}),
        ("decahedron", {13, 54, 147, 309, 561}),
    ],
)
def test_polyhedra_have_the_magic_numbers_of_closed_shells(shape, magic):
    sizes = {len(nanocrystal(diameter, shape=shape).positions) for diameter in np.arange(8, 32, 0.5)}
    assert len(sizes & magic) >= 3
    assert {55} <= sizes if shape in ("cuboctahedron", "icosahedron") else True


def test_the_314_atom_truncated_octahedron_of_platinum_is_found_by_its_diameter():
    particle = nanocrystal(21.2)
    assert len(particle.positions) == 314
    assert set(particle.numbers) == {78}


@pytest.mark.parametrize("shape", ["truncated-octahedron", "octahedron", "cuboctahedron", "sphere"])
def test_single_crystals_have_the_nearest_neighbour_distance_of_their_lattice(shape):
    positions = nanocrystal(24, "Au", shape, lattice_parameter=4.0).positions
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    np.testing.assert_allclose(nearest, 4.0 / np.sqrt(2), rtol=1e-12)
    np.testing.assert_allclose(positions.mean(axis=0), 0, atol=1e-12)


def test_a_sphere_is_cut_at_its_diameter():
    positions = nanocrystal(30, shape="sphere").positions
    distance = np.linalg.norm(positions, axis=1)
    assert 14 < distance.max() <= 15


@pytest.mark.parametrize(
    "arguments",
    [{"diameter": -1}, {"diameter": 20, "element": "Xx"}, {"diameter": 20, "element": "Fe"}],
)
def test_what_cannot_be_built_is_refused_in_words(arguments):
    with pytest.raises(ValueError, match=r"must be|not a chemical|pass lattice"):
        nanocrystal(**arguments)


def test_any_frame_is_the_same_whatever_was_read_before():
    particle = nanocrystal(15)
    one = trajectory(particle, 5, n_exchanged=10, shuffle=True, rotation=3, seed=7)
    other = trajectory(particle, 5, n_exchanged=10, shuffle=True, rotation=3, seed=7)
    last = one.read(4)
    frames = [other[i] for i in range(5)]
    np.testing.assert_array_equal(last.positions, frames[4].positions)
    assert not np.array_equal(
        trajectory(particle, 5, seed=8).read(0).positions, trajectory(particle, 5).read(0).positions
    )


def test_the_truth_is_what_was_put_in():
    particle = nanocrystal(18)
    motion = trajectory(particle, 4, sigma=0.05, rotation=10, translation=0.5, shuffle=True, seed=1)
    frame, truth = motion.read(3), motion.truth(3)
    expected = particle.positions[truth.identity] @ truth.rotation.T + truth.translation
    np.testing.assert_allclose(truth.sites, expected, atol=1e-12)
    assert np.degrees(np.arccos((np.trace(truth.rotation) - 1) / 2)) == pytest.approx(30)
    assert np.linalg.norm(truth.translation) == pytest.approx(1.5)
    noise = frame.positions - truth.sites
    assert noise.std() == pytest.approx(0.05, rel=0.15)


def test_exchanged_atoms_appear_or_vanish_once_and_the_others_stay():
    motion = trajectory(nanocrystal(18), 20, n_exchanged=40, seed=2)
    present = np.zeros((20, len(motion.sites)), dtype=int)
    for i in range(20):
        present[i, motion.truth(i).identity] = 1
    changes = np.abs(np.diff(present, axis=0)).sum(axis=0)
    assert changes.max() == 1
    assert changes.sum() == 40
    assert present.any(axis=0).all()


def test_disordered_atoms_are_at_the_surface_and_off_their_sites():
    particle = nanocrystal(21.2)
    motion = trajectory(particle, 1, n_disordered=60, disorder=0.7)
    shift = np.linalg.norm(motion.sites - particle.positions, axis=1)
    np.testing.assert_allclose(shift, np.where(motion.disordered, 0.7, 0), atol=1e-12)
    radius = np.linalg.norm(particle.positions, axis=1)
    assert radius[motion.disordered].min() > np.median(radius)


def test_more_disorder_or_exchange_than_atoms_is_refused():
    particle = nanocrystal(12)
    with pytest.raises(ValueError, match="n_disordered must be between 0"):
        trajectory(particle, 3, n_disordered=1000)
    with pytest.raises(ValueError, match="n_exchanged must be between 0"):
        trajectory(particle, 3, n_exchanged=-1)
