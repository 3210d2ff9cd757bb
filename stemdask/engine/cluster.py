"""The kinds of workers on one machine: this process, its threads, processes through Dask."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from threadpoolctl import threadpool_limits

from stemdask import cluster_config as kinds
from stemdask.engine.dispatch import Done, Pool, WorkerDied
from stemdask.engine.isolate import ONE_THREAD
from stemdask.engine.task import close_helpers, do_block
from stemdask.errors import ClusterError
from stemdask.model import Block
from stemdask.store.layout import run_directory

#: Seconds without all workers before the pool asks for them again.
RESTORE_SECONDS = 5.0
#: Seconds to fetch the acknowledgement of a finished block, or to close a cluster.
REPLY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a pool must know of its run."""

    store: str
    epoch: int
    isolate: bool
    give_up: Callable[[], bool]
    """True when blocks in flight are to be abandoned."""


def pool_of(cluster: kinds.Cluster, job: Job) -> Pool:
    """Return the pool that a config names."""
    if isinstance(cluster, kinds.Inline):
        return Inline(job)
    workers = cores() if cluster.workers == "auto" else cluster.workers
    if isinstance(cluster, kinds.Threads):
        return Threads(job, workers)
    return Processes(job, workers, cluster.workers_timeout)


def cores() -> int:
    """Return the cores that this job may use."""
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))


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


class DaskPool:
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
        self._full = self._some = self._looked = time.monotonic()
        self._handed = 0

    def start(self) -> Any:
        """Start scheduler and workers, register on `self._stack` what ends them, and return the client."""
        raise NotImplementedError

    def alive(self) -> int:
        """Return how many workers the scheduler has."""
        raise NotImplementedError

    def restore(self) -> None:
        """Ask again for the workers that are missing."""

    def why_none(self) -> str:
        """Return what is known about workers that don't come."""
        return ""

    def __enter__(self) -> DaskPool:
        import dask

        try:
            self._stack.enter_context(dask.config.set(settings(isolated=self._job.isolate)))
            self._client = self.start()
            self._full = self._some = time.monotonic()
            while self.alive() == 0:
                self.supervise()
                time.sleep(0.05)
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
        if now - self._looked < 0.5:
            return ""
        self._looked, alive = now, self.alive()
        if alive:
            self._some = now
        if alive >= self.workers:
            self._full = now
        elif now - self._full > RESTORE_SECONDS:
            self._full = now
            self.restore()
        if now - self._some > self._timeout:
            raise ClusterError(
                f"no worker for {self._timeout:g} s{self.why_none()}",
                remedy="See the log in the run directory; running again continues",
            )
        return "" if alive else f"waiting for workers{self.why_none()}"

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
        scratch = run_directory(self._job.store) / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
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
            local_directory=str(scratch),
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
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.worker.preload": ["stemdask.engine.worker"],
        "distributed.nanny.pre-spawn-environ": ONE_THREAD | {"MALLOC_TRIM_THRESHOLD_": 65536},
    }


def _attempt(job: Job, block: Block, isolate: bool | None) -> Done:
    try:
        return Done(block, ack=do_block(job.store, block, job.epoch, isolate, job.give_up))
    except Exception as error:  # noqa: BLE001 - the caller tells what is hopeless
        return Done(block, error=error)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Start processes that don't import the user's script again, which need not guard itself against that."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
