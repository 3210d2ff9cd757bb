import numpy as np
import pytest
from crystals import inner, particle

from stemdask.analyses import chain
from stemdask.analyses.atoms.order.structure import KINDS
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal

NUMBER = {name: kind for kind, name in KINDS.items()}


INNER = {
    "Pt": {"fcc"},
    "Co": {"hcp"},
    "Fe": {"bcc"},
    "Si": {"cubic_diamond"},
    "CdSe": {"cubic_diamond"},
    "wurtzite": {"hexagonal_diamond"},
    "CeO2": {"fcc", "simple_cubic"},
    "NaCl": {"simple_cubic"},
    "FePt": {"fcc"},
}


def analysed(positions, cutoff="3.41 angstrom", numbers=78, **params):
    positions = np.asarray(positions, float).reshape(-1, 3)
    frame = AtomsFrame(0, positions, np.broadcast_to(np.uint8(numbers), len(positions)))
    chosen, problems = steps(Document({"analyses": {"rdf": {"cutoff": cutoff}, "structure": params}}), "atoms")
    assert problems == []
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return chain.analyse("atoms", chosen, frame)


def test_a_small_particle_is_a_core_of_fcc_in_a_surface():
    found = analysed(nanocrystal(21.2).positions)
    count = dict(zip(KINDS.values(), found["structure/count"], strict=True))
    assert {kind: number for kind, number in count.items() if number} == {"fcc": 140, "surface": 174}
    assert found["structure/lattice_count"][NUMBER["fcc"]] == 314
    assert found["structure/n_grains"] == 1
    assert found["structure/n_twin_boundaries"] == 0


def test_a_decahedron_has_five_twin_boundaries_through_its_axis():
    found = analysed(nanocrystal(27, shape="decahedron").positions)
    assert found["structure/n_twin_boundaries"] == 5
    assert found["structure/n_stacking_faults"] == 0
    assert list(found["structure/plane_kind"][:6]) == [0, 0, 0, 0, 0, -1]
    np.testing.assert_allclose(found["structure/plane_normal_z"][:5], 0, atol=1e-9)
    assert (found["atoms/hcp_layer"] >= 0).sum() == found["structure/plane_atoms"][:5].sum()
    assert np.abs(found["structure/plane_offset"][:5]).max() < 3
    assert np.isnan(found["structure/plane_offset"][5:]).all()


def test_more_planes_than_are_kept_are_counted_all_the_same():
    found = analysed(nanocrystal(27, shape="icosahedron").positions, max_planes=4)
    assert found["structure/n_twin_boundaries"] == 30
    assert found["structure/plane_kind"].shape == (4,)


def test_a_molten_core_is_disordered_and_not_surface():
    sphere = nanocrystal(30, shape="sphere").positions
    inside = np.linalg.norm(sphere, axis=1) < 7
    sphere[inside] += np.random.default_rng(0).normal(scale=0.6, size=(inside.sum(), 3))
    kind = analysed(sphere)["atoms/structure"]
    assert (kind[inside] == NUMBER["disordered"]).mean() > 0.9


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_frames_of_hardly_any_atoms_have_no_structure_type(n):
    found = analysed(np.arange(3 * n), cutoff="frame")
    assert list(found["atoms/structure"]) == [-1] * n
    assert found["structure/count"].sum() == 0


def test_atoms_without_a_place_have_no_type_and_coincident_or_coplanar_ones_raise_nothing():
    assert analysed([[0, 0, 0], [np.nan, 0, 0], [2, 0, 0]])["atoms/structure"][1] == -1
    analysed(np.zeros((30, 3)))
    flat = analysed(np.pad(np.random.default_rng(0).uniform(0, 20, (60, 2)), ((0, 0), (0, 1))))
    assert set(flat["atoms/structure"]) == {NUMBER["surface"], NUMBER["disordered"]}


def fractions(name, sigma, seeds):
    """Return which part of the inner atoms is of the right kind, and which part of all is disordered."""
    right, disordered = [], []
    for seed in range(seeds):
        positions, numbers = particle(name, 14.0, sigma, seed)
        kind = analysed(positions, "frame", numbers)["atoms/structure"]
        inside = inner(positions)
        right += list(np.isin(kind[inside], [NUMBER[name] for name in INNER[name]]))
        disordered += list(kind == NUMBER["disordered"])
    return np.mean(right), np.mean(disordered)


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_atoms_of_noisy_perfect_particles_are_of_the_right_kind_and_none_is_disordered(name, sigma):
    right, disordered = fractions(name, sigma, 1)
    assert right >= 0.99
    assert disordered <= 0.01


