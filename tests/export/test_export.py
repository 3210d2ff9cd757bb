from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zarr
from exported import table

from stemdask import export
from stemdask.errors import ConfigError, StoreError


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
    with pytest.raises(ConfigError, match="no B-factor column"):
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
    from stemdask.results.blocks import Blocks

    longest = []
    original = Blocks.read

    def read(self: Blocks, path: str, part: slice = slice(None)) -> Any:
        values = original(self, path, part)
        if self.variables[path].dims[:1] == ("frame",):
            longest.append(len(values))
        return values

    monkeypatch.setattr(Blocks, "read", read)
    for fmt in ("csv", "extxyz", "pdb"):
        export.write(atoms_store, fmt, tmp_path / fmt)
    assert max(longest) == 2  # frames in a block
    assert json.loads((tmp_path / "csv/.stemdask-export.json").read_text())["atoms.csv"]


@pytest.mark.parametrize("fails", range(1, 12))
def test_an_export_that_was_cut_at_any_write_is_made_by_the_same_command(
    atoms_store: Path, tmp_path: Path, fails: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill leaves the files as they are: nothing is tidied up."""
    export.write(atoms_store, "csv", tmp_path / "whole")
    calls = 0

    def counted(original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == fails:
                raise KeyboardInterrupt
            return original(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted(Path.replace))
        patch.setattr(Path, "unlink", lambda *arguments, **options: None)
        patch.setattr("os.getpid", lambda: 2**22 + 7)
        with pytest.raises(KeyboardInterrupt):
            export.write(atoms_store, "csv", tmp_path / "cut")
    export.write(atoms_store, "csv", tmp_path / "cut")
    assert _files(tmp_path / "cut") == _files(tmp_path / "whole")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".stemdask-export.json"}


def test_a_store_of_a_run_that_goes_on_exports_what_is_there(atoms_store: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy.zarr"
    shutil.copytree(atoms_store, copy)
    group = zarr.open_group(copy, mode="r+", use_consolidated=False)
    group["frames/frame_status"][2:4] = 0
    export.write(copy, "csv", tmp_path / "out")
    assert {row["frame"] for row in table(tmp_path / "out/atoms.csv")} == {"0", "1", "4"}
