import numpy as np
import pytest
from crystals import CELLS
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.kinds import (
    BCC,
    CUBIC_DIAMOND,
    FCC,
    FIVE_FOLD_AXIS,
    HCP,
    HEXAGONAL_DIAMOND,
    ICOSAHEDRAL,
    OTHER,
    SIMPLE_CUBIC,
)
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.template_match import REACH, match_templates
from stemdask.kernels.atoms.templates import TEMPLATES
from stemdask.simulate import nanocrystal

NEAREST = {"Pt": 2.772, "Co": 2.5, "Fe": 2.485, "Po": 3.35, "Si": 2.351, "wurtzite": 2.63}
KIND = {"Pt": FCC, "Co": HCP, "Fe": BCC, "Po": SIMPLE_CUBIC, "Si": CUBIC_DIAMOND, "wurtzite": HEXAGONAL_DIAMOND}
#: Structure types of OVITO's modifier by number; 5 is simple cubic.
OVITO = {0: OTHER, 1: FCC, 2: HCP, 3: BCC, 4: ICOSAHEDRAL, 5: SIMPLE_CUBIC, 6: CUBIC_DIAMOND, 7: HEXAGONAL_DIAMOND}


def matched(positions, distance, cell=None, max_rmsd=0.12):
    return match_templates(find_neighbours(positions, REACH * distance, cell), max_rmsd)


def crystal(name, sigma=0.0, repeats=5):
    atoms = CELLS[name].repeat(repeats)
    noise = np.random.default_rng(0).normal(scale=sigma, size=atoms.positions.shape)
    return atoms.positions + noise, np.asarray(atoms.cell)


@pytest.mark.parametrize("name", KIND)
@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.1])
def test_every_atom_of_a_crystal_has_its_type_and_size(name, sigma):
    positions, cell = crystal(name, sigma)
    found = matched(positions, NEAREST[name], cell)
    assert set(found.kind) == {KIND[name]}
    assert np.median(found.distance) == pytest.approx(NEAREST[name], rel=0.01)
    assert found.rmsd.max() < 0.01 + sigma


@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_distance_from_a_template_is_the_least_over_scales_moves_and_turns(kind):
    random = np.random.default_rng(kind)
    template = TEMPLATES[kind].vectors
    points = np.vstack([np.zeros(3), 2.5 * template]) + random.normal(scale=0.08, size=(len(template) + 1, 3))
    turn = Rotation.random(rng=random)
    points = turn.apply(points) + random.normal(size=3)
    found = match_templates(find_neighbours(points, 100.0), 0.3)
    assert found.kind[0] == kind
    ideal = np.vstack([np.zeros(3), template])
    order = np.r_[0, found.place[0, : len(template)]]
    shell = points[order] - points[order].mean(axis=0)
    best = Rotation.align_vectors(shell, ideal)[0]
    onto = best.inv().apply(shell)
    scale = (onto * ideal).sum() / (onto**2).sum()
    rmsd = np.sqrt(((scale * onto - ideal) ** 2).sum() / len(ideal))
    assert found.rmsd[0] == pytest.approx(rmsd, rel=1e-9)
    assert found.distance[0] == pytest.approx(TEMPLATES[kind].nearest / scale, rel=1e-9)
    assert (Rotation.from_quat(found.quaternion[0], scalar_first=True).inv() * best).magnitude() < 1e-6


@pytest.mark.parametrize("shape", ["icosahedron", "decahedron"])
def test_twinned_particles_have_their_axes(shape):
    count = np.bincount(matched(nanocrystal(27, shape=shape).positions, 2.77).kind, minlength=10)
    # 561 atoms each. Icosahedron: 12 axes of 4 atoms, 20 tetrahedra of 4, 30 twin planes of 6, and the centre.
    inside = {"icosahedron": (80, 180, 1, 48), "decahedron": (170, 130, 0, 9)}[shape]
    assert tuple(count[[FCC, HCP, ICOSAHEDRAL, FIVE_FOLD_AXIS]]) == inside


def test_types_and_distances_do_not_depend_on_orientation_place_or_order():
    random = np.random.default_rng(1)
    positions = nanocrystal(24, shape="decahedron").positions
    positions = positions + random.normal(scale=0.12, size=positions.shape)
    order = random.permutation(len(positions))
    turned = (Rotation.random(rng=random).apply(positions) + 50)[order]
    before, after = matched(positions, 2.77), matched(turned, 2.77)
    np.testing.assert_array_equal(after.kind, before.kind[order])
    np.testing.assert_allclose(after.rmsd, before.rmsd[order], atol=1e-9)


def test_a_gas_has_no_structure():
    gas = np.random.default_rng(0).uniform(0, 30, (2000, 3))
    assert (matched(gas, 1.3).kind != OTHER).mean() < 0.002


@pytest.mark.parametrize("n", [0, 1, 2, 5, 30])
def test_few_or_coincident_atoms_are_of_no_type(n):
    assert list(matched(np.zeros((n, 3)), 3.0).kind) == [OTHER] * n


@pytest.mark.claims
@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.15])
@pytest.mark.parametrize("name", [*NEAREST, "icosahedron", "decahedron", "sphere"])
def test_types_sizes_and_distances_are_those_of_ovito(name, sigma):
    pytest.importorskip("ovito")
    from ovito.data import DataCollection, SimulationCell
    from ovito.modifiers import PolyhedralTemplateMatchingModifier as Ovito

    cell = None
    if name in NEAREST:
        positions, cell = crystal(name, sigma)
    else:
        positions = nanocrystal(34, shape=name).positions
        positions = positions + np.random.default_rng(1).normal(scale=sigma, size=positions.shape)
    data = DataCollection()
    if cell is not None:
        box = SimulationCell(pbc=(True, True, True))
        box[...] = np.column_stack([cell.T, np.zeros(3)])
        data.objects.append(box)
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    theirs = Ovito(rmsd_cutoff=0.12, output_rmsd=True, output_interatomic_distance=True)
    for structure in theirs.structures:
        structure.enabled = structure.id != Ovito.Type.GRAPHENE
    data.apply(theirs)
    kind = np.vectorize(OVITO.get)(np.array(data.particles["Structure Type"]))
    ours = matched(positions, NEAREST.get(name, 2.772), cell)
    own = np.where(ours.kind == FIVE_FOLD_AXIS, OTHER, ours.kind)  # which OVITO doesn't know
    assert (own == kind).mean() >= (0.999 if sigma <= 0.1 else 0.985)
    # Simple cubic surroundings have six neighbours there and eighteen here.
    both = (own == kind) & (own != OTHER) & (own != SIMPLE_CUBIC)
    np.testing.assert_allclose(ours.rmsd[both], np.array(data.particles["RMSD"])[both], atol=1e-9)
    np.testing.assert_allclose(ours.distance[both], np.array(data.particles["Interatomic Distance"])[both], rtol=1e-9)
