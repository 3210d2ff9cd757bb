"""What looks at frames told is kept, and asked again where it can't be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemdask.planning import looks
from stemdask.planning.looks import Looks
from stemdask.sources.opening import open_source


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    path = tmp_path / "a.npy"
    np.save(path, np.eye(9, dtype=np.float32))
    (tmp_path / "o.stemdask").mkdir()
    return path


def ask(known: Looks, frames: Path, what: str = "what") -> list[str]:
    """Return what was looked at to answer."""
    looked: list[str] = []
    answer = known.once(what, open_source(str(frames)), (), lambda: str(looked.append(what) or "12 nm"))  # type: ignore[func-returns-value]
    assert answer == "12 nm"
    return looked


def test_a_question_is_asked_once_while_the_frames_are_the_same(frames: Path, tmp_path: Path) -> None:
    first = Looks()
    assert ask(first, frames) == ["what"]
    first.save(tmp_path / "o.zarr")
    known = looks.beside(str(tmp_path / "o.zarr"))
    assert ask(known, frames) == []
    assert ask(known, frames, "another") == ["another"]
    np.save(frames, np.eye(9, dtype=np.float32)[::-1])
    assert ask(known, frames) == ["what"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"answers": {}, "sha256": 3}'])
def test_a_file_of_something_else_is_no_answer(frames: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "o.stemdask" / "looks.json").write_text(text)
    assert ask(looks.beside(str(tmp_path / "o.zarr")), frames) == ["what"]


def test_an_answer_of_which_a_bit_changed_is_asked_again(frames: Path, tmp_path: Path) -> None:
    first = Looks()
    ask(first, frames)
    first.save(tmp_path / "o.zarr")
    file = tmp_path / "o.stemdask" / "looks.json"
    file.write_text(file.read_text().replace("12 nm", "92 nm"))
    assert ask(looks.beside(str(tmp_path / "o.zarr")), frames) == ["what"]
