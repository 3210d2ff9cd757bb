"""Writing one block: data, then the disk, then its status, then the disk again.

Neither a chunk's file nor zarr calls fsync. After a power cut the status of a block must never be there without its
data, so the order is data, ``syncfs``, status, ``fsync``. A block owns its chunks alone, and `Writer` refuses anything
else: a write that isn't aligned to chunks loses the frames of a neighbour without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stemdask.errors import StemdaskError
from stemdask.model import Array, Block
from stemdask.store import checksums, disk
from stemdask.store.chunks import Chunks
from stemdask.store.layout import CHECKSUMS, STATUS, check_pipeline, open_group, writable


class Writer:
    """Writes blocks into a store; keeps its arrays open.

    Parameters
    ----------
    store
        Path of a store that is laid out.
    """

    def __init__(self, store: str | Path) -> None:
        check_pipeline()
        self._store = Path(store)
        self._root = open_group(store, "r+")
        self._chunks: dict[str, Chunks] = {}

    def write(
        self, block: Block, values: Mapping[str, Array], status: Array, written: Mapping[str, int] | None = None
    ) -> None:
        """Write every variable of a block, and last its status.

        Parameters
        ----------
        block
            One of the store's.
        values, status
            By path, and of the frames.
        written
            Checksums of variables that stand in the store as they say, and stay where the values have the same.

        Raises
        ------
        StorageError
            The file system refused; nothing says that the block is done.
        """
        sums = {
            path: checksums.of_block(path, block.index, array) for path, array in {**values, STATUS: status}.items()
        }
        for path, array in values.items():
            if written is None or written.get(path) != sums[path] or not self._is_there(path, block):
                self._put(path, block, array)
        self._put_checksums(block, sums)
        disk.patiently(lambda: disk.sync_file_system(self._store), self._store)
        self._put(STATUS, block, status)
        chunk = self._store / STATUS / "c" / str(block.index)
        disk.patiently(lambda: disk.sync_file(chunk), chunk)

    def _is_there(self, path: str, block: Block) -> bool:
        """Tell whether no chunk is missing, which reads as fill values."""
        chunks = self._of(path)
        return all((self._store / chunks.name(key)).is_file() for key in chunks.keys(block.index))

    def _of(self, path: str) -> Chunks:
        found = self._chunks.get(path)
        if found is None:
            found = self._chunks[path] = Chunks(writable(self._root, path), self._store, path)
        return found

    def _put_checksums(self, block: Block, sums: Mapping[str, int]) -> None:
        if CHECKSUMS not in self._root:
            return  # laid out by a version that had none
        row = np.array([[sums[path] for path in self._root[CHECKSUMS].attrs["paths"]]], np.uint32)
        disk.patiently(lambda: self._of(CHECKSUMS).write(block.index, row), self._store / CHECKSUMS)

    def _put(self, path: str, block: Block, values: Array) -> None:
        chunks = self._of(path)
        check_aligned(block, chunks.size[0], chunks.shape[0])
        if values.shape != (block.stop - block.start, *chunks.shape[1:]):
            raise StemdaskError(
                "the block doesn't fit the store",
                where=path,
                value=values.shape,
                allowed=(block.stop - block.start, *chunks.shape[1:]),
            )
        disk.patiently(lambda: chunks.write(block.index, values), self._store / path)


def check_aligned(block: Block, block_frames: int, n_frames: int) -> None:
    """Refuse a block that isn't exactly the chunk of its index."""
    start = block.index * block_frames
    if (block.start, block.stop) != (start, min(start + block_frames, n_frames)) or block.start >= block.stop:
        raise StemdaskError(
            f"block {block.index} would share chunks with its neighbours",
            value=(block.start, block.stop),
            allowed=(start, min(start + block_frames, n_frames)),
        )


def text_array(values: list[str]) -> Array:
    """Return texts as an array that zarr stores with variable length."""
    return np.array(values, dtype=np.dtypes.StringDType())
