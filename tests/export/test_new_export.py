"""A new format of an export is its record and a line of the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemdask import export
from stemdask.errors import ConfigError
from stemdask.export.export import Export
from stemdask.export.folder import Folder
from stemdask.results.blocks import Blocks


def _write(results: Blocks, folder: Folder) -> None:
    with folder.file("names.txt") as path:
        path.write_text("\n".join(results.variables))


def test_a_new_format_needs_its_record_alone(
    atoms_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export.EXPORTS, "names", Export("names", "the names of all variables", _write))
    (written,) = export.write(atoms_store, "names", tmp_path / "out")
    assert "particle/diameter" in written.read_text().splitlines()
    with pytest.raises(ConfigError, match="names"):
        export.write(atoms_store, "other", tmp_path / "out")
