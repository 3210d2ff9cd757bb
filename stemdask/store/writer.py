"""Writing one block: data, then the disk, then its status, then the disk again.

zarr never calls fsync. After a power cut the status of a block must never be there without its data, so the order is
data, ``syncfs``, status, ``fsync``. A block owns its chunks alone, and `Writer` refuses anything else: a write that
isn't aligned to chunks loses the frames of a neighbour without a word.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from stemdask.errors import StemdaskError, StorageError
from stemdask.model import Array, Block
from stemdask.store.layout import STATUS, check_pipeline, open_group, writable

_TRANSIENT = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.EAGAIN}
_TRIES = 4

T = TypeVar("T")


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

    def write(self, block: Block, values: Mapping[str, Array], status: Array) -> None:
        """Write every variable of a block, and last its status.

        Raises
        ------
        StorageError
            The file system refused; nothing says that the block is done.
        """
        for path, array in values.items():
            self._put(path, block, array)
        _patient(lambda: sync_file_system(self._store), self._store)
        self._put(STATUS, block, status)
        chunk = self._store / STATUS / "c" / str(block.index)
        _patient(lambda: sync_file(chunk), chunk)

    def _put(self, path: str, block: Block, values: Array) -> None:
        array = self._arrays.get(path)
        if array is None:
            array = self._arrays[path] = writable(self._root, path)
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

        _patient(put, self._store / path)


def check_aligned(block: Block, block_frames: int, n_frames: int) -> None:
    """Refuse a block that isn't exactly the chunk of its index."""
    start = block.index * block_frames
    if (block.start, block.stop) != (start, min(start + block_frames, n_frames)) or block.start >= block.stop:
        raise StemdaskError(
            f"block {block.index} would share chunks with its neighbours",
            value=(block.start, block.stop),
            allowed=(start, min(start + block_frames, n_frames)),
        )


def sync_file_system(path: Path) -> None:
    """Force everything written so far on the file system of `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _syncfs is None:
            os.sync()
        elif _syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Force a file and its name to the disk."""
    for one in (path, path.parent):
        descriptor = os.open(one, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def storage_error(error: OSError, path: Path) -> StorageError:
    """Return the error of a refused write, in words."""
    reason = error.strerror or str(error)
    return StorageError(
        f"writing was refused: {reason} (errno {error.errno})",
        where=error.filename or path,
        remedy="Free some space or check permissions and quota, then run again: it continues where it stopped",
    )


def _patient(action: Callable[[], T], path: Path) -> T:
    """Do it, again where a network file system hiccups; raise StorageError where it is refused."""
    for attempt in range(_TRIES):
        try:
            return action()
        except OSError as error:
            if error.errno not in _TRANSIENT or attempt == _TRIES - 1:
                raise storage_error(error, path) from error
            time.sleep(0.5 * 2**attempt)
    raise AssertionError


def _load_syncfs() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function


_syncfs = _load_syncfs()


def text_array(values: list[str]) -> Array:
    """Return texts as an array that zarr stores with variable length."""
    return np.array(values, dtype=np.dtypes.StringDType())
