from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from exported import table, tree
from hypothesis import given
from hypothesis import strategies as st

from stemdask import export
from stemdask.analyses.atoms.order.structure import KINDS
from stemdask.export.csv import _safe


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
                column in ("frame", "atom", "bond", "cn", "pair", "column", "cell")
                or described[path.name, column]["meaning"]
            )
    assert described["atoms.csv", "crystalline"]["values"] == "0 not_crystalline, 1 crystalline"


def test_csv_names_elements_beside_their_numbers(atoms_store: Path, tmp_path: Path) -> None:
    export.write(atoms_store, "csv", tmp_path)
    rows = table(tmp_path / "atoms.csv")
    assert {(row["element"], row["element_name"]) for row in rows} == {("78", "Pt"), ("79", "Au")}
    pairs = {(row["element_1_name"], row["element_2_name"]) for row in table(tmp_path / "coordination_pair.csv")}
    assert pairs == {("Pt", "Pt"), ("Pt", "Au"), ("Au", "Au")}


@pytest.mark.long
def test_csv_names_structures_beside_their_codes(every_atoms_analysis: Path, tmp_path: Path) -> None:
    export.write(every_atoms_analysis, "csv", tmp_path)
    rows = table(tmp_path / "atoms.csv")
    named = {(int(row["structure"]), row["structure_name"]) for row in rows}
    assert named <= set(KINDS.items())
    assert (1, "fcc") in named
    assert {row["ordering_name"] for row in rows} == {"none"}
    meanings = {row["column"]: row["meaning"] for row in table(tmp_path / "variables.csv")}
    assert meanings["structure_name"] == meanings["structure"]


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
