"""What is opened once a process, for as long as the file is the same."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_HDF5 = b"\x89HDF\r\n\x1a\n"
_State = tuple[int, int, int]
#: Files whose state is remembered.
_MOST = 4096
_seen: dict[str, _State] = {}
_forget: list[Callable[[], None]] = []


def once_per_file(maxsize: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep what a function of a path returns, until the file there has another size, time or inode."""

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(maxsize=maxsize)
        def kept(path: str, state: _State, *more: Hashable) -> T:
            return function(path, *more)

        def call(path: str, *more: Hashable) -> T:
            return kept(path, forget_if_changed(path), *more)

        _forget.append(kept.cache_clear)
        return call

    return decorate


def forget_if_changed(path: str) -> _State:
    """Close what was opened at a path before the HDF5 file there changed; return what it is now.

    HDF5 opens a file anew only where nobody in the process has it open any more: it would show what the file was.
    """
    status = Path(path).stat()
    state = status.st_size, status.st_mtime_ns, status.st_ino
    if _seen.get(path, state) != state and _is_hdf5(path):
        for forget in _forget:
            forget()
        gc.collect()  # readers of others refer to themselves
    if len(_seen) >= _MOST:
        _seen.clear()
    _seen[path] = state
    return state


@atexit.register
def forget_all() -> None:
    """Close what is open while the libraries that opened it still can: GSD's writes lines of its own where it can't."""
    for forget in _forget:
        forget()


def _is_hdf5(path: str) -> bool:
    if not Path(path).is_file():  # a folder of zarr
        return False
    with Path(path).open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5
