"""What is said of structures beyond the particles that the analyses were made for: oxides, layers, tubes, molecules."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc100, graphene_nanoribbon, molecule, mx2, nanotube
from ase.data import atomic_numbers
from ase.spacegroup import crystal

from stemdask.analyses import chain
from stemdask.analyses.atoms.order.structure import KINDS, LATTICES, ORDERINGS
from stemdask.analyses.atoms.shape import lattice_fit
from stemdask.config.document import Document
from stemdask.planning.steps import steps
from stemdask.sources.opening import open_source


def cubic(symbols, basis, spacegroup, a, **further):
    return crystal(symbols, basis, spacegroup=spacegroup, cellpar=[a, a, a, 90, 90, 90], **further)


def tetragonal(symbols, basis, spacegroup, a, c):
    return crystal(symbols, basis, spacegroup=spacegroup, cellpar=[a, a, c, 90, 90, 90])


PEROVSKITE = cubic(["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], 221, 3.905)
QUARTZ = crystal(
    ["Si", "O"],
    [(0.4697, 0, 2 / 3), (0.4133, 0.2672, 0.7855)],
    spacegroup=154,
    cellpar=[4.916, 4.916, 5.4054, 90, 90, 120],
)
#: Perfect crystals, and the neighbours of each element.
CRYSTALS = {
    "perovskite": (PEROVSKITE.repeat(4), {"Sr": 12, "Ti": 6, "O": 6}),
    "rutile": (
        tetragonal(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], 136, 4.594, 2.959).repeat((3, 3, 5)),
        {"Ti": 6, "O": 3},
    ),
    "anatase": (
        tetragonal(["Ti", "O"], [(0, 0, 0), (0, 0, 0.208)], 141, 3.785, 9.514).repeat((3, 3, 2)),
        {"Ti": 6, "O": 3},
    ),
    "quartz": (QUARTZ.repeat((3, 3, 3)), {"Si": 4, "O": 2}),
    "spinel": (
        cubic(["Mg", "Al", "O"], [(0.125,) * 3, (0.5,) * 3, (0.2624,) * 3], 227, 8.083, setting=2).repeat(2),
        {"Mg": 4, "Al": 6, "O": 4},
    ),
    "white tin": (tetragonal("Sn", [(0, 0, 0)], 141, 5.831, 3.182).repeat((3, 3, 5)), {"Sn": 6}),
    "selenium": (
        crystal(["Se"], [(0.2254, 0, 1 / 3)], spacegroup=152, cellpar=[4.366, 4.366, 4.954, 90, 90, 120]).repeat(4),
        {"Se": 2},
    ),
    "alpha manganese": (
        cubic(["Mn"] * 4, [(0,) * 3, (0.316,) * 3, (0.356, 0.356, 0.034), (0.089, 0.089, 0.282)], 217, 8.912).repeat(2),
        {},
    ),
}


def analysed(tmp_path, atoms, sigma=0.0, **analyses):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(0).normal(0, 1, atoms.positions.shape) * sigma
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    ase.io.write(tmp_path / "structure.extxyz", bare)
    frame = open_source(str(tmp_path / "structure.extxyz")).read(0)
    document = Document(
        {"analyses": {"rdf": {"cutoff": "frame"}, **(analyses or {"structure": {}, "coordination": {}})}}
    )
    chosen, problems = steps(document, "atoms")
    assert problems == []
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return chain.analyse("atoms", chosen, frame)


def names(found, flags, variable):
    kinds, counts = np.unique(found[variable], return_counts=True)
    return {flags[int(kind)]: int(count) for kind, count in zip(kinds, counts, strict=True)}


@pytest.mark.long
@pytest.mark.parametrize("sigma", [0.0, 0.05])
@pytest.mark.parametrize("name", CRYSTALS)
def test_a_whole_crystal_has_neither_a_surface_nor_disorder(name, sigma, tmp_path):
    atoms, neighbours = CRYSTALS[name]
    found = analysed(tmp_path, atoms, sigma)
    kinds = names(found, KINDS, "atoms/structure")
    wrong = kinds.get("disordered", 0) + kinds.get("surface", 0)
    assert wrong <= 0.01 * len(atoms), kinds
    for element, number in neighbours.items():
        of_element = found["atoms/coordination"][atoms.numbers == atomic_numbers[element]]
        assert (of_element == number).mean() > 0.99, element


def hexagonal(symbols, basis, spacegroup, a, c):
    return crystal(symbols, basis, spacegroup=spacegroup, cellpar=[a, a, c, 90, 90, 120])


CORUNDUM = hexagonal(["Al", "O"], [(0, 0, 0.35216), (0.30624, 0, 0.25)], 167, 4.759, 12.991).repeat((4, 4, 2))
GRAPHITE = hexagonal(["C", "C"], [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25)], 194, 2.461, 6.708).repeat((6, 6, 3))
PHOSPHORUS = crystal("P", [(0, 0.10168, 0.08056)], spacegroup=64, cellpar=[3.3136, 10.478, 4.3763, 90, 90, 90])
LAVES = cubic(["Mg", "Cu"], [(0.125,) * 3, (0.5,) * 3], 227, 7.05, setting=2).repeat(2)
CLATHRATE = cubic(["Si"] * 3, [(0.1837,) * 3, (0, 0.3077, 0.1173), (0.25, 0, 0.5)], 223, 10.2).repeat(2)
NO_LATTICES = {
    "rutile": CRYSTALS["rutile"][0],
    "corundum": CORUNDUM,
    "spinel": CRYSTALS["spinel"][0],
    "graphite": GRAPHITE,
    "black phosphorus": PHOSPHORUS.repeat((5, 2, 4)),
    "Laves phase": LAVES,
    "clathrate": CLATHRATE,
    "half-Heusler": cubic(["Ni", "Mn", "Sb"], [(0.25,) * 3, (0.5,) * 3, (0,) * 3], 216, 5.92).repeat(3),
}


@pytest.mark.long
@pytest.mark.parametrize("name", NO_LATTICES)
def test_a_compound_without_a_name_here_gets_none(name, tmp_path):
    found = analysed(tmp_path, NO_LATTICES[name], 0.05, structure={})
    kinds = names(found, KINDS, "atoms/structure")
    assert kinds.get("other_crystalline", 0) >= 0.99 * len(NO_LATTICES[name]), kinds
    assert names(found, ORDERINGS, "atoms/ordering") == {"none": len(NO_LATTICES[name])}
    assert found["structure/n_grains"] <= 1
    assert found["structure/n_twin_boundaries"] == 0


def test_the_oxygen_of_corundum_is_a_sublattice_and_its_aluminium_no_bcc(tmp_path):
    found = analysed(tmp_path, CORUNDUM, 0.05, structure={})
    oxygen = CORUNDUM.numbers == 8
    assert {LATTICES[int(kind)] for kind in found["atoms/lattice"][oxygen]} == {"hcp"}
    assert set(found["atoms/lattice"][~oxygen].tolist()) == {0}
    assert (found["atoms/sublattice"] == oxygen).all()
    assert found["structure/lattice_count"].sum() == 0


@pytest.mark.parametrize(
    ("atoms", "lattice", "distortion", "shear"),
    [
        (hexagonal(["Bi"], [(0, 0, 0.2339)], 166, 4.546, 11.862).repeat((5, 5, 2)), "simple_cubic", 0.19, 2.6),
        (crystal("Hg", [(0, 0, 0)], spacegroup=166, cellpar=[3.458, 3.458, 6.684, 90, 90, 120]), "fcc", 0, 8.4),
        (bulk("Pt", cubic=True), "fcc", 0, 0),
        (bulk("In"), "fcc", 0, 0),
    ],
    ids=["bismuth", "mercury", "platinum", "indium"],
)
def test_a_distorted_lattice_is_said_to_be_one(atoms, lattice, distortion, shear, tmp_path):
    rows = np.linalg.norm(atoms.cell[:], axis=1)
    atoms = atoms.repeat([int(n) for n in np.maximum(1, np.ceil(16 / rows))])
    found = analysed(tmp_path, atoms, 0.05, lattice_fit={})
    assert lattice_fit.NAMES[int(found["lattice_fit/lattice"])] == lattice
    assert found["lattice_fit/distortion"] == pytest.approx(distortion, abs=0.02)
    assert found["lattice_fit/shear"] == pytest.approx(shear, abs=0.4)


@pytest.mark.long
def test_molecules_are_neither_disordered_nor_a_surface(tmp_path):
    random, every = np.random.default_rng(1), Atoms(cell=[28.34] * 3, pbc=True)
    for place in np.stack(np.meshgrid(*[np.arange(4)] * 3), -1).reshape(-1, 3):
        if place.sum() % 2 == 0:
            ball = molecule("C60")
            ball.rotate(random.uniform(0, 360), random.normal(size=3))
            ball.positions += 7.085 * place - ball.positions.mean(axis=0)
            every += ball
    kinds = names(analysed(tmp_path, every, 0.05, structure={}), KINDS, "atoms/structure")
    assert kinds.get("in_molecule", 0) > 0.98 * len(every), kinds


@pytest.mark.parametrize(
    ("alloy", "order"),
    [
        (cubic(["Al", "Mn", "Cu"], [(0,) * 3, (0.5,) * 3, (0.25,) * 3], 225, 5.95).repeat(2), "none"),
        (tetragonal(["Ti", "Al", "Al"], [(0, 0, 0), (0, 0, 0.5), (0, 0.5, 0.25)], 139, 3.85, 8.58).repeat(3), "none"),
        (bulk("NiAl", "cesiumchloride", a=2.88).repeat(4), "B2"),
    ],
    ids=["Heusler", "D0_22", "B2"],
)
def test_an_order_that_only_some_of_the_atoms_show_is_not_told(alloy, order, tmp_path):
    found = analysed(tmp_path, alloy, 0.05, structure={})
    assert names(found, ORDERINGS, "atoms/ordering") == {order: len(alloy)}


def test_perovskites_are_named_and_their_anions_are_no_fcc_lattice(tmp_path):
    found = analysed(tmp_path, PEROVSKITE.repeat(3), 0.03)
    assert names(found, ORDERINGS, "atoms/ordering") == {"perovskite": 135}
    of_oxygen = found["atoms/structure"][np.tile(PEROVSKITE.numbers, 27) == 8]
    assert {KINDS[int(kind)] for kind in of_oxygen} == {"other_crystalline"}


def test_a_box_without_order_stays_disordered(tmp_path):
    random = np.random.default_rng(0)
    places = np.empty((0, 3))
    while len(places) < 400:  # atoms at random, none closer than 2.3 angstrom
        one = random.uniform(0, 22, 3)
        apart = places - one
        apart -= 22 * np.round(apart / 22)
        if not len(places) or np.linalg.norm(apart, axis=1).min() > 2.3:
            places = np.vstack([places, one])
    kinds = names(analysed(tmp_path, Atoms("Pt400", places, cell=[22] * 3, pbc=True)), KINDS, "atoms/structure")
    assert kinds.get("disordered", 0) + kinds.get("surface", 0) > 0.99 * 400
    assert "other_crystalline" not in kinds


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (mx2("MoS2").repeat((4, 4, 1)), {42: 6, 16: 3}),
        (nanotube(6, 6, length=4), {6: 3}),
        (graphene_nanoribbon(4, 5, saturated=True), {6: 3, 1: 1}),
    ],
    ids=["layer", "tube", "ribbon"],
)
def test_layers_and_tubes_repeat_where_the_file_says_so(atoms, expected, tmp_path):
    assert atoms.cell.rank < 3
    found = analysed(tmp_path, atoms, coordination={})["atoms/coordination"]
    assert {z: set(found[atoms.numbers == z].tolist()) for z in expected} == {z: {n} for z, n in expected.items()}


def test_a_molecule_on_a_metal_leaves_the_neighbours_of_the_metal(tmp_path):
    slab = fcc100("Cu", (4, 4, 4), vacuum=8)
    bare = analysed(tmp_path, slab, coordination={})["atoms/coordination"]
    add_adsorbate(slab, molecule("CO"), 1.8, "ontop", mol_index=1)  # carbon below
    covered = analysed(tmp_path, slab, coordination={})["atoms/coordination"]
    assert (covered[:64] - bare).tolist().count(1) == 1
    assert (covered[:64] != bare).sum() == 1
    assert set(covered[64:].tolist()) == {1, 2}


def test_a_stretched_hexagonal_crystal_is_one_grain(tmp_path):
    found = analysed(tmp_path, bulk("Cd").repeat((4, 4, 3)), structure={})
    assert found["structure/n_grains"] == 1
    assert found["structure/n_twin_boundaries"] == 0
