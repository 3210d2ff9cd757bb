"""Chunks are read as zarr reads them, however they were written; what is damaged is never read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from stemdask.store.chunks import Chunks

OURS = (ZstdCodec(), Crc32cCodec())
CHOOSE = np.random.default_rng(0)


def array_of(path: Path, values: Any, chunks: Any, compressors: Any = OURS, **how: Any) -> Any:
    array = zarr.create_array(
        path / "x", shape=values.shape, dtype=values.dtype, chunks=chunks, compressors=compressors, **how
    )
    array.with_config({"write_empty_chunks": True})[...] = values
    return array


@pytest.mark.parametrize(
    ("values", "chunks"),
    [
        (CHOOSE.normal(size=(7, 5, 4)), (2, 3, 4)),
        (CHOOSE.integers(-9, 9, (7, 3)).astype(np.int8), (3, 3)),
        (CHOOSE.integers(0, 2, 9).astype(bool), (4,)),
        (CHOOSE.normal(size=6) + 1j, (6,)),
        (np.array(["", "π", "two words", "x" * 99, ""], np.dtypes.StringDType()), (2,)),
        (np.float32(3), ()),
        (np.empty((0,)), (1,)),
    ],
    ids=["split along all", "the last is shorter", "flags", "complex", "texts", "a number", "nothing"],
)
@pytest.mark.parametrize(
    "how",
    [{}, {"compressors": (BloscCodec(),)}, {"compressors": ()}, {"compressors": (Crc32cCodec(), ZstdCodec())}],
    ids=["ours", "blosc", "plain", "the other way round"],
)
def test_chunks_are_those_that_zarr_reads(values: Any, chunks: Any, how: Any, tmp_path: Path) -> None:
    array = array_of(tmp_path, values, chunks, **how)
    found = Chunks(array, tmp_path, "x")
    assert found.are_ours == (not how)
    rows = [found.joined(row, [found.read(key) for key in found.keys(row)]) for row in found.rows]
    assert all((tmp_path / found.name(key)).is_file() for row in found.rows for key in found.keys(row))
    whole = np.concatenate(rows) if values.ndim and rows else rows[0] if rows else np.empty(0)
    assert whole.shape == values.shape
    assert whole.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("values", "chunks"),
    [
        (CHOOSE.normal(size=(7, 5, 4)), (2, 3, 4)),
        (CHOOSE.integers(-9, 9, (7, 3)).astype(np.int8), (3, 3)),
        (CHOOSE.integers(0, 2, 9).astype(bool), (4,)),
        (np.array(["", "π", "two words", "x" * 99, ""], np.dtypes.StringDType()), (2,)),
        (np.full((5, 2), np.nan), (2, 2)),
    ],
    ids=["split along all", "the last is shorter", "flags", "texts", "fill values"],
)
@pytest.mark.parametrize("level", [0, 9])
def test_chunks_are_written_as_zarr_writes_them_to_the_byte(
    values: Any, chunks: Any, level: int, tmp_path: Path
) -> None:
    how = {"compressors": (ZstdCodec(level=level), Crc32cCodec())}
    theirs = array_of(tmp_path / "theirs", values, chunks, **how)
    ours = array_of(tmp_path / "ours", values[::-1], chunks, **how)
    found = Chunks(ours, tmp_path / "ours", "x")
    for row in found.rows:
        found.write(row, values[row * chunks[0] : (row + 1) * chunks[0]])
    assert ours[:].tolist() == values.tolist() or np.isnan(values).all()
    files = [path.relative_to(tmp_path / "theirs") for path in (tmp_path / "theirs").rglob("*") if path.is_file()]
    assert sorted(files) == sorted(
        path.relative_to(tmp_path / "ours") for path in (tmp_path / "ours").rglob("*") if path.is_file()
    )
    for name in files:
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name
    assert theirs.shape == ours.shape


def test_numbers_of_the_other_byte_order_are_left_to_zarr(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(6, 2)
    array = array_of(tmp_path, values, (2, 2), serializer=zarr.codecs.BytesCodec(endian="big"))
    found = Chunks(array, tmp_path, "x")
    assert not found.are_ours
    assert found.read((1, 0)).tolist() == [[4, 5], [6, 7]]


@pytest.mark.parametrize("harm", ["gone", "emptied", "cut", "of another length", "a folder", *range(8)])
def test_no_damaged_chunk_is_read(harm: str | int, tmp_path: Path) -> None:
    found = Chunks(array_of(tmp_path, CHOOSE.normal(size=(6, 4)), (2, 4)), tmp_path, "x")
    other = Chunks(array_of(tmp_path / "other", CHOOSE.normal(size=(3, 4)), (3, 4)), tmp_path / "other", "x")
    assert other.read((0, 0)).shape == (3, 4)
    chunk = tmp_path / found.name((1, 0))
    data = bytearray(chunk.read_bytes())
    if isinstance(harm, int):
        data[harm * len(data) // 8] ^= 1 << harm
    wrong = {"emptied": b"", "cut": data[:-1], "of another length": (tmp_path / "other/x/c/0/0").read_bytes()}
    chunk.unlink()
    if harm == "a folder":
        chunk.mkdir()
    elif harm != "gone":
        chunk.write_bytes(wrong.get(harm, data) if isinstance(harm, str) else data)
    with pytest.raises((OSError, ValueError, RuntimeError)):
        found.read((1, 0))
    assert found.read((2, 0)).shape == (2, 4)
