"""Coordinates in nm, pm, bohr and voxels are named with their remedy, and those in angstrom are left alone."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.collections import g2
from ase.spacegroup import crystal
from crystals import CELLS, particle

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.errors import ConfigError, InputError
from stemdask.model import AtomsFrame
from stemdask.planning.resolve import resolve
from stemdask.report.page import write
from stemdask.sources.atoms.elements import nearest_distance
from stemdask.sources.atoms.scale import odd_scale
from stemdask.sources.opening import open_source

#: Angstrom in what the coordinates are wrongly in, and what the warning says of it.
WRONG = {"nm": (10.0, "1 nm"), "pm": (0.01, "1 pm"), "bohr": (0.529177, "0.529177"), "voxel": (0.3434, "voxels")}
BOXES = {name: cell.repeat(2) for name, cell in CELLS.items()}
BOXES |= {name: bulk(name).repeat(2) for name in ("Ar", "Na", "W", "Mg", "Ti", "Pb", "Ge")}
BOXES |= {"diamond": bulk("C", "diamond", a=3.567).repeat(2), "MgO": bulk("MgO", "rocksalt", a=4.21).repeat(2)}
MOLECULES = {name: molecule(name) for name in ("H2O", "C6H6", "CH3CH2OH", "CO2")}


def structure_file(folder: Path, atoms: Atoms, scale: float = 1.0) -> str:
    """Write a structure whose unit of length is so many angstrom."""
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell / scale)
    scaled.positions = atoms.positions / scale
    path = folder / "structure.extxyz"
    ase.io.write(path, scaled)
    return str(path)


def of_scale(source) -> list[str]:
    return [text for text in source.warnings if "apart, where" in text]


@pytest.mark.parametrize("name", BOXES)
def test_a_crystal_in_angstrom_is_left_alone_and_in_any_other_unit_named(name, tmp_path):
    assert of_scale(open_source(structure_file(tmp_path, BOXES[name]))) == []
    for unit, (scale, remedy) in WRONG.items():
        (said,) = of_scale(open_source(structure_file(tmp_path, BOXES[name], scale)))
        assert remedy in said, unit


@pytest.mark.parametrize("name", MOLECULES)
def test_molecules_are_left_alone(name, tmp_path):
    assert of_scale(open_source(structure_file(tmp_path, MOLECULES[name]))) == []


@pytest.mark.parametrize("name", ["Pt", "CdSe", "CeO2", "FePt"])
def test_noisy_particles_are_judged_alike(name, tmp_path):
    positions, numbers = particle(name, 10.0, 0.1)
    atoms = Atoms(numbers, positions)
    assert of_scale(open_source(structure_file(tmp_path, atoms))) == []
    for scale, remedy in WRONG.values():
        (said,) = of_scale(open_source(structure_file(tmp_path, atoms, scale)))
        assert remedy in said


METALS = ("Pt", "Co", "Fe", "FePt")


@pytest.mark.parametrize("name", METALS)
def test_voxels_nearly_as_large_as_an_angstrom_are_noticed_in_metals(name, tmp_path):
    for sigma in (0.0, 0.2):
        positions, numbers = particle(name, 10.0, sigma)
        atoms = Atoms(numbers, positions)
        assert of_scale(open_source(structure_file(tmp_path, atoms))) == []
        for voxel in (0.75, 1.25):
            (said,) = of_scale(open_source(structure_file(tmp_path, atoms, voxel)))
            assert "voxels" in said


#: Crystals and a molecule whose bonds are as long as valences or bulk distances tell.
KNOWN = [*BOXES, "SrTiO3", "TiO2", "SiO2", "C60"]


def known(name: str) -> Atoms:
    if name == "SrTiO3":
        return crystal(
            ["Sr", "Ti", "O"], [(0, 0, 0), (0.5,) * 3, (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.905] * 3 + [90] * 3
        )
    if name == "TiO2":
        return crystal(
            ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
        )
    if name == "SiO2":
        places = [(0.4697, 0, 2 / 3), (0.4133, 0.2672, 0.7855)]
        return crystal(["Si", "O"], places, spacegroup=154, cellpar=[4.916, 4.916, 5.4054, 90, 90, 120])
    return molecule("C60") if name == "C60" else BOXES[name]


@pytest.mark.parametrize("name", KNOWN)
def test_voxels_of_three_quarters_of_an_angstrom_are_named(name, tmp_path):
    assert of_scale(open_source(structure_file(tmp_path, known(name)))) == []
    (said,) = of_scale(open_source(structure_file(tmp_path, known(name), 0.75)))
    assert "voxels" in said


def test_no_small_molecule_is_doubted():
    doubted = []
    for name in g2.names:
        atoms = molecule(name)
        if odd_scale(AtomsFrame(0, atoms.positions, atoms.numbers.astype(np.uint8))):
            doubted.append(name)
    assert doubted == []


@pytest.mark.parametrize("left_out", ["C6H6", "CH3CH2OH", "C3H8", "isobutene"])
def test_molecules_whose_hydrogen_is_left_out_are_left_alone(left_out):
    atoms = molecule(left_out)
    heavy = atoms[atoms.numbers > 1]
    assert odd_scale(AtomsFrame(0, heavy.positions, heavy.numbers.astype(np.uint8))) is None


def test_water_without_its_hydrogen_is_left_alone():
    ice = crystal(["O"], [(1 / 3, 2 / 3, 0.0629)], spacegroup=194, cellpar=[4.498, 4.498, 7.323, 90, 90, 120])
    assert odd_scale(AtomsFrame(0, ice.positions, np.full(4, 8, np.uint8), ice.cell[:], (True,) * 3)) is None


def test_chains_of_metal_atoms_and_vapours_are_judged_by_their_nearest_atoms(tmp_path):
    chain = np.column_stack([2.6 * np.arange(60), np.zeros(60), np.zeros(60)])
    pairs = np.concatenate([chain * 8, chain * 8 + [0, 2.6, 0]])
    for places in (chain, pairs):
        source = open_source(structure_file(tmp_path, Atoms(f"Au{len(places)}", places)))
        assert of_scale(source) == []


@pytest.mark.parametrize("name", ["Al", "Na", "Ni", "W", "Mg", "Zn", "Cd", "Ti", "Pb", "Cs", "Hg", "In", "Ar", "Xe"])
def test_bulk_elements_are_left_alone(name, tmp_path):
    atoms = bulk(name).repeat(4)
    assert of_scale(open_source(structure_file(tmp_path, atoms))) == []


def test_uranium_whose_covalent_radius_is_far_too_large_is_left_alone(tmp_path):
    places = [[0, 0.1025, 0.25], [0.5, 0.6025, 0.25], [0, 0.8975, 0.75], [0.5, 0.3975, 0.75]]
    atoms = Atoms("U4", scaled_positions=places, cell=[2.854, 5.869, 4.955], pbc=True).repeat(3)
    assert of_scale(open_source(structure_file(tmp_path, atoms))) == []


@pytest.mark.golden
@pytest.mark.parametrize("stage", [1, 2])
def test_published_reconstructions_are_left_alone_and_in_voxels_named(reference, stage, tmp_path):
    path = reference / "data" / f"stage{stage}_docked_ATMS.pdb"
    assert of_scale(open_source(str(path))) == []
    (said,) = of_scale(open_source(structure_file(tmp_path, ase.io.read(path), 0.3434)))
    assert "about 0.3" in said
    assert "calibrate_from: {nearest_neighbour: 2.77 angstrom}" in said


def test_a_scale_brings_positions_and_box_to_angstrom(tmp_path):
    path = structure_file(tmp_path, BOXES["Pt"], 0.3434)
    source = open_source(path, scale="0.3434 angstrom")
    assert of_scale(source) == []
    assert source.describe()["scale"] == "0.3434 angstrom"
    frame = source.read(0)
    np.testing.assert_allclose(frame.positions, BOXES["Pt"].positions, atol=1e-6)
    np.testing.assert_allclose(frame.cell, BOXES["Pt"].cell, atol=1e-6)


def config(path: str, **keys) -> Document:
    return Document({"input": {"path": path, **keys}, "output": "o.zarr", "analyses": {"rdf": {}}})


@pytest.mark.parametrize("unit", ["nm", "voxel"])
def test_a_known_distance_of_neighbours_gives_the_scale(unit, tmp_path):
    positions, numbers = particle("Pt", 12.0, 0.05)
    path = structure_file(tmp_path, Atoms(numbers, positions), WRONG[unit][0])
    resolved = resolve(config(path, calibrate_from={"nearest_neighbour": "2.772 angstrom"}))
    assert resolved.config.input.scale.angstrom() == pytest.approx(WRONG[unit][0], rel=2e-3)
    assert resolved.config.input.calibrate_from is None
    assert resolved.source.scale == resolved.config.input.scale.angstrom()
    assert "scale:" in resolved.text


def test_a_scale_beside_a_known_distance_is_corrected(tmp_path):
    path = structure_file(tmp_path, BOXES["Pt"], 0.3434)
    resolved = resolve(config(path, scale="0.4 angstrom", calibrate_from={"nearest_neighbour": "2.772 angstrom"}))
    assert resolved.config.input.scale.angstrom() == pytest.approx(0.3434, rel=2e-3)


def test_structures_without_neighbours_give_no_scale(tmp_path):
    for atoms in (Atoms("Pt"), Atoms("Pt2", [[0, 0, 0], [0, 0, 2.8]])):
        with pytest.raises(InputError, match="no frame has a first shell"):
            resolve(config(structure_file(tmp_path, atoms), calibrate_from={"nearest_neighbour": "2.77 angstrom"}))


def test_structures_are_not_calibrated_by_a_lattice_constant_of_images(tmp_path):
    with pytest.raises(InputError, match="nearest_neighbour"):
        resolve(config(structure_file(tmp_path, BOXES["Pt"]), calibrate_from={"a": "3.9 angstrom"}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": "0 angstrom"},
        {"scale": "3 px"},
        {"calibrate_from": {}},
        {"calibrate_from": {"a": "1 nm", "nearest_neighbour": "1 nm"}},
    ],
)
def test_scales_that_mean_nothing_are_refused(wrong, tmp_path):
    with pytest.raises(ConfigError):
        resolve(config(structure_file(tmp_path, BOXES["Pt"]), **wrong))


def test_a_lone_atom_has_no_scale_to_judge(tmp_path):
    path = tmp_path / "one.xyz"
    path.write_text("1\n\nPt 0 0 0\n")
    assert of_scale(open_source(str(path))) == []


@pytest.mark.long
def test_the_first_lines_of_a_run_and_its_report_name_a_wrong_scale(tmp_path, capsys):
    path = structure_file(tmp_path, BOXES["Pt"].repeat(2), 0.3434)
    store = str(tmp_path / "s.zarr")
    analyses = {"coordination": {}, "shape": {}}
    cluster = {"kind": "inline"}
    execute(
        Document({"input": {"path": path}, "output": store, "analyses": analyses, "cluster": cluster}), progress=True
    )
    assert "warning: nearest atoms are" in capsys.readouterr().err.splitlines()[0]
    assert "nearest atoms are" in write(store).read_text(encoding="utf-8")


def test_elements_of_chains_are_not_close_packed():
    assert nearest_distance(34) == pytest.approx(2.4, abs=0.1)  # Se, whose "hcp" axis is 4.4 angstrom
    assert nearest_distance(30) == pytest.approx(2.66)  # Zn is stretched and yet close-packed
