"""Elements of a trajectory that holds none come from the structure beside it, as it is now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemdask.errors import InputError
from stemdask.sources.atoms.companion import with_elements


def elements(folder: Path) -> list[bytes]:
    found = with_elements(str(folder / "run.xtc"), np.zeros((2, 3)), None, 0.0)
    return [found.words[kind] for kind in found.kinds]


def test_elements_follow_the_structure_file_when_it_changes(tmp_path: Path) -> None:
    structure = tmp_path / "run.xyz"
    structure.write_text("2\n\nPt 0 0 0\nAu 1 0 0\n")
    assert elements(tmp_path) == [b"Pt", b"Au"]
    structure.write_text("2\n\nCu 0 0 0.0\nAu 1 0 0\n")
    assert elements(tmp_path) == [b"Cu", b"Au"]


def test_without_a_structure_file_it_is_said_which_to_add(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no elements") as caught:
        elements(tmp_path)
    assert "run.pdb" in str(caught.value.remedy)
