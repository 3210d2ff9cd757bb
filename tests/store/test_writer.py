from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from stemdask.errors import StemdaskError, StorageError, StoreError
from stemdask.model import Block
from stemdask.store import checksums, disk, writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    root = zarr.create_group(tmp_path / "s.zarr", zarr_format=3)
    for name, dtype, fill in (("frames/frame_status", "int8", 0), ("a/b", "float64", np.nan)):
        group, _, short = name.partition("/")
        root.require_group(group).create_array(short, shape=(10,), chunks=(4,), dtype=dtype, fill_value=fill)
    return tmp_path / "s.zarr"


@pytest.mark.parametrize("block", [Block(0, 1, 4), Block(0, 0, 5), Block(1, 4, 7), Block(2, 8, 12), Block(1, 0, 4)])
def test_a_block_that_is_not_its_chunk_is_refused(store: Path, block: Block) -> None:
    n = block.stop - block.start
    with pytest.raises(StemdaskError, match="share chunks"):
        writer.Writer(store).write(block, {"a/b": np.zeros(n)}, np.ones(n, np.int8))


def test_values_of_another_shape_are_refused(store: Path) -> None:
    with pytest.raises(StemdaskError, match="doesn't fit"):
        writer.Writer(store).write(Block(2, 8, 10), {"a/b": np.zeros(3)}, np.ones(2, np.int8))


def test_a_chunk_of_fill_values_is_written_all_the_same(store: Path) -> None:
    writer.Writer(store).write(Block(2, 8, 10), {"a/b": np.full(2, np.nan)}, np.ones(2, np.int8))
    assert (store / "a/b/c/2").is_file()
    assert zarr.open_array(store / "frames/frame_status", mode="r")[:].tolist() == [0] * 8 + [1] * 2


def test_what_stands_in_the_store_is_not_written_again_unless_it_is_missing(store: Path) -> None:
    block, status, values = Block(0, 0, 4), np.ones(4, np.int8), {"a/b": np.full(4, np.nan)}
    written = {"a/b": checksums.of_block("a/b", 0, values["a/b"])}
    chunk = store / "a/b/c/0"
    writer.Writer(store).write(block, values, status)
    before = chunk.stat()
    writer.Writer(store).write(block, values, status, written)
    assert (chunk.stat().st_ino, chunk.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    chunk.unlink()  # reads as fill values, which these are
    writer.Writer(store).write(block, values, status, written)
    assert chunk.is_file()
    writer.Writer(store).write(block, {"a/b": np.arange(4.0)}, status, written)
    assert zarr.open_array(store / "a/b", mode="r")[:4].tolist() == [0, 1, 2, 3]


def test_data_reach_the_disk_before_the_status_and_the_status_before_the_end(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def written() -> str:
        return "".join(
            letter for letter, path in (("d", "a/b/c/0"), ("s", "frames/frame_status/c/0")) if (store / path).exists()
        )

    real_sync, real_fsync = disk.sync_file_system, os.fsync
    monkeypatch.setattr(disk, "sync_file_system", lambda path: (events.append("syncfs " + written()), real_sync(path)))
    monkeypatch.setattr(os, "fsync", lambda number: (events.append("fsync " + written()), real_fsync(number)))
    writer.Writer(store).write(Block(0, 0, 4), {"a/b": np.zeros(4)}, np.ones(4, np.int8))
    assert events == ["syncfs d", "fsync ds", "fsync ds"]


def test_a_full_disk_is_said_with_path_and_number_and_leaves_no_status(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(disk, "sync_file_system", refuse)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        writer.Writer(store).write(Block(0, 0, 4), {"a/b": np.zeros(4)}, np.ones(4, np.int8))
    assert str(store) in str(caught.value)
    assert caught.value.exit_code == 74
    assert not (store / "frames/frame_status/c/0").exists()


def test_a_hiccup_of_the_file_system_is_waited_out(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [OSError(116, "Stale file handle"), OSError(5, "Input/output error")]

    def hiccup(path: Path) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(disk, "sync_file_system", hiccup)
    monkeypatch.setattr(disk.time, "sleep", lambda seconds: None)
    writer.Writer(store).write(Block(0, 0, 4), {"a/b": np.zeros(4)}, np.ones(4, np.int8))
    assert (store / "frames/frame_status/c/0").exists()


def test_a_pipeline_that_tears_chunks_is_refused(store: Path) -> None:
    pipeline = zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    with pipeline, pytest.raises(StoreError, match="doesn't write atomically"):
        writer.Writer(store)
