"""The same with many files, several at a time: where a network file system answers in milliseconds they add up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

from stemdask.fence import inside

T = TypeVar("T")

#: Each takes some 8 MB, for its stack, of what may be allocated behind the fence.
_THREADS = 16
#: Most files that a thread is handed at a time: handing over takes about as long as a file does beside its waits.
_TOGETHER = 16
#: Times as many files as the threads have are handed out, at most, before the first of them are done.
_AHEAD = 4
#: Seconds between two looks at how far the threads are.
_LOOK = 0.1


def of_each(action: Callable[[str], T], files: Sequence[str]) -> Iterator[T]:
    """Yield what an action returns of each file, in their order; say which of them is waited for.

    Parameters
    ----------
    action
        Waits for the file system more than it computes, and may be done in several threads.
    files
        Paths.
    """
    if len(files) < 2:
        for file in files:
            inside.beat(file)
            yield action(file)
        return
    together = max(1, min(_TOGETHER, len(files) // (_AHEAD * _THREADS)))
    ended = Event()
    turned_to: dict[int, str] = {}

    def of_some(start: int) -> list[T]:
        found = []
        for file in files[start : start + together]:
            if ended.is_set():
                break
            turned_to[start] = file
            found.append(action(file))
        return found

    def waited_for(start: int, future: Future[list[T]]) -> list[T]:
        begun: dict[int, str] = {}
        while True:
            if (now := dict(turned_to)) != begun:  # as long as there is progress; if none, this file is to blame
                inside.beat(now.get(start, files[start]))
                begun = now
            if wait([future], _LOOK).done:
                turned_to.pop(start)
                return future.result()

    executor = ThreadPoolExecutor(min(_THREADS, len(files)), thread_name_prefix="files")
    handed_out: deque[tuple[int, Future[list[T]]]] = deque()
    try:
        for start in range(0, len(files), together):
            handed_out.append((start, executor.submit(of_some, start)))
            if len(handed_out) == _AHEAD * _THREADS:
                yield from waited_for(*handed_out.popleft())
        while handed_out:
            yield from waited_for(*handed_out.popleft())
    finally:
        ended.set()
        executor.shutdown(cancel_futures=True)
