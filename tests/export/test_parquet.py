from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import table, tree

from stemdask import export
from stemdask.errors import StoreError


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
