"""A store to which an analysis is added is one of one input, whatever was done to either between the two runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.errors import Busy, StoreError
from stemdask.results import reader
from stemdask.store import layout, lock

EDITED = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy.write_frames(tmp_path / "f.npy", 10, {3: "refuse"})
    _run(tmp_path)
    return tmp_path


def _run(folder: Path, *more: str, store: str = "o.zarr") -> dict[str, bytes]:
    data: dict[str, Any] = toy.config(folder / "f.npy", folder / store, limits={"isolate": False})
    data["analyses"] |= {name: {} for name in more}
    assert execute(Document(data)).complete
    assert reader.verify(folder / store).sound
    return toy.contents(folder / store)


def _edit(folder: Path) -> None:
    """Change a frame in place."""
    pixels = np.load(folder / "f.npy", mmap_mode="r+")
    pixels[EDITED, 8] += 1
    pixels.flush()


def _edit_in_secret(folder: Path) -> None:
    then = (folder / "f.npy").stat()
    _edit(folder)
    os.utime(folder / "f.npy", ns=(then.st_atime_ns, then.st_mtime_ns))


def test_an_input_that_was_edited_before_is_refused_with_its_frames_and_the_store_stays(folder: Path) -> None:
    before, root = toy.contents(folder / "o.zarr"), (folder / "o.zarr/zarr.json").read_bytes()
    _edit(folder)
    os.utime(folder / "f.npy")
    with pytest.raises(StoreError, match=f"frame {EDITED} is no longer what was analysed"):
        _run(folder, "brightness")
    assert toy.contents(folder / "o.zarr") == before
    assert (folder / "o.zarr/zarr.json").read_bytes() == root


def test_an_edit_behind_the_time_of_a_file_is_told_by_its_first_and_last_bytes(folder: Path) -> None:
    _edit_in_secret(folder)
    with pytest.raises(StoreError, match=f"frame {EDITED} is no longer what was analysed"):
        _run(folder, "brightness")


def test_a_frame_that_was_edited_where_nothing_tells_is_done_anew_as_a_whole(tmp_path: Path) -> None:
    """In the middle of a large file: nothing found of it before stays beside what is found of it now."""
    toy.write_frames(tmp_path / "f.npy", 10, size=64)
    _run(tmp_path)
    _edit_in_secret(tmp_path)
    assert _run(tmp_path, "brightness") == _run(tmp_path, "brightness", store="fresh.zarr")


def test_to_a_copy_of_a_store_an_analysis_is_added_and_the_original_stays(folder: Path) -> None:
    for name in ("zarr", "stemdask"):
        shutil.copytree(folder / f"o.{name}", folder / f"copy.{name}")
    before, root = toy.contents(folder / "o.zarr"), (folder / "o.zarr/zarr.json").read_bytes()
    assert _run(folder, "brightness", store="copy.zarr") == _run(folder, "brightness", store="fresh.zarr")
    assert toy.contents(folder / "o.zarr") == before
    assert (folder / "o.zarr/zarr.json").read_bytes() == root


def test_while_a_run_writes_the_store_nothing_is_added_to_it(folder: Path) -> None:
    before = toy.contents(folder / "o.zarr")
    with lock.driving(layout.run_directory(folder / "o.zarr")), pytest.raises(Busy, match="another run is writing"):
        _run(folder, "brightness")
    assert toy.contents(folder / "o.zarr") == before


def test_to_a_store_whose_run_directory_was_lost_nothing_is_added(folder: Path) -> None:
    before = toy.contents(folder / "o.zarr")
    shutil.rmtree(folder / "o.stemdask")
    with pytest.raises(StoreError, match=r"analyses\.brightness"):
        _run(folder, "brightness")
    assert toy.contents(folder / "o.zarr") == before
