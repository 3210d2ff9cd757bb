"""Coordination numbers of atoms whose elements aren't known."""

from __future__ import annotations

from pathlib import Path

import ase
import ase.io
import pytest
from ase.cluster import Octahedron
from crystals import inner, particle

import stemdask as sd
from stemdask import export
from stemdask.errors import InputError
from stemdask.figures.atoms.coordination import parts
from stemdask.results.reader import open_results
from stemdask.results.views import Results


@pytest.fixture
def two_types(tmp_path: Path) -> Path:
    """A particle of two types in layers, without elements."""
    particle = Octahedron("Au", 7, cutoff=2)
    kinds = 1 + (particle.positions[:, 2] > 0)
    rows = "".join(f"{k} {x} {y} {z}\n" for k, (x, y, z) in zip(kinds, particle.positions.tolist(), strict=True))
    (tmp_path / "types.csv").write_text(f"type x y z\n{rows}")
    return tmp_path / "types.csv"


def run(path: Path, **analyses: dict[str, object]) -> Path:
    config = {
        "input": {"path": str(path)},
        "output": str(path.with_suffix(".zarr")),
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
        "analyses": {"positions": {}, "bond_order": {}, "structure": {}, "shape": {}, **analyses},
    }
    return sd.run(config)


def test_atoms_without_elements_have_neighbours_by_the_first_minima(two_types: Path) -> None:
    store = run(two_types, coordination={})
    atoms = open_results(store)["atoms"]
    n = int(open_results(store)["frames"].n_atoms[0])
    number = atoms.coordination.values[0, :n]
    assert (number.max(), int((number == 12).sum()) > 50) == (12, True)
    assert set(atoms.coordination_bulk_distance.values[0, :n].tolist()) == {-1}, "unknown, and said so"
    for fmt in ("pdb", "extxyz", "csv"):
        export.write(store, fmt, two_types.parent / fmt)
    symbols = ase.io.read(two_types.parent / "extxyz" / "frames.extxyz").get_chemical_symbols()
    assert set(symbols) == {"X"}


def test_warm_iron_has_eight_neighbours_by_its_lattice_where_g_of_r_has_one_shell_of_fourteen(tmp_path: Path) -> None:
    positions, numbers = particle("Fe", 14.0, 0.1)
    ase.io.write(tmp_path / "iron.xyz", ase.Atoms(numbers, positions))
    store = run(tmp_path / "iron.xyz", coordination={"rule": "lattice"})
    atoms = open_results(store)["atoms"]
    inside = inner(positions, 6.5)
    assert (atoms.coordination.values[0][inside] == 8).mean() >= 0.99
    assert (atoms.coordination_first_minimum.values[0][inside] == 14).mean() >= 0.99
    (part,) = parts(Results(open_results(store)), 0)
    assert any("on a crystal lattice are those in its first shell" in text for text in part.sentences)


def test_bulk_distances_ask_for_elements(two_types: Path) -> None:
    with pytest.raises(InputError, match=r"type 1, type 2.*input\.elements"):
        run(two_types, coordination={"rule": "bulk_distance"})
