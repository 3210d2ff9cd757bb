"""An input that was edited in place is never mixed into a store; one that was moved or touched is the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import yaml
import zarr

from stemdask import report, simulate
from stemdask.cli import main
from stemdask.config.document import Document
from stemdask.engine import inputs
from stemdask.engine.run import Outcome, execute
from stemdask.errors import StoreError
from stemdask.model import FrameStatus
from stemdask.results import reader
from stemdask.sources.frame_hash import frame_hash
from stemdask.store import layout

HERE = {"isolate": False, "max_failed": 1}


def _run(frames: Path, store: Path, **how: Any) -> Outcome:
    return execute(Document(toy.config(frames, store, limits=HERE)), **how)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An input of 24 large frames, of which the first 12 are done."""
    folder = tmp_path / "data"
    folder.mkdir()
    toy.write_frames(folder / "f.npy", 24, size=128)
    assert _run(folder / "f.npy", tmp_path / "o.zarr", blocks="0:3").state == "partial"
    return folder


def _edit(file: Path, frames: slice) -> None:
    """Change frames in place, far from head and tail; size and inode stay."""
    pixels = np.lib.format.open_memmap(file, "r+")
    pixels[frames, 64] += 1000
    pixels.flush()
    del pixels
    os.utime(file)


def test_frames_that_were_edited_before_they_were_analysed_are_refused(folder: Path, tmp_path: Path) -> None:
    _edit(folder / "f.npy", slice(14, 18))
    with pytest.raises(StoreError) as caught:
        _run(folder / "f.npy", tmp_path / "o.zarr")
    assert "changed after this run began: frames 12 to 23 are not analysed yet and can't be compared" in str(
        caught.value
    )
    assert str(folder / "f.npy") in str(caught.value)


def test_frames_that_were_edited_after_they_were_analysed_are_named(folder: Path, tmp_path: Path) -> None:
    _run(folder / "f.npy", tmp_path / "o.zarr")
    before = toy.contents(tmp_path / "o.zarr")
    _edit(folder / "f.npy", slice(3, 6))
    _edit(folder / "f.npy", slice(10, 11))
    with pytest.raises(StoreError, match="frames 3 to 5, 10 are no longer what was analysed"):
        _run(folder / "f.npy", tmp_path / "o.zarr")
    assert toy.contents(tmp_path / "o.zarr") == before


def test_an_input_that_was_only_touched_is_read_again_and_taken(folder: Path, tmp_path: Path) -> None:
    _run(folder / "f.npy", tmp_path / "o.zarr")
    os.utime(folder / "f.npy")
    assert _run(folder / "f.npy", tmp_path / "o.zarr").complete


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_folder_of_input_that_was_moved_is_no_other_input(folder: Path, tmp_path: Path, how: str) -> None:
    there = tmp_path / "archive" / "of" / "mine"
    there.parent.mkdir(parents=True)
    folder.rename(there) if how == "moved" else shutil.copytree(folder, there)
    assert _run(there / "f.npy", tmp_path / "o.zarr").complete


def test_a_file_that_is_edited_while_it_is_read_fails_the_frames_that_follow(folder: Path, tmp_path: Path) -> None:
    document = Document(toy.config(folder / "f.npy", tmp_path / "o.zarr", limits=HERE))
    edited = []

    def edit(progress: Any) -> None:
        if progress.fresh >= 4 and not edited:
            edited.append(progress.fresh)
            _edit(folder / "f.npy", slice(20, 22))

    counts = execute(document, progress=edit).counts
    assert counts[FrameStatus.FAILED] == 12 - edited[0]
    assert "changed after the run was planned" in reader.status(tmp_path / "o.zarr").bad[0][3]
    with pytest.raises(StoreError, match="can't be compared"):
        _run(folder / "f.npy", tmp_path / "o.zarr", retry="failed")


