"""The statuses of all frames: the only manifest of a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd
from zarr.codecs import Crc32cCodec, ZstdCodec

from stemdask.kernels.arrays import Codes
from stemdask.model import Block, FrameStatus
from stemdask.store.disk import patiently, sync_file
from stemdask.store.layout import STATUS, open_group, writable

_ZSTD = Zstd()


def read_statuses(store: str | Path) -> Codes:
    """Return the status of every frame; a block whose status can't be read is pending.

    zarr takes 0.3 ms for each block, of which decoding is a hundredth: that is done here, for as many blocks as
    millions of frames are in.
    """
    array = open_group(store)[STATUS]
    folder, size = Path(store) / STATUS / "c", array.chunks[0]
    are_ours = tuple(map(type, array.compressors)) == (ZstdCodec, Crc32cCodec)
    found = np.full(array.shape, FrameStatus.PENDING, dtype=np.int8)
    for number, start in enumerate(range(0, array.shape[0], size)):
        one = slice(start, start + size)
        try:
            # A chunk is whole, also the last one.
            found[one] = _decoded(folder / str(number), size)[: array.shape[0] - start] if are_ours else array[one]
        except Exception:  # noqa: BLE001 - a damaged block is repeated, whatever the damage
            continue
    return found


def _decoded(chunk: Path, size: int) -> Codes:
    """Return what a chunk of statuses holds, written as the layout has them: compressed, then its checksum."""
    data = chunk.read_bytes()
    packed, checksum = data[:-4], data[-4:]
    if google_crc32c.value(packed) != int.from_bytes(checksum, "little"):
        raise ValueError("the checksum doesn't match the bytes")
    found = np.frombuffer(_ZSTD.decode(packed), np.int8)
    if len(found) != size:
        raise ValueError("the chunk has the wrong length")
    return found


def count(statuses: Codes) -> dict[FrameStatus, int]:
    """Return how many frames have each status."""
    numbers = np.bincount(statuses.astype(np.intp), minlength=len(FrameStatus))
    return {status: int(numbers[status]) for status in FrameStatus}


def unfinished(statuses: Codes, blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks that hold a pending frame."""
    return [block for block in blocks if (statuses[block.start : block.stop] == FrameStatus.PENDING).any()]


def set_pending(store: str | Path, blocks: Iterable[Block]) -> None:
    """Mark blocks as not done, so that the next run repeats them."""
    array = writable(open_group(store, "r+"), STATUS)
    for block in blocks:
        chunk = Path(store) / STATUS / "c" / str(block.index)

        def put(block: Block = block, chunk: Path = chunk) -> None:
            array[block.start : block.stop] = np.int8(FrameStatus.PENDING)
            sync_file(chunk)

        patiently(put, chunk)
