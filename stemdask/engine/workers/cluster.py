"""Workers behind a Dask scheduler; those that are processes of this machine."""

from __future__ import annotations

import contextlib
import logging
import queue
import shutil
import sys
import tempfile
import types
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from stemdask.engine.block import Ack
from stemdask.engine.clock import Clock
from stemdask.engine.dispatch import TICK, Done, Job, WorkerDied
from stemdask.engine.log import LOG, RunLog
from stemdask.engine.workers import descriptors, forgetting, keys
from stemdask.engine.workers.settings import settings
from stemdask.engine.workers.telling import do_and_tell, read_ack
from stemdask.errors import ClusterError
from stemdask.model import Block
from stemdask.store.layout import run_directory

log = logging.getLogger(__name__)

#: Seconds without all workers before the pool asks for them again.
RESTORE_SECONDS = 5.0
#: Seconds to learn why a block failed, or to close a cluster.
REPLY_SECONDS = 30.0
#: Blocks after which their keys are forgotten.
_KEYS = 1000


class DaskPool(ABC):
    """Workers behind a Dask scheduler; a subclass says how they are started and restored.

    Acknowledgements alone pass through the scheduler, told by workers as they finish a block and never fetched: a
    worker that goes with one keeps nobody waiting. Futures are dropped as soon as they are done, so that neither the
    scheduler nor this process grows with the number of blocks.
    """

    #: Blocks in flight a worker: one to do, one to have at hand, one on its way.
    AHEAD = 3

    def __init__(self, job: Job, workers: int, workers_timeout: float) -> None:
        self.workers = workers
        self.window = self.AHEAD * workers
        self._job = job
        self._timeout = workers_timeout
        self._blocks: dict[str, tuple[Block, Any]] = {}
        self._ready: queue.SimpleQueue[tuple[str, Ack | None]] = queue.SimpleQueue()
        self._stack = contextlib.ExitStack()
        self._clock = Clock()
        self._all_seen = self._any_seen = self._looked = self._clock.seconds
        self._handed = 0
        self._note = "waiting for workers"

    @abstractmethod
    def start(self) -> Any:
        """Start scheduler and workers, register on `self._stack` what ends them, and return the client."""

    @abstractmethod
    def alive(self) -> int:
        """Return how many workers the scheduler has."""

    def restore(self) -> None:  # noqa: B027 - a pool that looks after its workers itself has nothing to ask for
        """Ask again for the workers that are missing."""

    def why_none(self) -> str:
        """Return what is known about workers that don't come."""
        return ""

    def __enter__(self) -> DaskPool:
        import dask
        import distributed  # noqa: F401 - its defaults must be there first: `set` would take them along as it ends

        try:
            self._stack.enter_context(_quiet())
            self._stack.enter_context(dask.config.set(settings(isolated=self._job.isolate)))
            descriptors.allow(self.workers)
            self._client = self.start()
            self._client.subscribe_topic(self._topic, self._told)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._blocks.clear()
        try:
            self._stack.close()
        except TimeoutError as error:  # they end with this process; how the run ended is not to be hidden by that
            log.warning("the workers didn't end in time: %s", error)

    def submit(self, block: Block, isolate: bool | None) -> None:
        """Hand a block to the scheduler."""
        self._handed += 1
        if self._handed % _KEYS == 0:
            forgetting.forget_keys()
        key = f"block-{block.index}-{self._job.epoch}-{self._handed}"
        arguments = (self._topic, key, self._job.store, block, self._job.epoch, isolate)
        future = self._client.submit(do_and_tell, *arguments, key=key, pure=False)
        self._blocks[key] = block, future
        future.add_done_callback(lambda done: self._ready.put((done.key, None)))

    def collect(self, seconds: float) -> Iterable[Done]:
        """Return the blocks that came back."""
        found: list[Done] = []
        with contextlib.suppress(queue.Empty):
            found += self._taken(*self._ready.get(timeout=seconds))
            while True:
                found += self._taken(*self._ready.get_nowait())
        return found

    def supervise(self) -> str:
        """Watch the number of workers: Dask alone waits indefinitely once its nannies have given up."""
        now = self._clock.tick()
        if now - self._looked < TICK:
            return self._note
        self._looked, alive = now, self.alive()
        if alive:
            self._any_seen = now
        if alive >= self.workers:
            self._all_seen = now
        elif now - self._all_seen > RESTORE_SECONDS:
            self._all_seen = now
            self.restore()
        if now - self._any_seen > self._timeout:
            raise ClusterError(
                f"no worker for {self._timeout:g} s{self.why_none()}",
                remedy="See the log in the run directory; running again continues",
            )
        self._note = "" if alive else f"waiting for workers{self.why_none()}"
        return self._note

    @property
    def _topic(self) -> str:
        return f"stemdask {self._job.store} {self._job.epoch}"

    def _told(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take what a worker tells; called in the thread of the client."""
        self._ready.put((event[1]["key"], read_ack(event[1])))

    def _taken(self, key: str, ack: Ack | None) -> Iterator[Done]:
        """Return the block of a key, unless it came back before; without an acknowledgement it wasn't done."""
        import distributed

        if key not in self._blocks:
            return
        block, future = self._blocks.pop(key)
        if ack is not None:
            yield Done(block, ack=ack)
            return
        try:
            error = future.exception(timeout=REPLY_SECONDS)
        except Exception as found:  # noqa: BLE001 - the caller tells what is hopeless
            error = found
        if error is None or isinstance(error, distributed.KilledWorker):
            error = WorkerDied(str(error or "nobody told that it was done"))
        yield Done(block, error=error)


class Processes(DaskPool):
    """Processes of this machine; encrypted, on loopback alone, without a dashboard."""

    def start(self) -> Any:
        """Start a scheduler in this process and workers beside it."""
        import distributed

        dask: Any = distributed
        # Of this driver alone: those of a job array share the run directory.
        scratch = tempfile.mkdtemp(prefix="scratch-", dir=run_directory(self._job.store))
        self._stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        self._stack.enter_context(_without_main())
        self._cluster = dask.LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            scheduler_kwargs={"dashboard": False},
            security=keys.temporary(),
            memory_limit=0,
            local_directory=scratch,
            env={LOG: str(run_directory(self._job.store) / "log")},
        )
        self._stack.callback(self._cluster.close, timeout=REPLY_SECONDS)
        forgetting.forget_metadata(self._cluster.scheduler)
        client = dask.Client(self._cluster, set_as_default=False)
        self._stack.callback(client.close, timeout=REPLY_SECONDS)
        self.restore()
        return client

    def alive(self) -> int:
        """Return how many workers the scheduler has."""
        return len(self._cluster.scheduler.workers)

    def restore(self) -> None:
        """Ask again for the workers that are missing."""
        self._cluster.scale(self.workers)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask says in the log of the run, not between the lines of its progress."""
    logger = logging.getLogger("distributed")
    silenced = [one for one in logger.handlers if not isinstance(one, RunLog)]
    for handler in silenced:
        logger.removeHandler(handler)
    try:
        yield
    finally:
        for handler in silenced:
            logger.addHandler(handler)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Start processes that don't import the user's script again, which need not guard itself against that."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
