"""Exports hold what the store holds, in files that other programs read, and never take the place of other files."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import stemdask as sd
from stemdask import export, simulate
from stemdask.errors import ConfigError, StoreError
from stemdask.export.atoms import Atoms
from stemdask.export.delimited import _safe
from stemdask.export.pdb import atom_lines, hybrid36
from stemdask.sources.opening import open_source

COUNTS = (55, 13, 147, 13, 55)


@pytest.fixture(scope="module")
def atoms_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over five particles of different size in blocks of two; the fourth has a coordinate that is no number."""
    from ase.cluster import Icosahedron

    folder = tmp_path_factory.mktemp("atoms")
    shells = {13: 2, 55: 3, 147: 4}
    particles = [Icosahedron("Pt", shells[n], latticeconstant=3.92) for n in COUNTS]
    particles[2].numbers[:5] = 79
    particles[3].positions[4, 1] = np.nan
    ase.io.write(folder / "particles.xyz", particles, format="xyz")
    config = {
        "input": {"path": str(folder / "particles.xyz")},
        "output": str(folder / "particles.zarr"),
        "block_frames": 2,
        "cluster": {"kind": "inline"},
    }
    return sd.run(config)


@pytest.fixture(scope="module")
def images_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over two images of a perovskite."""
    folder = tmp_path_factory.mktemp("images")
    images = [simulate.perovskite((192, 192), seed=seed)[0] for seed in (1, 2)]
    np.save(folder / "images.npy", np.stack(images))
    config = {
        "input": {"path": str(folder / "images.npy"), "pixel_size": "0.02 nm"},
        "output": str(folder / "images.zarr"),
        "cluster": {"kind": "inline"},
    }
    return sd.run(config)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tree(store: Path) -> xr.DataTree:
    return xr.open_datatree(store, engine="zarr")


def test_csv_rows_are_the_atoms_of_the_frames_with_results(atoms_store: Path, tmp_path: Path) -> None:
    export.write(atoms_store, "csv", tmp_path)
    rows = table(tmp_path / "atoms.csv")
    assert [sum(row["frame"] == str(k) for row in rows) for k in range(5)] == [55, 13, 147, 0, 55]
    stored = tree(atoms_store)["atoms"]
    for row in rows[::37]:
        at = {"frame": int(row["frame"]), "atom": int(row["atom"])}
        for column, name in (
            ("x [angstrom]", "x"),
            ("q6_avg", "q6_avg"),
            ("mean_bond_length [angstrom]", "mean_bond_length"),
        ):
            assert float(row[column]) == float(stored[name].isel(at))
        assert int(row["coordination"]) == int(stored["coordination"].isel(at))


def test_csv_frames_tell_status_and_reason_of_all(atoms_store: Path, tmp_path: Path) -> None:
    export.write(atoms_store, "csv", tmp_path)
    rows = table(tmp_path / "frames.csv")
    assert [row["frame_status"] for row in rows] == ["1", "1", "1", "2", "1"]
    assert "not finite" in rows[3]["error"]
    assert rows[3]["particle/diameter [angstrom]"] == ""
    assert float(rows[0]["particle/diameter [angstrom]"]) == float(tree(atoms_store)["particle"].diameter[0])


def test_csv_repeats_axes_beside_their_values(atoms_store: Path, tmp_path: Path) -> None:
    export.write(atoms_store, "csv", tmp_path)
    rows = [row for row in table(tmp_path / "rdf_r.csv") if row["frame"] == "2"]
    rdf = tree(atoms_store)["rdf"]
    np.testing.assert_array_equal([float(row["r [angstrom]"]) for row in rows], rdf.r)
    np.testing.assert_array_equal([float(row["g"]) for row in rows], rdf.g[2])


def test_csv_says_what_every_column_means(atoms_store: Path, tmp_path: Path) -> None:
    written = export.write(atoms_store, "csv", tmp_path)
    described = {(row["file"], row["column"]): row for row in table(tmp_path / "variables.csv")}
    for path in written:
        if path.name in ("variables.csv", "constants.csv"):
            continue
        with path.open(newline="") as file:
            header = next(csv.reader(file))
        for column in header:
            assert (
                column in ("frame", "atom", "bond", "cn", "column", "cell") or described[path.name, column]["meaning"]
            )
    assert described["atoms.csv", "crystalline"]["values"] == "0 disordered, 1 crystalline"


def test_csv_holds_columns_and_displacements_of_images(images_store: Path, tmp_path: Path) -> None:
    export.write(images_store, "csv", tmp_path)
    store = tree(images_store)
    for name in ("column", "cell"):
        group = {"column": "columns", "cell": "displacement"}[name]
        rows = table(tmp_path / f"{group}.csv")
        counts = store["frames"][f"n_{name}s"].values
        assert [sum(row["frame"] == str(k) for row in rows) for k in range(2)] == counts.tolist()
        assert float(rows[7]["x [nm]"]) == float(store[group].x[0, 7])
    assert float(table(tmp_path / "displacement.csv")[3]["u [pm]"]) == float(store["displacement"].u[0, 3])


@given(st.text(max_size=8))
def test_no_text_of_a_csv_is_a_formula(text: str) -> None:
    safe = str(_safe(np.array([text], dtype=object))[0])
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert safe.lstrip("'") == text.lstrip("'")


def test_parquet_holds_the_same_tables_with_units(atoms_store: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    written = export.write(atoms_store, "parquet", tmp_path)
    export.write(atoms_store, "csv", tmp_path / "csv")
    for path in written:
        rows = table(tmp_path / "csv" / f"{path.stem}.csv")
        assert pq.read_table(path).num_rows == len(rows)
    atoms = pq.read_table(tmp_path / "atoms.parquet")
    assert atoms.schema.field("x").metadata[b"units"] == b"angstrom"
    q6 = tree(atoms_store)["atoms"].q6.values
    np.testing.assert_array_equal(atoms["q6"].to_numpy()[:55], q6[0, :55])


def test_parquet_without_pyarrow_says_how_to_get_it(atoms_store: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StoreError, match="pip install"):
        export.write(atoms_store, "parquet", tmp_path)
    assert not any(tmp_path.iterdir())


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


def test_extended_xyz_holds_everything_and_reads_back(atoms_store: Path, tmp_path: Path) -> None:
    export.write(atoms_store, "extxyz", tmp_path)
    path = tmp_path / "frames.extxyz"
    by_ase = ase.io.read(path, ":", format="extxyz")
    source = open_source(path)
    store = tree(atoms_store)
    assert [atoms.info["frame"] for atoms in by_ase] == [0, 1, 2, 4]
    for number, atoms in enumerate(by_ase):
        frame = int(atoms.info["frame"])
        n = COUNTS[frame]
        np.testing.assert_array_equal(source.read(number).positions, atoms.positions)
        assert atoms.info["diameter"] == float(store["particle"].diameter[frame])
        for name in ("q4", "q6", "w6_avg", "crystallinity", "coordination", "n_neighbors"):
            np.testing.assert_array_equal(atoms.arrays[name], store["atoms"][name].values[frame, :n])
        assert not atoms.pbc.any()


def test_hspy_holds_maps_over_the_lattice(images_store: Path, tmp_path: Path) -> None:
    from rsciio.hspy import file_reader

    export.write(images_store, "hspy", tmp_path)
    (signal,) = file_reader(str(tmp_path / "displacement_u.hspy"))
    displacement = tree(images_store)["displacement"]
    n = int(tree(images_store)["frames"].n_cells[1])
    i, j, u = (displacement[name].values[1, :n] for name in ("i", "j", "u"))
    low_i, low_j = (np.nanmin(np.where(displacement.u.notnull(), displacement[k], 10**6)) for k in ("i", "j"))
    maps = signal["data"]
    assert signal["metadata"]["Signal"]["quantity"] == "u (pm)"
    np.testing.assert_allclose(maps[1][(j - low_j).astype(int), (i - low_i).astype(int)], u, rtol=1e-6)
    assert np.isfinite(maps[1]).sum() == np.isfinite(u).sum()


def test_formats_refuse_stores_that_they_can_not_hold(atoms_store: Path, images_store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no images"):
        export.write(atoms_store, "hspy", tmp_path)
    for fmt in ("pdb", "extxyz"):
        with pytest.raises(StoreError, match="no atoms"):
            export.write(images_store, fmt, tmp_path)
    assert not any(tmp_path.iterdir())


def test_mistakes_are_named(atoms_store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="csv, pdb"):
        export.write(atoms_store, "xlsx", tmp_path)
    with pytest.raises(ConfigError, match="q6_avg"):
        export.write(atoms_store, "pdb", tmp_path, b_factor="q66")
    with pytest.raises(ConfigError, match="only pdb"):
        export.write(atoms_store, "csv", tmp_path, b_factor="q6")
    with pytest.raises(StoreError, match="not a store"):
        export.write(tmp_path, "csv", tmp_path / "out")
    with pytest.raises(StoreError, match="into the store"):
        export.write(atoms_store, "csv", atoms_store / "tables")


def test_files_of_others_stay_and_those_of_an_export_are_renewed(atoms_store: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "frames.csv"
    thesis.write_text("my thesis")
    with pytest.raises(StoreError, match=r"frames\.csv: this file was not made by an export"):
        export.write(atoms_store, "csv", tmp_path)
    assert thesis.read_text() == "my thesis"
    assert not list(tmp_path.glob(".partial*"))
    thesis.unlink()
    first = export.write(atoms_store, "csv", tmp_path)
    contents = {path.name: path.read_bytes() for path in first}
    assert export.write(atoms_store, "csv", tmp_path) == first
    assert {path.name: path.read_bytes() for path in first} == contents
    thesis.write_text("edited by hand")
    with pytest.raises(StoreError, match="changed since"):
        export.write(atoms_store, "csv", tmp_path)
    assert thesis.read_text() == "edited by hand"
    export.write(atoms_store, "csv", tmp_path, overwrite=True)
    assert thesis.read_bytes() == contents["frames.csv"]


def test_an_export_reads_block_by_block(atoms_store: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from stemdask.export.results import Results

    longest = []
    original = Results.read

    def read(self: Results, path: str, part: slice = slice(None)) -> Any:
        values = original(self, path, part)
        if self.variables[path].dims[:1] == ("frame",):
            longest.append(len(values))
        return values

    monkeypatch.setattr(Results, "read", read)
    for fmt in ("csv", "extxyz", "pdb"):
        export.write(atoms_store, fmt, tmp_path / fmt)
    assert max(longest) == 2  # frames in a block
    assert json.loads((tmp_path / "csv/.stemdask-export.json").read_text())["atoms.csv"]


def test_a_store_of_a_run_that_goes_on_exports_what_is_there(atoms_store: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy.zarr"
    shutil.copytree(atoms_store, copy)
    group = zarr.open_group(copy, mode="r+", use_consolidated=False)
    group["frames/frame_status"][2:4] = 0
    export.write(copy, "csv", tmp_path / "out")
    assert {row["frame"] for row in table(tmp_path / "out/atoms.csv")} == {"0", "1", "4"}
