"""Checksums over what a chunk is and where it stands, besides what it holds: its own can't tell two swapped ones.

CRC-32 over the path of the variable, the number of the block and the values as they are in memory. Those of the blocks
are an array of the store, a row for each block, written with it; those of what a run has once are an attribute of the
root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from zlib import crc32

import numpy as np

from stemdask.model import Array


def of_block(path: str, block: int, values: Array) -> int:
    """Return the checksum of one variable of one block."""
    return _add(crc32(f"{path} {block}".encode()), values)


def once(path: str, parts: Iterable[Array]) -> str:
    """Return the checksum of a variable that a run has once, given all of it in parts along its first dimension."""
    found = crc32(path.encode())
    for part in parts:
        found = _add(found, part)
    return f"{found:08x}"


def parts(array: Any) -> Iterator[Array]:
    """Yield a stored array in parts along its first dimension, each one chunk long, so that memory stays flat."""
    if array.ndim == 0:
        yield np.asarray(array[...])
        return
    for start in range(0, array.shape[0], array.chunks[0]):
        yield np.asarray(array[start : start + array.chunks[0]])


def _add(before: int, values: Array) -> int:
    if values.dtype.kind in "TUO":
        return crc32("".join(f"{len(text)} {text}" for text in map(str, values.reshape(-1))).encode(), before)
    return crc32(np.ascontiguousarray(values).data, before) if values.size else before
