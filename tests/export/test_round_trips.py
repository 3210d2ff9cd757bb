"""What is exported is opened by the programs that it is written for, and says there what the store says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd  # type: ignore[import-untyped,unused-ignore]
import pytest

import stemdask as sd
from stemdask import export

#: Before version 3, pandas rounds the last digits of numbers unless told otherwise.
ALL_DIGITS = {"float_precision": "round_trip"} if pd.__version__.startswith("2.") else {}


@pytest.mark.parametrize("fmt", ["csv", "parquet"])
def test_pandas_reads_the_table_that_the_store_gives(atoms_store: Path, tmp_path: Path, fmt: str) -> None:
    if fmt == "parquet":
        pytest.importorskip("pyarrow")
    export.write(atoms_store, fmt, tmp_path)
    found = {"csv": partial(pd.read_csv, **ALL_DIGITS), "parquet": pd.read_parquet}[fmt](tmp_path / f"atoms.{fmt}")
    found.columns = [column.partition(" [")[0] for column in found.columns]
    given = sd.open_results(atoms_store).stemdask.table("atoms")
    given = given[given["frame"] != 3].reset_index(drop=True)  # a frame that failed has no rows in an export
    assert len(found) == len(given)
    for name in given.columns:
        np.testing.assert_allclose(found[name], given[name], rtol=1e-15, err_msg=name)


def test_ase_writes_and_reads_the_atoms_that_the_store_gives(atoms_store: Path, tmp_path: Path) -> None:
    atoms = sd.open_results(atoms_store).stemdask.to_ase(2)
    assert atoms.get_chemical_formula() == "Au5Pt142"
    ase.io.write(tmp_path / "one.extxyz", atoms)
    again = ase.io.read(tmp_path / "one.extxyz")
    np.testing.assert_allclose(again.positions, atoms.positions, atol=1e-8)
    np.testing.assert_allclose(again.arrays["q6_avg"], atoms.arrays["q6_avg"], atol=1e-8)
    export.write(atoms_store, "extxyz", tmp_path)
    exported = ase.io.read(tmp_path / "frames.extxyz", 2)
    np.testing.assert_array_equal(exported.positions, atoms.positions)
    assert exported.arrays.keys() == atoms.arrays.keys()
