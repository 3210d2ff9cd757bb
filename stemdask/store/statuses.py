"""The statuses of all frames: the only manifest of a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from stemdask.kernels.arrays import Codes
from stemdask.model import Block, FrameStatus
from stemdask.store.chunks import Chunks
from stemdask.store.disk import patiently, sync_file
from stemdask.store.layout import STATUS, open_group, writable


def read_statuses(store: str | Path) -> Codes:
    """Return the status of every frame; a block whose status can't be read is pending.

    Millions of frames are in so many blocks that zarr would take minutes.
    """
    chunks = Chunks(open_group(store)[STATUS], Path(store), STATUS)
    found = np.full(chunks.shape, FrameStatus.PENDING, dtype=np.int8)
    for number, start in enumerate(range(0, chunks.shape[0], chunks.size[0])):
        try:
            found[start : start + chunks.size[0]] = chunks.read((number,))
        except Exception:  # noqa: BLE001 - a damaged block is repeated, whatever the damage
            continue
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
