"""Workers behind a Dask scheduler; those that are processes of this machine."""

from __future__ import annotations

import contextlib
import logging
import queue
import shutil
import sys
import tempfile
import time
import types
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from stemdask.engine.dispatch import TICK, Done, Job, WorkerDied
from stemdask.engine.log import LOG, RunLog
from stemdask.engine.task import do_block
from stemdask.errors import ClusterError
from stemdask.fence.fence import ONE_THREAD
from stemdask.model import Block
from stemdask.store.layout import run_directory

#: Seconds without all workers before the pool asks for them again.
RESTORE_SECONDS = 5.0
#: Seconds to fetch the acknowledgement of a finished block, or to close a cluster.
REPLY_SECONDS = 30.0


class DaskPool(ABC):
    """Workers behind a Dask scheduler; a subclass says how they are started and restored.

    Acknowledgements alone pass through the scheduler. Futures are dropped as soon as they are done, so that neither
    it nor this process grows with the number of blocks.
    """

    #: Blocks in flight a worker: one to do, one to have at hand, one on its way.
    AHEAD = 3

    def __init__(self, job: Job, workers: int, workers_timeout: float) -> None:
        self.workers = workers
        self.window = self.AHEAD * workers
        self._job = job
        self._timeout = workers_timeout
        self._blocks: dict[Any, Block] = {}
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stack = contextlib.ExitStack()
        self._all_seen = self._any_seen = self._looked = time.monotonic()
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
            self._client = self.start()
            self._all_seen = self._any_seen = time.monotonic()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._blocks.clear()
        self._stack.close()

    def submit(self, block: Block, isolate: bool | None) -> None:
        """Hand a block to the scheduler."""
        self._handed += 1
        future = self._client.submit(
            do_block,
            self._job.store,
            block,
            self._job.epoch,
            isolate,
            key=f"block-{block.index}-{self._job.epoch}-{self._handed}",
            pure=False,
        )
        self._blocks[future] = block
        future.add_done_callback(self._ready.put)

    def collect(self, seconds: float) -> Iterable[Done]:
        """Return the blocks that came back."""
        found: list[Done] = []
        with contextlib.suppress(queue.Empty):
            found += self._taken(self._ready.get(timeout=seconds))
            while True:
                found += self._taken(self._ready.get_nowait())
        return found

    def supervise(self) -> str:
        """Watch the number of workers: Dask alone waits for ever once its nannies have given up."""
        now = time.monotonic()
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

    def _taken(self, future: Any) -> Iterator[Done]:
        import distributed

        block = self._blocks.pop(future, None)
        if block is None:
            return
        try:
            yield Done(block, ack=future.result(timeout=REPLY_SECONDS))
        except distributed.KilledWorker as error:
            yield Done(block, error=WorkerDied(str(error)))
        except Exception as error:  # noqa: BLE001 - the caller tells what is hopeless
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
            security=True,
            memory_limit=0,
            local_directory=scratch,
            env={LOG: str(run_directory(self._job.store) / "log")},
        )
        self._stack.callback(self._cluster.close, timeout=REPLY_SECONDS)
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


def settings(*, isolated: bool) -> dict[str, Any]:
    """Return what is set in Dask for a run: in this process, never in the user's files."""
    health_only = {"routes": ["distributed.http.health"]}
    return {
        "distributed.comm.require-encryption": True,
        "distributed.deploy.lost-worker-timeout": "24h",  # the default gives nannies up, and then waits for ever
        "distributed.scheduler.allowed-failures": 10 if isolated else 2,
        "distributed.scheduler.no-workers-timeout": "24h",  # `supervise` ends the wait earlier
        "distributed.scheduler.worker-ttl": "120s",
        "distributed.scheduler.http": health_only,
        "distributed.worker.http": health_only,
        "distributed.worker.memory.pause": False,  # it would resume a worker that paused in order to leave
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.worker.preload": ["stemdask.engine.workers.worker"],
        "distributed.nanny.pre-spawn-environ": ONE_THREAD | {"MALLOC_TRIM_THRESHOLD_": 65536},
    }


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
