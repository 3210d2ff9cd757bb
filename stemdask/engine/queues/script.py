"""The script of a worker's job: dask-jobqueue's, with the names, folders, threads and the ending that it lacks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemdask.config.clusters import Batch
from stemdask.config.shell_safe import check_path
from stemdask.config.values import parse_walltime
from stemdask.engine.log import LOG
from stemdask.engine.queues import jobqueue
from stemdask.engine.queues.jobqueue import PLACEHOLDER
from stemdask.engine.queues.queue import Queue, WorkerJob
from stemdask.engine.workers import keys
from stemdask.engine.workers.leaving import BEGAN, LEAVE_AFTER
from stemdask.engine.workers.settings import worker_environment
from stemdask.engine.workers.usage import TOLD, USAGE
from stemdask.errors import ClusterError
from stemdask.fence.process import ONE_THREAD
from stemdask.store.layout import run_directory

#: Seconds before the walltime at which a worker leaves; a quarter of a walltime that is shorter than six minutes.
MARGIN = 90.0
#: Variables that a worker's job inherits from the driver, beside the queue's own; nothing else of its environment.
EXPORTED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "PYTHONPATH", "USER")
#: Beginnings of the variables that choose the kernels of BLAS and numpy; other ones change the last bits of results.
NUMERIC = ("BLIS_", "MKL_", "NPY_", "OPENBLAS_")
#: Memory of a worker beyond the limit of a frame: its own start, and what a queue that polls memory may miss.
WORKER_BYTES = 2**30
#: Seconds that a worker waits for a driver that is being requeued.
DRIVER_SECONDS = 600


def margin(walltime: str) -> float:
    """Return the seconds before its walltime at which a worker leaves."""
    return min(MARGIN, parse_walltime(walltime) / 4)


def longest_block(walltime: str) -> float:
    """Return the longest time that a block should take, s, so that at least two fit into the life of a worker."""
    return (parse_walltime(walltime) - 2 * margin(walltime)) / 2


def too_long(walltime: str, block_frames: int, frame_seconds: float) -> str:
    """Return what is wrong with blocks of so many frames, or "" if they fit a walltime."""
    limit = longest_block(walltime)
    if block_frames * frame_seconds <= limit:
        return ""
    fitting = int(limit // frame_seconds)
    advice = f"raise cluster.walltime{f', or set block_frames to at most {fitting}' if fitting else ''}"
    return (
        f"a block of {block_frames} frames takes about {block_frames * frame_seconds:.0f} s, "
        f"and should take less than {limit:.0f} s for workers with a walltime of {walltime}: {advice}"
    )


def job_bytes(config: Batch, frame_memory: int) -> int:
    """Return the memory of a worker's job, bytes: what the config says, or what its workers may need."""
    return config.memory or config.per_job * (WORKER_BYTES + frame_memory)


def worker_script(
    store: Path, queue: Queue, config: Batch, frame_memory: int, *, isolated: bool = True
) -> WorkerScript:
    """Return the script of the workers of a run.

    Parameters
    ----------
    store
        Of the run.
    queue
        The record of the batch system.
    config
        Of the cluster, with what the site says.
    frame_memory
        Bytes that a frame may take.
    isolated
        Frames run in a helper process of the worker.
    """
    folder = run_directory(store)
    scheduler_file = folder / "scheduler.json"
    memory = job_bytes(config, frame_memory)
    config = config.model_copy(update={"cores": max(config.cores, config.per_job)})
    return WorkerScript(
        queue=queue,
        config=config,
        base=jobqueue.script(queue, config, memory, keys.load(folder / "tls"), scheduler_file),
        scheduler_file=scheduler_file,
        directory=Path(config.log_directory) if config.log_directory else folder / "jobs",
        memory=memory,
        environment={LOG: str(folder / "log"), USAGE: str(folder / TOLD), **worker_environment(isolated=isolated)},
    )


def check_paths(*paths: Path) -> None:
    """Raise ClusterError if a path can't be used in a job script."""
    for path in paths:
        try:
            check_path(str(path))
        except ValueError as error:
            raise ClusterError(str(error)) from None


