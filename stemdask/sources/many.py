"""The same with many files, several at a time: where a network file system answers in milliseconds they add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stemdask.fence import inside

T = TypeVar("T")

#: Each takes some 8 MB, for its stack, of what may be allocated behind the fence.
_THREADS = 16
#: Files that are handed to the threads at a time.
_AT_A_TIME = 4096


def of_each(action: Callable[[str], T], files: Sequence[str]) -> Iterator[T]:
    """Yield what an action returns of each file, in their order; say which of them is waited for.

    Parameters
    ----------
    action
        Waits for the file system more than it computes, and may be done in several threads.
    files
        Paths.
    """
    if len(files) == 1:
        inside.beat(files[0])
        yield action(files[0])
        return
    executor = ThreadPoolExecutor(min(_THREADS, len(files)), thread_name_prefix="files")
    try:
        for start in range(0, len(files), _AT_A_TIME):
            some = files[start : start + _AT_A_TIME]
            found = executor.map(action, some)
            for file in some:
                inside.beat(file)
                yield next(found)
    finally:
        executor.shutdown(cancel_futures=True)
