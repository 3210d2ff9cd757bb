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
from stemdask.analyses.atoms.order.structure import KINDS, ORDERINGS
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
