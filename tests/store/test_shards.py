"""A shard is what zarr writes, and of a damaged one nothing is read that isn't what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from stemdask.store import shards
from stemdask.store.chunks import Chunks

CHOOSE = np.random.default_rng(0)
VALUES = pytest.mark.parametrize(
    ("values", "chunks"),
    [
        (CHOOSE.normal(size=(7, 5, 4)), (2, 3, 4)),
        (CHOOSE.normal(size=(9, 4)).astype(np.float32), (1, 2)),
        (CHOOSE.integers(-9, 9, (7, 3)).astype(np.int8), (3, 3)),
        (CHOOSE.integers(0, 2**63, 9).astype(np.uint64), (2,)),
        (CHOOSE.integers(0, 2, 9).astype(bool), (4,)),
        (CHOOSE.normal(size=6) + 1j, (2,)),
        (np.array(["", "π", "two words", "x" * 99, ""], np.dtypes.StringDType()), (2,)),
        (np.full((5, 2), np.nan), (2, 2)),
        (np.empty((5, 0)), (2, 1)),
    ],
    ids=["split", "beside", "the last is shorter", "hashes", "flags", "complex", "texts", "fill values", "nothing"],
)


def _array(path: Path, values: Any, chunks: tuple[int, ...], **how: Any) -> Any:
    array = zarr.create_array(
        path / "x",
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        compressors=[ZstdCodec(), Crc32cCodec()],
        **how,
    )
    array.with_config({"write_empty_chunks": True})[...] = values
    return array


def _files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@VALUES
@pytest.mark.parametrize("n", [2, 3])
def test_chunks_that_are_joined_are_the_shards_that_zarr_writes_to_the_byte(
    values: Any, chunks: tuple[int, ...], n: int, tmp_path: Path
) -> None:
    plain = Chunks(_array(tmp_path / "plain", values, chunks), tmp_path / "plain", "x")
    _array(tmp_path / "theirs", values, chunks, shards=(n * chunks[0], *chunks[1:]))
    for start in plain.rows[::n]:
        for key in plain.keys(start):
            file = tmp_path / "ours/x/c" / "/".join(map(str, (start // n, *key[1:])))
            file.parent.mkdir(parents=True, exist_ok=True)
            shards.write(file, (plain.sound((row, *key[1:])) for row in plain.rows[start : start + n]), n)
    described = shards.joined(json.loads((tmp_path / "plain/x/zarr.json").read_text()), n)
    ours, theirs = _files(tmp_path / "ours"), _files(tmp_path / "theirs")
    told = json.loads(theirs.pop("x/zarr.json"))
    assert ours == theirs
    assert {key: described[key] for key in ("codecs", "chunk_grid")} == {
        key: told[key] for key in ("codecs", "chunk_grid")
    }
    assert shards.apart(described) == json.loads((tmp_path / "plain/x/zarr.json").read_text())


@VALUES
@pytest.mark.parametrize("location", ["end", "start"])
def test_chunks_within_shards_are_those_that_zarr_reads(
    values: Any, chunks: tuple[int, ...], location: str, tmp_path: Path
) -> None:
    """Also where shards hold chunks that lie beside each other, in the order of zarr; others are left to it."""
    size = tuple(2 * length for length in chunks)
    array = _array(tmp_path, values, chunks, shards={"shape": size, "index_location": location})
    found = Chunks(array, tmp_path, "x")
    assert (found.are_ours, found.are_joined) == (location == "end", True)
    rows = [found.joined(row, [found.read(key) for key in found.keys(row)]) for row in found.rows]
    whole = np.concatenate(rows)
    assert whole.tolist() == values.tolist() or np.isnan(values).all()
    assert all((tmp_path / found.name(key)).is_file() for row in found.rows for key in found.keys(row))


def test_each_flipped_bit_of_a_shard_costs_a_chunk_and_those_of_its_index_the_shard(tmp_path: Path) -> None:
    array = _array(tmp_path, CHOOSE.normal(size=(5, 2)), (1, 2), shards=(3, 2))
    found = Chunks(array, tmp_path, "x")
    file = tmp_path / found.name((0, 0))
    sound = file.read_bytes()
    index = len(sound) - 3 * 16 - 4
    for at in range(len(sound)):
        file.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << at % 8]) + sound[at + 1 :])
        errors = []
        for row in range(3):
            try:
                found.read((row, 0))
            except ValueError as error:
                errors.append(type(error))
        assert len(errors) == (1 if at < index else 3), at
        assert (shards.BrokenShard in errors) == (at >= index)
        assert found.read((3, 0)).shape == (1, 2), "of the next shard"


@pytest.mark.parametrize("data", [b"", b"\0" * 4, b"\0" * 20, b"\0" * 52, b"\0" * 500], ids=len)
def test_a_shard_that_was_cut_or_emptied_is_broken(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "shard").write_bytes(data)
    with pytest.raises(shards.BrokenShard):
        shards.read(tmp_path / "shard", 0, 3)


@pytest.mark.parametrize("n_written", [0, 2])
def test_a_chunk_that_a_shard_does_not_hold_is_missing(n_written: int, tmp_path: Path) -> None:
    shards.write(tmp_path / "shard", [b"chunk"] * n_written, 3)
    assert [shards.read(tmp_path / "shard", k, 3) for k in range(n_written)] == [b"chunk"] * n_written
    with pytest.raises(ValueError, match="missing"):
        shards.read(tmp_path / "shard", n_written, 3)


@pytest.mark.parametrize(
    ("n_chunks", "chunk_bytes", "n"),
    [(1, 8, 1), (10, 8, 10), (1000, 8, 64), (1000, 0, 64), (1000, 40 * 2**20, 12), (1000, 2**30, 1)],
)
def test_a_shard_is_bounded_in_chunks_and_bytes(n_chunks: int, chunk_bytes: int, n: int) -> None:
    assert shards.length(n_chunks, chunk_bytes) == n
