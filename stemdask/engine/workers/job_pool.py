"""Workers that are jobs: a scheduler in this process, and slots that are compared with the queue."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import math
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.engine.block import Ack
from stemdask.engine.dispatch import Done, Job
from stemdask.engine.queues import jobqueue, preflight, seeing
from stemdask.engine.queues.jobs import Jobs, WorkerJobs, wait_until
from stemdask.engine.queues.queue import JobView, State
from stemdask.engine.queues.records import queue_of
from stemdask.engine.queues.script import WORKER_BYTES, check_paths, longest_block, worker_script
from stemdask.engine.workers import forgetting, keys, usage
from stemdask.engine.workers.cluster import REPLY_SECONDS, DaskPool
from stemdask.engine.workers.slots import Slots, Worker
from stemdask.store.disk import write_file
from stemdask.store.layout import run_directory

log = logging.getLogger(__name__)

#: Seconds that workers may take to leave by themselves at the end, so that their jobs end as completed ones.
FAREWELL_SECONDS = 15.0


class JobPool(DaskPool):
    """One Dask worker per job. dask-jobqueue makes scheduler and script; jobs are submitted and watched here.

    dask-jobqueue alone takes a rejected, cancelled or lost job for a running one. The queue is asked in a thread of its
    own: however long it takes to answer, blocks that are done are taken meanwhile.
    """

    def __init__(self, job: Job, cluster: Batch, workers: int, jobs: WorkerJobs | None = None) -> None:
        queue = queue_of(cluster.kind)
        cluster = preflight.on_whole_nodes(queue, cluster, WORKER_BYTES + job.frame_memory)
        n_jobs = math.ceil(workers / cluster.per_job)
        super().__init__(job, n_jobs * cluster.per_job, cluster.workers_timeout)
        self._n_jobs = n_jobs
        self._config = cluster
        self._directory = run_directory(job.store)
        store = hashlib.sha256(str(Path(job.store).absolute()).encode()).hexdigest()[:8]
        self._family = f"stemdask-{store}-"
        self._queue = queue
        self._jobs: WorkerJobs = Jobs(self._queue, self._family) if jobs is None else jobs
        self._thread = ThreadPoolExecutor(1, "stemdask-queue")
        self._comparison: Future[str] | None = None
        self._compared = -float("inf")
        self._seen_first = False
        self._pending = ""
        self._warned = False

    def start(self) -> Any:
        """Start the scheduler in this process; jobs are submitted by `supervise`."""
        import distributed

        check_paths(self._directory, Path.cwd(), Path(sys.executable))
        security = self._keys()
        job = self._job
        self._script = script = worker_script(
            Path(job.store), self._queue, self._config, job.frame_memory, isolated=job.isolate
        )
        for name in (usage.TOLD, usage.SAID):
            (self._directory / name).unlink(missing_ok=True)
        script.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._cluster = jobqueue.scheduler(self._queue, self._config, script.memory, security)
        self._stack.callback(self._cluster.close, timeout=REPLY_SECONDS)
        forgetting.forget_metadata(self._cluster.scheduler)
        self._log_dashboard()
        self._publish_address(script.scheduler_file)
        dask: Any = distributed
        client = dask.Client(self._cluster, set_as_default=False)
        self._stack.callback(client.close, timeout=REPLY_SECONDS)
        self._kind_of_job = f"{self._family}{script.fingerprint()}-"
        self._slots = Slots(
            self._jobs,
            script,
            self._queue,
            tag=f"{self._kind_of_job}{self._job.epoch}-",
            config=self._config,
            n=self._n_jobs,
            clock=self._clock,
            drop=self._drop,
        )
        self._stack.callback(self._leave)
        self._jobs.test(script.text("test", 0))
        return client

    def _keys(self) -> Any:
        folder = self._directory / "tls"
        shutil.rmtree(folder, ignore_errors=True)  # of a driver that was killed
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return keys.make(folder)

    def _publish_address(self, file: Path) -> None:
        """Write where the scheduler is; a job that waits in the queue longer than this driver finds the next by it."""
        keys.write_private(file, json.dumps({"address": self._cluster.scheduler_address}))
        self._stack.callback(file.unlink, missing_ok=True)

    def _log_dashboard(self) -> None:
        if importlib.util.find_spec("bokeh") is not None:
            port = self._cluster.dashboard_link.rpartition(":")[2].partition("/")[0]
            log.info("http://127.0.0.1:8787 is Dask's dashboard after ssh -L 8787:127.0.0.1:%s %s", port, gethostname())

    def alive(self) -> int:
        """Return how many workers the scheduler has."""
        return len(self._cluster.scheduler.workers)

    def why_none(self) -> str:
        """Return what the queue says of the jobs."""
        return f" ({self._pending})" if self._pending else ""

    def supervise(self) -> str:
        """Compare the wanted slots with the queue, periodically."""
        now = self._clock.tick()
        if self._comparison is not None and self._comparison.done():
            self._pending, self._comparison = self._comparison.result(), None
        if self._comparison is None and now - self._compared > self._config.poll_seconds:
            self._compared, self._comparison = now, self._thread.submit(self._compare)
        return super().supervise()

    def _compare(self) -> str:
        """Ask the queue and act on its answer; return what is to be said about jobs."""
        jobs = self._jobs.look()
        if jobs is None:
            return f"{self._queue.title}'s controller doesn't answer"  # unknown isn't gone
        if not self._seen_first:
            self._seen_first = True
            self._slots.adopt(self._left_pending(jobs))
        seen = {job.id: job for job in jobs}
        pending = self._slots.compare(seen, self._workers(), self._wanted())
        seeing.write_jobs(Path(self._job.store), self._slots.record(seen), self._slots.trouble, self._script.directory)
        return pending

    def _left_pending(self, jobs: list[JobView]) -> list[JobView]:
        """Return the jobs in the queue that an earlier driver submitted for what this one would."""
        return [job for job in jobs if job.state is State.PENDING and job.name.startswith(self._kind_of_job)]

    def _workers(self) -> list[Worker]:
        # The scheduler lives in another thread; a plain dict's values are taken all at once, its sorted one's aren't.
        known = list(dict.values(self._cluster.scheduler.workers))
        return [Worker(str(one.name), one.address, one.last_seen, bool(one.processing)) for one in known]

    def _drop(self, address: str) -> None:
        """Take a worker away from the scheduler, which tells it to close; its blocks go elsewhere, unsuspected."""
        remove = partial(self._cluster.scheduler.remove_worker, address, stimulus_id="stemdask-slots", expected=True)
        self._cluster.loop.add_callback(remove)

    def _wanted(self) -> int:
        workers = self._config.workers
        if isinstance(workers, int):
            return self._n_jobs
        return min(self._n_jobs, math.ceil(max(workers.min, len(self._blocks)) / self._config.per_job))

    def _leave(self) -> None:
        """Submit no more jobs, let workers go, and check that their jobs have ended; cancel those that haven't in time.

        Jobs that still wait are ended too, unless this driver comes back for them. The scheduler is closed after that:
        one that closes under its workers fills the log with their broken connections.
        """
        self._slots.stop()
        self._thread.shutdown(cancel_futures=True)
        stays = {State.ENDING} | ({State.PENDING} if self._job.comes_back() else set())
        listed = self._jobs.look()
        if State.PENDING not in stays:
            waiting = [job.id for job in listed or () if job.state is State.PENDING]
            self._jobs.cancel(waiting if listed is not None else self._slots.standing())
        for worker in self._workers():
            self._drop(worker.address)

        def gone(*, cancel: bool) -> bool:
            jobs = self._jobs.look()
            left = [job.id for job in jobs or () if not job.over and job.state not in stays]
            if cancel:
                self._jobs.cancel(left)
            return jobs is not None and not left

        if not wait_until(partial(gone, cancel=False), FAREWELL_SECONDS) and not wait_until(
            partial(gone, cancel=True), REPLY_SECONDS
        ):
            command = self._queue.cancel[0]
            log.warning("jobs of this run are still in the queue; %s those named %s*", command, self._family)
        self._say_what_was_used()

    def _say_what_was_used(self) -> None:
        asked = usage.Asked(self._script.memory, self._script.config.cores, self._config.per_job, self._slots.waits)
        if said := usage.sentence(usage.read(self._directory / usage.TOLD), asked):
            log.info(said)
            write_file(self._directory / usage.SAID, said + "\n")

    def _taken(self, key: str, ack: Ack | None) -> Iterator[Done]:
        limit = longest_block(self._config.walltime)
        for done in super()._taken(key, ack):
            if done.ack is not None and done.ack.seconds > limit and not self._warned:
                self._warned = True
                log.warning(
                    "block %d took %.0f s; within a walltime of %s it should take less than %.0f s, or it may be cut: "
                    "raise cluster.walltime, or start over with smaller block_frames",
                    done.block.index,
                    done.ack.seconds,
                    self._config.walltime,
                    limit,
                )
            yield done
