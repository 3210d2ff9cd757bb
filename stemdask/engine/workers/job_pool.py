"""Workers that are jobs: wanted slots held against what the queue shows."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any

from stemdask.config.clusters import Slurm
from stemdask.engine.dispatch import Done, Job
from stemdask.engine.log import LOG
from stemdask.engine.queues import jobqueue
from stemdask.engine.queues.jobs import Jobs, NoAnswer, WorkerJobs, wait_until
from stemdask.engine.queues.queue import JobView, State
from stemdask.engine.queues.records import queue_of
from stemdask.engine.queues.script import WORKER_BYTES, WorkerScript, check_paths, longest_block, margin
from stemdask.engine.workers import keys
from stemdask.engine.workers.cluster import REPLY_SECONDS, DaskPool, settings
from stemdask.errors import ClusterError
from stemdask.store.layout import run_directory

log = logging.getLogger(__name__)

#: Jobs in a row that may end before their worker came.
BROKEN = 3
#: Looks at the queue that a hopeless pending reason may last: an administrator may be at work.
GRACE = 4
#: After a job that had too little memory, its slot gets this many times as much, once.
MORE_MEMORY = 1.5


@dataclass(slots=True)
class Slot:
    """A wanted worker: the job that stands for it now."""

    number: int
    attempt: int = 0
    job: str = ""
    """Of the queue; empty where none stands for the slot."""
    name: str = ""
    submitted: float = 0.0
    came: bool = False
    hopeless: int = 0
    memory_factor: float = 1.0
    leaving: list[str] = field(default_factory=list)
    """Jobs near their walltime whose replacement is on its way."""


class JobPool(DaskPool):
    """One Dask worker a job. dask-jobqueue makes scheduler, keys and script; jobs are handed in and watched here.

    dask-jobqueue alone takes a rejected, cancelled or lost job for a running one.
    """

    def __init__(self, job: Job, cluster: Slurm, workers: int, jobs: WorkerJobs | None = None) -> None:
        super().__init__(job, workers, cluster.workers_timeout)
        self._config = cluster
        self._directory = run_directory(job.store)
        family = hashlib.sha256(str(Path(job.store).absolute()).encode()).hexdigest()[:8]
        self._family = f"stemdask-{family}-"
        self._tag = f"{self._family}{job.epoch}-"
        self._queue = queue_of(cluster.kind)
        self._jobs: WorkerJobs = Jobs(self._queue, self._tag) if jobs is None else jobs
        self._slots = [Slot(number) for number in range(workers)]
        self._compared = 0.0
        self._broken = 0
        self._pending = ""
        self._warned = False

    def start(self) -> Any:
        """Start the scheduler in this process and hand in the first jobs."""
        import distributed

        check_paths(self._directory, Path.cwd(), Path(sys.executable))
        (self._directory / "jobs").mkdir(mode=0o700, exist_ok=True)
        self._cluster = jobqueue.scheduler(self._queue, self._config, self._memory(), self._keys())
        self._stack.callback(self._cluster.close, timeout=REPLY_SECONDS)
        self._log_dashboard()
        self._script = WorkerScript(
            queue=self._queue,
            base=self._cluster.job_script(),
            directory=self._directory / "jobs",
            walltime=self._config.walltime,
            memory=self._memory(),
            environment=self._environment(),
        )
        dask: Any = distributed
        client = dask.Client(self._cluster, set_as_default=False)
        self._stack.callback(client.close, timeout=REPLY_SECONDS)
        self._stack.callback(self._end)
        if swept := self._jobs.sweep(self._family):
            log.warning("ended %d jobs that an earlier driver left", swept)
        self._jobs.test(self._script.text("test", 0))
        for slot in self._slots:
            self._hand_in(slot)
        return client

    def _keys(self) -> Any:
        folder = self._directory / "tls"
        shutil.rmtree(folder, ignore_errors=True)  # of a driver that was killed
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return keys.make(folder)

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
        """Hold the wanted slots against the queue, every so often."""
        if time.monotonic() - self._compared > self._config.poll_seconds:
            self._compared = time.monotonic()
            jobs = self._jobs.look()
            self._pending = f"{self._queue.title}'s controller doesn't answer"  # unknown isn't gone
            if jobs is not None:
                with contextlib.suppress(NoAnswer):
                    self._pending = self.compare({job.id: job for job in jobs})
        return super().supervise()

    def compare(self, seen: dict[str, JobView]) -> str:
        """Replace jobs that are over, or soon will be, and end those that nobody wants; return what is pending.

        Raises
        ------
        NoAnswer
            The queue takes no jobs at the moment.
        ClusterError
            More jobs wouldn't help.
        """
        present = {str(worker.name) for worker in self._dask_workers()}
        waiting = []
        for slot in self._slots:
            slot.leaving = [number for number in slot.leaving if number in seen and not seen[number].over]
            if slot.name in present:
                slot.came, self._broken = True, 0
            job = seen.get(slot.job)
            if job is None and time.monotonic() - slot.submitted < 2 * self._config.poll_seconds:
                continue  # not listed yet
            if slot.job and (job is None or job.over):
                self._lost(slot, job)
            elif job is not None and job.state is State.PENDING:
                waiting.append(job)
                self._check_hope(slot, job)
        self._end_strays(seen)
        self._follow_work()
        for slot in self._slots:
            job = seen.get(slot.job)
            if job is not None and job.state is State.RUNNING and job.seconds_left < 2 * margin(self._config.walltime):
                slot.leaving.append(slot.job)
                self._hand_in(slot)
        reasons = sorted({job.reason for job in waiting if job.reason not in ("", "None")})
        return f"{len(waiting)} jobs pending: {', '.join(reasons) or 'no reason given'}" if waiting else ""

    def _follow_work(self) -> None:
        """Fill empty slots up to what is wanted; with {min, max}, end jobs beyond it that have nothing to do."""
        wanted = self._wanted()
        empty = [slot for slot in self._slots if not slot.job]
        surplus = len(self._slots) - len(empty) - wanted
        for slot in empty[: max(0, -surplus)]:
            self._hand_in(slot)
        if surplus > 0:
            busy = {str(worker.name) for worker in self._dask_workers() if worker.processing}
            idle = [slot for slot in self._slots if slot.job and slot.name not in busy][:surplus]
            self._jobs.cancel([slot.job for slot in idle])
            for slot in idle:
                log.info("job %s of slot %d has nothing to do any more", slot.job, slot.number)
                slot.job = ""

    def _dask_workers(self) -> list[Any]:
        # The scheduler lives in another thread; a plain dict's values are taken all at once, its sorted one's aren't.
        return list(dict.values(self._cluster.scheduler.workers))

    def _wanted(self) -> int:
        workers = self._config.workers
        if isinstance(workers, int):
            return self.workers
        return min(self.workers, max(workers.min, len(self._blocks)))

    def _end_strays(self, seen: dict[str, JobView]) -> None:
        """End jobs of this run that stand for no slot: of a submission whose answer never came."""
        known = {number for slot in self._slots for number in (slot.job, *slot.leaving)}
        strays = [number for number, job in seen.items() if number not in known and not job.over]
        if strays:
            log.warning("ending jobs that stand for no worker: %s", ", ".join(strays))
            self._jobs.cancel(strays)

    def _check_hope(self, slot: Slot, job: JobView) -> None:
        slot.hopeless = slot.hopeless + 1 if self._queue.hopeless.search(job.reason) else 0
        if slot.hopeless > GRACE:
            raise ClusterError(
                f"job {job.id} can never start: {job.reason}",
                where="cluster",
                remedy="Change partition, walltime or memory in the config; running again continues",
            )

    def _lost(self, slot: Slot, job: JobView | None) -> None:
        state = job.state if job is not None else State.OVER
        word = job.word if job is not None else "gone from the queue"
        where = f" on {job.node}" if job is not None and job.node else ""
        log.warning("job %s of slot %d is over: %s%s", slot.job, slot.number, word, where)
        if state is State.OUT_OF_MEMORY:
            if slot.memory_factor > 1:
                raise ClusterError(
                    f"job {slot.job} had too little memory, though it got {slot.memory_factor:g} times as much",
                    where="cluster.memory",
                    value=f"{self._memory() / 2**30:.3g} GiB",
                    remedy="Raise it; limits.frame_memory and 1 GiB should fit. Running again continues",
                )
            slot.memory_factor = MORE_MEMORY
        self._broken += not slot.came and state is not State.TAKEN
        if self._broken >= BROKEN:
            raise ClusterError(
                f"{self._broken} jobs ended before their worker came; the last said: {self._tail(slot)}",
                where=self._directory / "jobs" / f"{slot.job}.log",
                remedy="Check that the nodes see this Python and the store; running again continues",
            )
        slot.job = ""

    def _hand_in(self, slot: Slot) -> None:
        slot.attempt += 1
        slot.job, slot.name = "", f"{self._tag}{slot.number}-{slot.attempt}"
        slot.job = self._jobs.submit(self._script.text(slot.name, slot.number, slot.memory_factor), slot.name)
        slot.submitted, slot.came, slot.hopeless = time.monotonic(), False, 0
        log.info("job %s stands for slot %d, attempt %d", slot.job, slot.number, slot.attempt)

    def _end(self) -> None:
        """End every job of this run, those too whose submission gave no answer, and look whether they are gone."""
        ids = [number for slot in self._slots for number in (slot.job, *slot.leaving) if number]
        self._jobs.cancel(ids)

        def gone() -> bool:
            jobs = self._jobs.look()
            left = [job.id for job in jobs or () if not job.over and job.state is not State.ENDING]
            self._jobs.cancel(left)
            return jobs is not None and not left

        if not wait_until(gone, REPLY_SECONDS):
            command = self._queue.cancel[0]
            log.warning("jobs of this run are still in the queue; %s those named %s*", command, self._tag)

    def _taken(self, future: Any) -> Iterator[Done]:
        limit = longest_block(self._config.walltime)
        for done in super()._taken(future):
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

    def _environment(self) -> dict[str, str]:
        found = {LOG: str(self._directory / "log")}
        for key, value in settings(isolated=self._job.isolate).items():
            if key.startswith(("distributed.worker", "distributed.comm")):
                found["DASK_" + key.replace(".", "__").replace("-", "_").upper()] = repr(value)
        return found

    def _memory(self) -> int:
        return self._config.memory or WORKER_BYTES + self._job.frame_memory

    def _tail(self, slot: Slot) -> str:
        for name in (slot.job, slot.name):  # of a job, of a step
            with contextlib.suppress(OSError):
                lines = (self._directory / "jobs" / f"{name}.log").read_text(errors="replace").splitlines()
                return " | ".join(line.strip() for line in lines[-3:] if line.strip())[:500] or "nothing"
        return "no log was written"
