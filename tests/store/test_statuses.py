"""Statuses are read as zarr reads them, and what can't be read is pending."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from stemdask.store.statuses import read_statuses

SIZE, N = 10, 43
WRITTEN = np.random.default_rng(0).integers(1, 5, N).astype(np.int8)


def store_of(path: Path, compressors: list[object]) -> Path:
    frames = zarr.create_group(path, zarr_format=3).require_group("frames")
    array = frames.create_array(
        "frame_status", shape=(N,), chunks=(SIZE,), dtype="int8", fill_value=0, compressors=compressors
    )
    array[:] = WRITTEN
    return path


@pytest.mark.parametrize("compressors", [[ZstdCodec(), Crc32cCodec()], [Crc32cCodec()], []])
def test_statuses_are_those_that_zarr_reads_however_they_were_compressed(
    tmp_path: Path, compressors: list[object]
) -> None:
    store = store_of(tmp_path / "o.zarr", compressors)
    assert (read_statuses(store) == WRITTEN).all()
    assert read_statuses(store).dtype == np.int8


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "of another block"])
def test_a_damaged_block_is_pending_and_no_other(tmp_path: Path, damage: str) -> None:
    store = store_of(tmp_path / "o.zarr", [ZstdCodec(), Crc32cCodec()])
    chunk = store / "frames/frame_status/c/2"
    whole = chunk.read_bytes()
    other = zarr.create_array(
        tmp_path / "other", shape=(4,), chunks=(4,), dtype="int8", compressors=[ZstdCodec(), Crc32cCodec()]
    )
    other[:] = 1
    chunk.unlink()
    wrong = {
        "empty": b"",
        "cut": whole[:-1],
        "flipped": whole[:5] + bytes([whole[5] ^ 1]) + whole[6:],
        "of another block": (tmp_path / "other" / "c" / "0").read_bytes(),
    }
    if damage != "missing":
        chunk.write_bytes(wrong[damage])
    expected = WRITTEN.copy()
    expected[2 * SIZE : 3 * SIZE] = 0
    assert read_statuses(store).tolist() == expected.tolist()
