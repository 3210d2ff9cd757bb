"""A shard of zarr: chunks of an array one after the other, as they are, and at the end where each of them stands.

The codec `sharding_indexed` of zarr v3 [1]_, with its index at the end: offset and length of each chunk, 64 bit, little
endian, and their CRC-32C.

.. [1] https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

#: Chunks of a shard, at most.
CHUNKS = 64
#: What the chunks of a shard may hold together before they are compressed, bytes.
BYTES = 512 * 2**20
_CODEC = "sharding_indexed"
_INDEX = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
_MISSING = 2**64 - 1


class BrokenShard(ValueError):
    """A shard of which nothing can be read: its index is damaged."""


def length(n_chunks: int, chunk_bytes: int) -> int:
    """Return how many of so many chunks, each of so many bytes, become one shard."""
    return max(1, min(CHUNKS, n_chunks, BYTES // max(1, chunk_bytes)))


def write(file: Path, chunks: Iterable[bytes], n: int) -> None:
    """Write a shard with room for `n` chunks, of which the last ones may be missing.

    Raises
    ------
    OSError
        The file system refused; part of the shard may be there.
    """
    index, start = np.full((n, 2), _MISSING, "<u8"), 0
    with file.open("wb") as opened:
        for number, chunk in enumerate(chunks):
            index[number] = start, len(chunk)
            start += opened.write(chunk)
        table = index.tobytes()
        opened.write(table + google_crc32c.value(table).to_bytes(4, "little"))


def read(file: Path, number: int, n: int) -> bytes:
    """Return a chunk of a shard with room for `n`, as it is.

    Raises
    ------
    OSError
        The shard can't be opened.
    BrokenShard
        Its index is damaged.
    ValueError
        The shard doesn't hold the chunk.
    """
    with file.open("rb") as opened:
        end = opened.seek(0, 2) - 16 * n - 4
        opened.seek(max(0, end))
        index = opened.read()
        if end < 0 or google_crc32c.value(index[:-4]) != int.from_bytes(index[-4:], "little"):
            raise BrokenShard("the index is damaged")
        start, size = (int(one) for one in np.frombuffer(index[:-4], "<u8").reshape(n, 2)[number])
        if start + size > end:
            raise ValueError("it is missing, and would read as fill values")
        opened.seek(start)
        return opened.read(size)


def joined(node: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Return the metadata of an array whose shards hold `n` chunks along its first dimension."""
    shape = node["chunk_grid"]["configuration"]["chunk_shape"]
    inner = {"chunk_shape": shape, "codecs": node["codecs"], "index_codecs": _INDEX, "index_location": "end"}
    return _described(node, [n * shape[0], *shape[1:]], [{"name": _CODEC, "configuration": inner}])


def apart(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of an array whose shards were taken apart."""
    inner = node["codecs"][0]["configuration"]
    return _described(node, inner["chunk_shape"], inner["codecs"])


def _described(node: Mapping[str, Any], shape: list[int], codecs: list[Any]) -> dict[str, Any]:
    grid = {**node["chunk_grid"], "configuration": {"chunk_shape": shape}}
    return {**node, "chunk_grid": grid, "codecs": codecs}
