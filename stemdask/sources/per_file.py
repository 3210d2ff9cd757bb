"""What is opened once a process, for as long as the file is the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def once_per_file(maxsize: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep what a function of a path returns, until the file there has another size, time or inode."""

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(maxsize=maxsize)
        def kept(path: str, state: tuple[int, int, int], *more: Hashable) -> T:
            return function(path, *more)

        def call(path: str, *more: Hashable) -> T:
            status = Path(path).stat()
            return kept(path, (status.st_size, status.st_mtime_ns, status.st_ino), *more)

        return call

    return decorate
