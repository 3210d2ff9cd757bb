"""Workers that are SLURM jobs, or steps of one allocation: wanted slots held against what the queue shows."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemdask import cluster_config as kinds
from stemdask.cluster_config import parse_walltime
from stemdask.engine import keys
from stemdask.engine.cluster import REPLY_SECONDS, DaskPool, settings
from stemdask.engine.dispatch import Job
from stemdask.engine.isolate import ONE_THREAD
from stemdask.engine.leaving import LEAVE_AFTER
from stemdask.engine.log import LOG
from stemdask.engine.slurm_jobs import HOPELESS, Jobs, JobView, Queue, Steps, wait_until
from stemdask.errors import ClusterError
from stemdask.store.layout import run_directory

log = logging.getLogger(__name__)

#: Seconds before the walltime at which a worker leaves; a quarter of a walltime that is shorter than six minutes.
MARGIN = 90.0
#: Jobs in a row that may end before their worker came.
BROKEN = 3
#: Looks at the queue that a hopeless pending reason may last: an administrator may be at work.
GRACE = 4
#: Variables that a worker's job takes over from the driver; nothing else of its environment.
EXPORTED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "PYTHONPATH", "SLURM_CONF", "USER")
#: Added to what a worker may use: its own start, and a nod to SLURM's polling of memory.
WORKER_BYTES = 2**30


@dataclass(slots=True)
class _Slot:
    """A wanted worker: the job that stands for it now."""

    number: int
    attempt: int = 0
    job: str = ""
    name: str = ""
    submitted: float = 0.0
    came: bool = False
    hopeless: int = 0
    memory_factor: float = 1.0
    leaving: list[str] = field(default_factory=list)
    """Jobs near their walltime whose replacement is on its way."""


class SlurmPool(DaskPool):
    """One Dask worker a job. dask-jobqueue makes scheduler, keys and script; jobs are handed in and watched here.

    dask-jobqueue alone takes a rejected, cancelled or lost job for a running one.
    """

    def __init__(self, job: Job, cluster: kinds.Slurm, workers: int, queue: Queue | None = None) -> None:
        super().__init__(job, workers, cluster.workers_timeout)
        self._config = cluster
        self._directory = run_directory(job.store)
        family = hashlib.sha256(str(Path(job.store).absolute()).encode()).hexdigest()[:8]
        self._family = f"stemdask-{family}-"
        self._tag = f"{self._family}{job.epoch}-"
        self._queue: Queue = Jobs(self._tag) if queue is None else queue
        self._slots = [_Slot(number) for number in range(workers)]
        self._asked = 0.0
        self._broken = 0
        self._said = ""

    def start(self) -> Any:
        """Start the scheduler in this process and hand in the first jobs."""
        import distributed

        for path in (self._directory, Path.cwd(), Path(sys.executable)):
            try:
                kinds.check_path(str(path))
            except ValueError as error:
                raise ClusterError(str(error)) from None
        folder = self._directory / "tls"
        shutil.rmtree(folder, ignore_errors=True)  # of a driver that was killed
        security = keys.make(folder)
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (self._directory / "jobs").mkdir(mode=0o700, exist_ok=True)
        self._cluster = self._scheduler(security)
        self._stack.callback(self._cluster.close, timeout=REPLY_SECONDS)
        dask: Any = distributed
        client = dask.Client(self._cluster, set_as_default=False)
        self._stack.callback(client.close, timeout=REPLY_SECONDS)
        self._stack.callback(self._end)
        if isinstance(self._queue, Jobs):
            if swept := self._queue.sweep(self._family):
                log.warning("ended %d jobs that an earlier driver left", swept)
            self._queue.test(self._script(self._slots[0], "test"))
        for slot in self._slots[: self._wanted()]:
            self._hand_in(slot)
        return client

    def alive(self) -> int:
        """Return how many workers the scheduler has."""
        return len(self._cluster.scheduler.workers)

    def why_none(self) -> str:
        """Return what SLURM says of the jobs."""
        return f" ({self._said})" if self._said else ""

    def supervise(self) -> str:
        """Hold the wanted slots against the queue, every so often."""
        if time.monotonic() - self._asked > self._config.poll_seconds:
            self._asked = time.monotonic()
            self._compare(self._queue.look())
        return super().supervise()

    def _wanted(self) -> int:
        workers = self._config.workers
        if isinstance(workers, int):
            return self.workers
        return max(workers.min, min(self.workers, len(self._blocks) or self.workers))

    def _compare(self, jobs: list[JobView] | None) -> None:
        if jobs is None:  # unknown isn't gone
            self._said = "SLURM's controller doesn't answer"
            return
        seen = {job.id: job for job in jobs}
        here = {str(worker.name) for worker in self._cluster.scheduler.workers.values()}
        waiting = []
        for slot in self._slots:
            slot.leaving = [number for number in slot.leaving if number in seen and not seen[number].over]
            if slot.name in here:
                slot.came, self._broken = True, 0
            job = seen.get(slot.job)
            if job is None and slot.job and time.monotonic() - slot.submitted < 2 * self._config.poll_seconds:
                continue  # not listed yet
            if job is None or job.over:
                if slot.job:
                    self._lost(slot, job)
                if slot.number < self._wanted():
                    self._hand_in(slot)
            elif job.state == "PENDING":
                waiting.append(job)
                self._check_hope(slot, job)
            elif job.seconds_left < self._margin() and slot.number < self._wanted():
                slot.leaving.append(slot.job)
                self._hand_in(slot)
        reasons = sorted({job.reason for job in waiting if job.reason not in ("", "None")})
        self._said = f"{len(waiting)} jobs pending: {', '.join(reasons) or 'no reason given'}" if waiting else ""

    def _check_hope(self, slot: _Slot, job: JobView) -> None:
        slot.hopeless = slot.hopeless + 1 if HOPELESS.search(job.reason) else 0
        if slot.hopeless > GRACE:
            raise ClusterError(
                f"job {job.id} can never start: {job.reason}",
                where="cluster",
                remedy="Change partition, walltime or memory in the config; running again continues",
            )

    def _lost(self, slot: _Slot, job: JobView | None) -> None:
        state = job.state if job is not None else "gone from the queue"
        log.warning("job %s of slot %d is over: %s%s", slot.job, slot.number, state, f" on {job.node}" if job else "")
        if state == "OUT_OF_MEMORY":
            slot.memory_factor = 1.5
        self._broken += not slot.came and state not in ("CANCELLED", "PREEMPTED", "NODE_FAIL")
        if self._broken >= BROKEN:
            raise ClusterError(
                f"{self._broken} jobs ended before their worker came; the last said: {self._tail(slot)}",
                where=self._log_of(slot.name),
                remedy="Check that the nodes see this Python and the store; running again continues",
            )

    def _hand_in(self, slot: _Slot) -> None:
        slot.attempt += 1
        slot.name = f"{self._tag}{slot.number}-{slot.attempt}"
        slot.job = self._queue.submit(self._script(slot, slot.name), slot.name)
        slot.submitted, slot.came, slot.hopeless = time.monotonic(), False, 0
        log.info("job %s stands for slot %d, attempt %d", slot.job, slot.number, slot.attempt)

    def _end(self) -> None:
        """End every job of this run, those too whose submission gave no answer, and look whether they are gone."""
        ids = [number for slot in self._slots for number in (slot.job, *slot.leaving) if number]
        self._queue.cancel(ids)

        def gone() -> bool:
            left = [job.id for job in self._queue.look() or () if not job.over and job.state != "COMPLETING"]
            self._queue.cancel(left)
            return not left

        if not wait_until(gone, REPLY_SECONDS):
            log.warning("jobs of this run are still in the queue; scancel those named %s*", self._tag)

    def _margin(self) -> float:
        return min(MARGIN, parse_walltime(self._config.walltime) / 4)

    def _script(self, slot: _Slot, name: str) -> str:
        """Return dask-jobqueue's script with what it leaves out: names, directories, threads, keys, an end in time."""
        head, command = self._cluster.job_script().rstrip().rsplit("\n", 1)
        walltime, margin = parse_walltime(self._config.walltime), self._margin()
        leave = walltime - margin - (slot.number % 8) * margin / 16  # not all at the same moment
        lines = [line for line in head.splitlines() if line.strip()]
        directives = [line for line in lines[1:] if line.startswith("#SBATCH")]
        rest = [line for line in lines[1:] if not line.startswith("#SBATCH")]
        if slot.memory_factor > 1:
            directives.append(f"#SBATCH --mem={int(slot.memory_factor * self._memory() / 2**20)}M")
        text = [
            lines[0],
            f"#SBATCH -J {name}",
            f"#SBATCH -o {self._log_of(name)}",
            f"#SBATCH -D {Path.cwd()}",
            f"#SBATCH --export={','.join(variable for variable in EXPORTED if variable in os.environ)}",
            f"#SBATCH --no-requeue --open-mode=append --signal=B:USR1@{int(margin)}",
            *directives,
            "set -eo pipefail",
            *rest,
            *(f"export {key}={value}" for key, value in ONE_THREAD.items()),
            *(f"export {key}={shlex.quote(value)}" for key, value in self._environment(leave).items()),
            # Compiled kernels are kept on the node; a folder that somebody else owns is not trusted.
            'cache=${TMPDIR:-/tmp}/stemdask-numba-$(id -u); mkdir -p -m 700 "$cache" || true',
            'if [ ! -O "$cache" ] || [ -L "$cache" ]; then cache=$(mktemp -d); fi; export NUMBA_CACHE_DIR=$cache',
            "exec " + command.replace("--name dummy-name", f"--name {name}"),
        ]
        return "\n".join(text) + "\n"

    def _environment(self, leave: float) -> dict[str, str]:
        found = {LOG: str(self._directory / "log"), LEAVE_AFTER: f"{leave:.0f}"}
        for key, value in settings(isolated=self._job.isolate).items():
            if key.startswith(("distributed.worker", "distributed.comm")):
                found["DASK_" + key.replace(".", "__").replace("-", "_").upper()] = repr(value)
        return found

    def _memory(self) -> int:
        return self._config.memory or WORKER_BYTES + self._job.frame_memory

    def _scheduler(self, security: Any) -> Any:
        config = self._config
        room = max(300 * 2**20, int(0.15 * self._memory()))
        with _own_interrupts():
            import dask_jobqueue

            library: Any = dask_jobqueue

            options = {
                "n_workers": 0,
                "processes": 1,
                "cores": config.cores,
                "memory": f"{self._memory() - room} B",
                "job_mem": f"{self._memory() // 2**20}M",
                "queue": config.partition,
                "account": config.account,
                "walltime": config.walltime,
                "interface": config.interface,
                "local_directory": config.local_directory or "${TMPDIR:-/tmp}",
                "job_extra_directives": list(config.job_extra_directives) or None,
                "job_script_prologue": list(config.prologue) or None,
                "job_directives_skip": ["#SBATCH -J", "#SBATCH -o", "#SBATCH -e"],
                "nanny": False,
                "worker_extra_args": ["--dashboard-address", "127.0.0.1:0"],
                "death_timeout": 60,
                "python": sys.executable,
                "security": security,
                "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
                **config.options,
            }
            return library.SLURMCluster(**options)

    def _log_of(self, name: str) -> Path:
        return self._directory / "jobs" / f"{name}.log"

    def _tail(self, slot: _Slot) -> str:
        try:
            lines = self._log_of(slot.name).read_text(errors="replace").splitlines()
        except OSError:
            return "no log was written"
        return " | ".join(line.strip() for line in lines[-3:] if line.strip())[:500] or "nothing"


class AllocationPool(SlurmPool):
    """Workers that are steps of the allocation in which the driver runs."""

    def __init__(self, job: Job, cluster: kinds.Allocation, n_blocks: int) -> None:
        if "SLURM_JOB_ID" not in os.environ:
            raise ClusterError(
                "this isn't inside a SLURM allocation",
                where="cluster.kind: allocation",
                remedy="Submit jobs/allocation.sbatch, or use the kind slurm",
            )
        tasks = os.environ.get("SLURM_NTASKS", "1")
        workers = min(int(tasks) if tasks.isdecimal() else 1, cluster.workers, n_blocks)
        as_jobs = kinds.Slurm(
            kind="slurm",
            workers=workers,
            walltime="365-00:00:00",  # the allocation's own end comes first, and the driver knows of it
            interface=cluster.interface,
            workers_timeout=cluster.workers_timeout,
            poll_seconds=2,
        )
        super().__init__(job, as_jobs, workers, Steps(str(run_directory(job.store) / "jobs")))


@contextlib.contextmanager
def _own_interrupts() -> Iterator[None]:
    """Keep the handler of Ctrl-C, which importing dask_jobqueue replaces."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not the main thread: nothing was replaced
            signal.signal(signal.SIGINT, handler)
