"""Writing one block: data, then the disk, then its status, then the disk again.

zarr never calls fsync. After a power cut the status of a block must never be there without its data, so the order is
data, ``syncfs``, status, ``fsync``. A block owns its chunks alone, and `Writer` refuses anything else: a write that
isn't aligned to chunks loses the frames of a neighbour without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import StemdaskError
from stemdask.model import Array, Block
from stemdask.store import checksums, disk
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
        self._arrays: dict[str, Any] = {}

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
        array = self._array(path)
        grid = [range(-(-n // size)) for n, size in zip(array.shape[1:], array.chunks[1:], strict=True)]
        place = self._store / path / "c" / str(block.index)
        return all(place.joinpath(*map(str, key)).is_file() for key in product(*grid))

    def _array(self, path: str) -> Any:
        found = self._arrays.get(path)
        if found is None:
            found = self._arrays[path] = writable(self._root, path)
        return found

    def _put_checksums(self, block: Block, sums: Mapping[str, int]) -> None:
        if CHECKSUMS not in self._root:
            return  # laid out by a version that had none
        array = self._array(CHECKSUMS)
        row = [sums[path] for path in array.attrs["paths"]]

        def put() -> None:
            array[block.index] = np.array(row, np.uint32)

        disk.patiently(put, self._store / CHECKSUMS)

    def _put(self, path: str, block: Block, values: Array) -> None:
        array = self._array(path)
        check_aligned(block, array.chunks[0], array.shape[0])
        if values.shape != (block.stop - block.start, *array.shape[1:]):
            raise StemdaskError(
                "the block doesn't fit the store",
                where=path,
                value=values.shape,
                allowed=(block.stop - block.start, *array.shape[1:]),
            )

        def put() -> None:
            array[block.start : block.stop] = values

        disk.patiently(put, self._store / path)


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
