"""Workers without Dask: this thread, or threads of this process."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from threadpoolctl import threadpool_limits

from stemdask.engine.dispatch import Done, Job
from stemdask.engine.task import close_helpers, do_block
from stemdask.model import Block


class Inline:
    """One block after the other, in this thread."""

    workers = window = 1

    def __init__(self, job: Job) -> None:
        self._job = job
        self._next: deque[tuple[Block, bool | None]] = deque()
        self._limits = contextlib.ExitStack()

    def __enter__(self) -> Inline:
        self._limits.enter_context(threadpool_limits(1))
        return self

    def __exit__(self, *exception: object) -> None:
        close_helpers()
        self._limits.close()

    def submit(self, block: Block, isolate: bool | None) -> None:
        """Keep a block for `collect`."""
        self._next.append((block, isolate))

    def collect(self, seconds: float) -> Iterable[Done]:
        """Do the block."""
        return [_attempt(self._job, *self._next.popleft())]

    def supervise(self) -> str:
        """Nothing to watch."""
        return ""

    def alive(self) -> int:
        """One."""
        return 1


class Threads:
    """Threads of this process: no port is opened."""

    def __init__(self, job: Job, workers: int) -> None:
        self.workers = workers
        self.window = 2 * workers
        self._ended = threading.Event()
        self._job = replace(job, give_up=lambda: self._ended.is_set() or job.give_up())
        self._futures: set[Future[Done]] = set()
        self._limits = contextlib.ExitStack()

    def __enter__(self) -> Threads:
        self._limits.enter_context(threadpool_limits(1))
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="stemdask")
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
        close_helpers()
        self._limits.close()

    def submit(self, block: Block, isolate: bool | None) -> None:
        """Hand a block to a thread."""
        self._futures.add(self._executor.submit(_attempt, self._job, block, isolate))

    def collect(self, seconds: float) -> Iterable[Done]:
        """Return the blocks that came back."""
        ready, self._futures = wait(self._futures, seconds, FIRST_COMPLETED)
        return [future.result() for future in ready]

    def supervise(self) -> str:
        """Nothing to watch: threads don't die."""
        return ""

    def alive(self) -> int:
        """All of them."""
        return self.workers


def _attempt(job: Job, block: Block, isolate: bool | None) -> Done:
    try:
        return Done(block, ack=do_block(job.store, block, job.epoch, isolate, job.give_up, job.known))
    except Exception as error:  # noqa: BLE001 - the caller tells what is hopeless
        return Done(block, error=error)