def test_a_chunk_of_a_zarr_that_was_rewritten_is_noticed(tmp_path: Path) -> None:
    frames = tmp_path / "in.zarr"
    pixels = np.load(toy.write_frames(tmp_path / "f.npy", 12, size=64))
    zarr.create_array(frames, data=pixels, chunks=(1, 64, 64), compressors=None)
    _run(frames, tmp_path / "o.zarr", blocks="0:1")
    zarr.open_array(frames, mode="r+")[7] = pixels[8]
    with pytest.raises(StoreError, match="can't be compared"):
        _run(frames, tmp_path / "o.zarr")


def test_a_store_without_its_run_directory_is_held_against_the_frames_themselves(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "o.stemdask")
    shutil.copy(folder / "f.npy", tmp_path / "kept.npy")
    _edit(folder / "f.npy", slice(5, 6))
    with pytest.raises(StoreError, match="frame 5 is no longer what was analysed"):
        _run(folder / "f.npy", tmp_path / "o.zarr")
    shutil.copy(tmp_path / "kept.npy", folder / "f.npy")
    assert _run(folder / "f.npy", tmp_path / "o.zarr").complete


def test_a_store_of_a_version_that_kept_no_hashes_is_continued(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "o.zarr"
    shutil.rmtree(store / "blocks")
    shutil.rmtree(store / "frames" / "input_hash")
    shutil.rmtree(tmp_path / "o.stemdask")
    root = zarr.open_group(store, mode="r+", use_consolidated=False)
    attributes = dict(root.attrs)
    del attributes["metadata_sha256"], attributes["checksums"]
    root.attrs.put(attributes)
    assert _run(folder / "f.npy", store).complete
    assert reader.verify(store).sound
    assert (zarr.open_array(store / layout.INPUT_HASH, mode="r")[:] != 0).tolist() == 12 * [False] + 12 * [True]


def test_warnings_of_an_input_stand_on_the_terminal_in_the_store_and_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 4)
    data = toy.config(frames, tmp_path / "o.zarr", limits=HERE) | {"input": {"path": str(frames)}}
    store = execute(Document(data), progress=True).store
    said = "lengths are in pixels until a pixel size is given"
    assert said in capsys.readouterr().err
    assert said in reader.open_results(store).attrs["input_warnings"][0]
    assert said in report.write(store).read_text()


@pytest.mark.parametrize("before", [False, True])
def test_the_first_run_on_a_machine_says_why_it_takes_long(
    before: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemdask.engine.run.were_compiled", lambda: before)
    data = toy.config(toy.write_frames(tmp_path / "f.npy", 4), tmp_path / "o.zarr", limits=HERE)
    execute(Document(data), progress=True)
    assert ("compiles its kernels" in capsys.readouterr().err) is not before


@pytest.mark.parametrize("arguments", [["check"], ["plan"], ["submit", "--dry-run"]], ids=["check", "plan", "submit"])
@pytest.mark.parametrize("before", [False, True])
def test_verbs_that_try_frames_say_why_they_take_long_at_first(
    before: bool,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stemdask.engine.run.were_compiled", lambda: before)
    monkeypatch.chdir(tmp_path)
    data = toy.config(toy.write_frames(tmp_path / "f.npy", 4), tmp_path / "o.zarr", limits=HERE)
    Path("run.yaml").write_text(yaml.safe_dump(data))
    main.app([*arguments, "run.yaml"], standalone_mode=False)
    assert ("compiles its kernels" in capsys.readouterr().err) is not before


def test_a_hash_tells_any_change_of_a_frame() -> None:
    frame = simulate.trajectory(simulate.nanocrystal(12.0), 1, sigma=0.05).read(0)
    before = frame_hash(frame)
    assert frame_hash(frame) == before
    frame.positions[0, 0] = np.nextafter(frame.positions[0, 0], 9.0)
    assert frame_hash(frame) != before


def test_ranges_are_said_in_words() -> None:
    assert inputs._ranges([4]) == "frame 4 is"
    assert inputs._ranges([0, 1, 2, 7]) == "frames 0 to 2, 7 are"
    assert inputs._ranges(list(range(0, 20, 2))) == "frames 0, 2, 4, 6, 8 and 5 more ranges are"