@pytest.mark.slow
@pytest.mark.claims
@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_a_hundred_noisy_particles_have_the_right_kinds(name, sigma):
    right, disordered = fractions(name, sigma, 100)
    assert right >= 0.99
    assert disordered <= 0.01


@pytest.mark.long
def test_a_molten_particle_is_disordered_to_its_surface():
    from ase import Atoms, units
    from ase.calculators.emt import EMT
    from ase.md.langevin import Langevin

    positions = nanocrystal(15, "Au").positions
    atoms = Atoms(f"Au{len(positions)}", positions, calculator=EMT())
    random = np.random.default_rng(0)
    Langevin(atoms, 5 * units.fs, temperature_K=1600, friction=0.03 / units.fs, fixcm=False, rng=random).run(400)
    found = analysed(atoms.positions, "frame", atoms.numbers[0])
    assert (found["atoms/structure"] == NUMBER["disordered"]).mean() >= 0.95


def test_disordered_is_only_what_is_disordered_by_bond_order_too():
    sphere = nanocrystal(30, shape="sphere").positions
    random = np.random.default_rng(0)
    moved = random.random(len(sphere)) < 0.3
    found = analysed(sphere + np.where(moved, 0.7, 0.05)[:, None] * random.normal(size=sphere.shape))
    disordered = found["atoms/structure"] == NUMBER["disordered"]
    assert disordered.sum() > 100
    assert (found["atoms/crystalline"][disordered] == 0).all()
    assert (found["atoms/lattice"][disordered] == 0).all()


def test_a_vacancy_leaves_incomplete_shells_and_no_disorder():
    whole = nanocrystal(26).positions
    left = np.delete(whole, np.argmin(np.linalg.norm(whole, axis=1)), axis=0)
    found = analysed(left)
    count = dict(zip(KINDS.values(), found["structure/count"], strict=True))
    assert count["incomplete_shell"] == 12
    assert count["disordered"] == 0


@pytest.mark.parametrize("method", ["ptm", "cna"])
def test_both_methods_tell_the_same_of_quiet_particles(method):
    count = analysed(nanocrystal(27, shape="icosahedron").positions, method=method)["structure/count"]
    assert count[NUMBER["fcc"]] == 80
    assert count[NUMBER["hcp"]] == 180
    assert count[NUMBER["ico"]] == 1
    assert count[NUMBER["surface"]] == 252
    assert count[NUMBER["disordered"]] == 0


def test_grains_are_listed_with_their_orientation():
    found = analysed(nanocrystal(27, shape="decahedron").positions, max_grains=6)
    assert found["structure/n_grains"] == 5
    assert found["structure/n_five_fold_axes"] == 1
    assert list(found["structure/grain_lattice"]) == [NUMBER["fcc"]] * 5 + [-1]
    quaternion = np.column_stack([found[f"structure/grain_orientation_{part}"] for part in "wxyz"])
    np.testing.assert_allclose(np.linalg.norm(quaternion[:5], axis=1), 1, atol=1e-12)
    assert set(np.bincount(found["atoms/grain"][found["atoms/grain"] >= 0])) == set(found["structure/grain_atoms"][:5])


@pytest.mark.golden
@pytest.mark.parametrize("stage", [1, 2])
def test_atoms_that_lack_neighbours_in_reconstructed_particles_are_not_called_disordered(reference, stage):
    from ase.io import read

    atoms = read(reference / "data" / f"stage{stage}_docked_ATMS.pdb")
    found = analysed(atoms.positions)
    count = dict(zip(KINDS.values(), found["structure/count"], strict=True))
    assert count["incomplete_shell"] == {1: 22, 2: 32}[stage]
    assert count["disordered"] <= 2


@pytest.mark.golden
@pytest.mark.parametrize(("stage", "n_fcc"), [(1, 129), (2, 92)])
def test_reconstructed_particles_have_the_fcc_atoms_that_ovito_finds(reference, stage, n_fcc):
    from ase.io import read

    atoms = read(reference / "data" / f"stage{stage}_docked_ATMS.pdb")
    assert (analysed(atoms.positions)["atoms/structure"] == NUMBER["fcc"]).sum() == n_fcc
