from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import toy

import stemdask as sd
from stemdask.errors import StoreError
from stemdask.model import FrameStatus
from stemdask.results import reader
from stemdask.store import layout, lock


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    frames = toy.write_frames(folder / "f.npy", 10, {3: "refuse", 5: "empty"})
    return sd.run(toy.config(frames, folder / "out.zarr", limits={"isolate": False}))


def test_a_table_has_a_row_for_each_column_that_there_is(store: Path) -> None:
    tree = sd.open_results(store)
    table = tree.stemdask.table("columns")
    assert list(table.columns) == ["frame", "column", "kind", "y"]
    assert np.bincount(table["frame"], minlength=10).tolist() == [3, 4, 5, 0, 4, 0, 3, 4, 5, 3]
    assert table["y"].notna().all()


def test_a_table_of_scalars_has_a_row_for_each_frame(store: Path) -> None:
    table = sd.open_results(store).stemdask.table("toy")
    assert list(table.columns) == ["frame", "mean", "mean_err", "rank"]
    assert len(table) == 10


def test_results_are_read_when_they_are_asked_for(store: Path) -> None:
    tree = sd.open_results(store)
    assert not tree["columns"].to_dataset().variables["y"]._in_memory


def test_the_status_counts_and_names_the_frames_without_results(store: Path) -> None:
    status = reader.status(store)
    assert status.counts[FrameStatus.OK] == 8
    assert status.counts[FrameStatus.EMPTY] == 1
    ((index, name, file, reason, worker),) = status.bad
    assert (index, name, reason) == (3, "failed", "the frame is too dark.")
    assert file.endswith("f.npy")
    assert worker
    assert "frame 3  failed" in status.text()
    assert "10 of 10 frames done (8 ok, 1 failed, 1 empty)" in status.text()


def test_a_long_list_of_failures_is_cut_with_its_number(store: Path) -> None:
    assert reader.status(store, named=0).text().endswith("and 1 more")


def test_the_first_word_of_the_status_tells_a_driver_at_work_from_one_that_was_killed(
    store: Path, tmp_path: Path
) -> None:
    """Either leaves a store that says that it is running."""
    copy = shutil.copytree(store, tmp_path / "copy.zarr")
    layout.set_state(str(copy), "running", "as a driver does that begins")
    assert reader.status(copy).text().startswith(f"{copy}: not running, 10 of 10 frames done")
    (directory := tmp_path / "copy.stemdask").mkdir()
    for shared in (False, True):
        with lock.driving(directory, shared=shared):
            assert reader.status(copy).text().startswith(f"{copy}: running, 10 of 10 frames done")
        assert reader.status(copy).state == "not running"


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_what_is_no_store_is_said(tmp_path: Path, make: object) -> None:
    make(tmp_path / "x.zarr")  # type: ignore[operator]
    for look in (sd.open_results, reader.status):
        with pytest.raises(StoreError, match=r"no store here|not a store"):
            look(tmp_path / "x.zarr")