@dataclass(frozen=True, slots=True)
class WorkerScript:
    """What the scripts of one run have in common."""

    queue: Queue
    config: Batch
    base: str
    """dask-jobqueue's script: directives, and a last line that starts the worker."""
    scheduler_file: Path
    """Where a driver says how its scheduler is reached, for as long as it lives."""
    directory: Path
    """Folder of the logs, one per job, named by its id."""
    memory: int
    """Bytes of a job."""
    environment: Mapping[str, str]

    def leaves_after(self, slot: int) -> float:
        """Return the seconds after which the worker of a slot leaves; not all at the same moment."""
        before = margin(self.config.walltime)
        return parse_walltime(self.config.walltime) - before - (slot % 8) * before / 16

    def text(self, name: str, slot: int, memory_factor: float = 1.0) -> str:
        """Return the script of a job.

        Parameters
        ----------
        name
            Of job and worker.
        slot
            Number of the wanted worker.
        memory_factor
            More memory than the run asks for, after a job that had too little.
        """
        head, command = self.base.rstrip().rsplit("\n", 1)
        lines = [line for line in head.splitlines() if line.strip()]
        start = f"{self.queue.directive} "
        theirs = [line.removeprefix(start) for line in lines if line.startswith(start)]
        more = [self.queue.memory(int(memory_factor * self.memory))] if memory_factor > 1 and self.queue.memory else []
        job = WorkerJob(
            name=name,
            log=f"{self.directory}/{self.queue.log_id or name}.log",
            folder=Path.cwd(),
            memory=self.memory,
            config=self.config,
            exported=_exported(self.queue.kept),
            warning=int(margin(self.config.walltime)),
        )
        directives = [
            *self.queue.worker(job),
            *self.queue.common(self.config),
            *(text for text in theirs if not text.startswith(self.queue.replaced)),
            *more,
        ]
        variables = {**self.environment, LEAVE_AFTER: f"{self.leaves_after(slot):.0f}"}
        text = [
            lines[0],
            *self.queue.directives(directives, self.config),
            f"export {BEGAN}=$(cut -d' ' -f1 /proc/uptime 2>/dev/null)",  # what comes before a worker is walltime too
            *self.config.prologue,
            f"cd {Path.cwd()}",
            "set -eo pipefail",  # after what others wrote, which may not be made for it
            *(f"export {key}={value}" for key, value in ONE_THREAD.items()),
            *(f"export {key}={shlex.quote(value)}" for key, value in variables.items()),
            # Compiled kernels are kept on the node; a folder that somebody else owns is not trusted.
            'cache=${TMPDIR:-/tmp}/stemdask-numba-$(id -u); mkdir -p -m 700 "$cache" || true',
            'if [ ! -O "$cache" ] || [ -L "$cache" ]; then cache=$(mktemp -d); fi; export NUMBA_CACHE_DIR=$cache',
            # The driver may itself be waiting in the queue, to go on where its walltime cut it.
            f"for _ in {{1..{DRIVER_SECONDS // 5}}}; do [ -e {self.scheduler_file} ] && break; sleep 5; done",
            f"[ -e {self.scheduler_file} ] || exit 0",
            *self._start(command, name),
        ]
        return "\n".join(text) + "\n"

    def _start(self, command: str, name: str) -> list[str]:
        """Return the lines that start the workers; the shell stays for several only, and forwards signals to them."""
        if self.config.per_job == 1:
            return ["exec " + command.replace(f"--name {PLACEHOLDER}", f"--name {name}")]
        return [
            *(f"trap 'kill -{signal} $(jobs -p) 2>/dev/null || true' {signal}" for signal in ("TERM", "USR1")),
            f"for k in {{1..{self.config.per_job}}}; do",
            "    " + command.replace(f"--name {PLACEHOLDER}", f"--name {name}-$k") + " &",
            "done",
            'while [ -n "$(jobs -pr)" ]; do wait || true; done',
        ]

    def fingerprint(self) -> str:
        """Return a tag that is equal for drivers whose jobs differ only in their names."""
        return hashlib.sha256(self.text("", 0).encode()).hexdigest()[:6]

    def tail(self, *names: str) -> str:
        """Return the last lines of a job's log, which has one of several names."""
        for name in names:
            with contextlib.suppress(OSError):
                lines = (self.directory / f"{name}.log").read_text(errors="replace").splitlines()
                return " | ".join(line.strip() for line in lines[-3:] if line.strip())[:500] or "nothing"
        return "no log was written"


def _exported(kept: Sequence[str]) -> list[str]:
    return sorted(name for name in os.environ if name in (*EXPORTED, *kept) or name.startswith(NUMERIC))
