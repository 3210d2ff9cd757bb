import numpy as np
import pytest

from stemdask.analyses import chain
from stemdask.analyses.atoms.order.structure import KINDS
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal

NUMBER = {name: kind for kind, name in KINDS.items()}


def analysed(positions, cutoff="3.41 angstrom", **params):
    positions = np.asarray(positions, float).reshape(-1, 3)
    frame = AtomsFrame(0, positions, np.full(len(positions), 78, np.uint8))
    chosen, problems = steps(Document({"analyses": {"rdf": {"cutoff": cutoff}, "structure": params}}), "atoms")
    assert problems == []
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return chain.analyse("atoms", chosen, frame)


def test_a_small_particle_is_a_core_of_fcc_in_a_surface():
    found = analysed(nanocrystal(21.2).positions)
    count = dict(zip(KINDS.values(), found["structure/count"], strict=True))
    assert count == {"disordered": 0, "fcc": 140, "hcp": 0, "bcc": 0, "icosahedral": 0, "surface": 174}
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
    particle = nanocrystal(30, shape="sphere").positions
    inside = np.linalg.norm(particle, axis=1) < 7
    particle[inside] += np.random.default_rng(0).normal(scale=0.6, size=(inside.sum(), 3))
    kind = analysed(particle)["atoms/structure"]
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
    assert set(flat["atoms/structure"]) == {NUMBER["surface"]}


@pytest.mark.golden
@pytest.mark.parametrize(("stage", "n_fcc"), [(1, 129), (2, 92)])
def test_reconstructed_particles_have_the_fcc_atoms_that_ovito_finds(reference, stage, n_fcc):
    from ase.io import read

    atoms = read(reference / "data" / f"stage{stage}_docked_ATMS.pdb")
    assert (analysed(atoms.positions)["atoms/structure"] == NUMBER["fcc"]).sum() == n_fcc
