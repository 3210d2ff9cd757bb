from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from exported import COUNTS, tree
from hypothesis import given
from hypothesis import strategies as st

from stemdask import export
from stemdask.errors import StoreError
from stemdask.export.atoms import Atoms
from stemdask.export.pdb import atom_lines, hybrid36
from stemdask.sources.opening import open_source


def fixed_columns(path: Path) -> list[list[dict[str, Any]]]:
    """Read a PDB by the columns of its standard and check every line."""
    models: list[list[dict[str, Any]]] = []
    numbers = []
    for line in path.read_text("ascii").splitlines():
        if line.startswith("MODEL "):
            numbers.append(int(line[10:14]))
            models.append([])
        elif line.startswith(("ATOM  ", "HETATM")):
            assert len(line) == 80
            assert [line[k] for k in (11, 16, 20, 26, 27, 28, 29)] == [" "] * 7
            assert line[34] == line[42] == line[50] == "."
            models[-1].append(
                {
                    "serial": line[6:11].strip(),
                    "position": [float(line[a : a + 8]) for a in (30, 38, 46)],
                    "occupancy": float(line[54:60]),
                    "b": float(line[60:66]),
                    "element": line[76:78].strip().capitalize(),
                    "name": line[12:16],
                }
            )
        else:
            assert line[:6] in ("REMARK", "ENDMDL")
    return [[{"model": number}, *model] for number, model in zip(numbers, models, strict=True)]


@pytest.mark.parametrize("name", [None, "q6_avg", "atoms/distance_to_center", "coordination", "crystalline"])
def test_pdb_has_a_property_in_the_b_factor_of_valid_columns(
    name: str | None, atoms_store: Path, tmp_path: Path
) -> None:
    export.write(atoms_store, "pdb", tmp_path, b_factor=name)
    models = fixed_columns(tmp_path / "frames.pdb")
    assert [model[0]["model"] for model in models] == [1, 2, 3, 5]
    stored = tree(atoms_store)["atoms"]
    values = stored[(name or "crystallinity").removeprefix("atoms/")]
    for (head, *atoms), n in zip(models, (55, 13, 147, 55), strict=True):
        frame = head["model"] - 1
        assert len(atoms) == n
        positions = np.stack([stored[axis].values[frame, :n] for axis in "xyz"], axis=1)
        np.testing.assert_allclose([atom["position"] for atom in atoms], positions, atol=5.001e-4)
        expected = values.values[frame, :n].astype(float)
        np.testing.assert_allclose([atom["b"] for atom in atoms], np.nan_to_num(expected), atol=5.001e-3)
        assert [atom["occupancy"] for atom in atoms] == np.isfinite(expected).tolist()
    assert [atom["element"] for atom in models[2][1:8]] == ["Au"] * 5 + ["Pt"] * 2


def test_ase_and_gemmi_and_stemdask_read_the_pdb_back(atoms_store: Path, tmp_path: Path) -> None:
    export.write(atoms_store, "pdb", tmp_path, b_factor="q6")
    path = tmp_path / "frames.pdb"
    stored = tree(atoms_store)["atoms"]
    frames = [0, 1, 2, 4]
    source = open_source(path)
    assert source.n_atoms.tolist() == [COUNTS[k] for k in frames]
    by_ase = ase.io.read(path, ":", format="proteindatabank")
    assert [len(atoms) for atoms in by_ase] == [COUNTS[k] for k in frames]
    for number, frame in enumerate(frames):
        own = source.read(number)
        np.testing.assert_array_equal(by_ase[number].positions, own.positions)
        np.testing.assert_array_equal(by_ase[number].numbers, own.numbers)
        np.testing.assert_array_equal(own.numbers, stored.element.values[frame, : COUNTS[frame]])
        q6 = stored.q6.values[frame, : COUNTS[frame]]
        np.testing.assert_allclose(by_ase[number].arrays["bfactor"], np.nan_to_num(q6), atol=5.001e-4)
    gemmi = pytest.importorskip("gemmi")
    for model, atoms in zip(gemmi.read_pdb(str(path)), by_ase, strict=True):
        found = [atom for chain in model for residue in chain for atom in residue]
        np.testing.assert_allclose([atom.pos.tolist() for atom in found], atoms.positions)
        np.testing.assert_allclose([atom.b_iso for atom in found], atoms.arrays["bfactor"], atol=1e-6)
        assert [atom.element.atomic_number for atom in found] == atoms.numbers.tolist()


def some_atoms(values: list[float], positions: Any = None) -> Atoms:
    n = len(values)
    places = np.zeros((n, 3)) if positions is None else np.asarray(positions, dtype=float)
    return Atoms(0, places, np.full(n, 78, np.uint8), {"p": np.array(values)}, {})


@given(st.lists(st.floats(-99999, 99999), min_size=1, max_size=5))
def test_any_value_up_to_five_digits_fits_the_b_factor(values: list[float]) -> None:
    largest = max(map(abs, values))
    rounding = next(
        step for limit, step in ((9.9995, 5e-4), (99.995, 5e-3), (999.95, 5e-2), (1e9, 0.5)) if largest < limit
    )
    for line, value in zip(atom_lines(some_atoms(values), "p"), values, strict=True):
        assert len(line) == 81
        assert abs(float(line[60:66]) - value) <= 1.001 * rounding
        assert float(line[54:60]) == 1.0


def test_an_atom_without_a_value_has_no_occupancy() -> None:
    lines = list(atom_lines(some_atoms([0.5, math.nan]), "p"))
    assert [float(line[54:60]) for line in lines] == [1.0, 0.0]
    assert float(lines[1][60:66]) == 0.0


@pytest.mark.parametrize(("values", "place"), [([1e6], 0.0), ([1.0], -1000.0), ([1.0], 10_000.0)])
def test_what_does_not_fit_a_pdb_is_refused(values: list[float], place: float) -> None:
    with pytest.raises(StoreError, match="fit"):
        list(atom_lines(some_atoms(values, [[place, 0, 0]]), "p"))


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1"), (99_999, "99999"), (100_000, "A0000"), (100_035, "A000Z"), (43_770_015, "ZZZZZ"), (43_770_016, "a0000")],
)
def test_serial_numbers_go_on_in_hybrid_36(number: int, text: str) -> None:
    assert hybrid36(number) == text


def test_a_hundred_thousand_atoms_keep_their_columns(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).uniform(-999, 9999, (100_500, 3)).round(3)
    lines = list(atom_lines(some_atoms([0.25] * 100_500, positions), "p"))
    (tmp_path / "many.pdb").write_text("".join(lines))
    np.testing.assert_array_equal(open_source(tmp_path / "many.pdb").read(0).positions, positions)
    assert lines[100_000][6:11] == "A0001"
