"""What dask-jobqueue makes of a config: the scheduler in this process, and the script of a worker."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.engine.queues.queue import Queue

#: Name of the worker in the script, in the place of that of each job.
PLACEHOLDER = "dummy-name"
#: Keywords of a cluster of dask-jobqueue that its jobs don't have.
_OF_CLUSTERS = ("scheduler_options",)
#: Seconds for which a worker tries to reach its driver: at least, and for each worker of the run, since all may start
#: at once from one file system and shake hands with one scheduler.
_CONNECT_SECONDS, _CONNECT_SECONDS_EACH = 60, 2


def scheduler(queue: Queue, config: Batch, memory: int, security: Any) -> Any:
    """Start a scheduler without workers.

    Parameters
    ----------
    queue
        Whose class of dask-jobqueue it is.
    config
        Of the cluster, with what the site says.
    memory
        Bytes of a job.
    security
        Keys of the run.

    Returns
    -------
    dask_jobqueue.JobQueueCluster
        Of no jobs.
    """
    theirs = config.options.get("scheduler_options", {})
    return _class(queue)(
        n_workers=0,
        silence_logs=logging.WARNING,
        security=security,
        scheduler_options={**theirs, "dashboard_address": "127.0.0.1:0"},  # anybody can read what a dashboard shows
        **_options(queue, config, memory),
    )


def script(queue: Queue, config: Batch, memory: int, security: Any, scheduler_file: Path) -> str:
    """Return the script of a worker, whose last line starts it under the name `PLACEHOLDER`."""
    job = _class(queue).job_cls(
        f"--scheduler-file {scheduler_file}",
        name=PLACEHOLDER,
        protocol="tls://",
        security=security,
        **_options(queue, config, memory),
    )
    return queue.shell(str(job.job_script()))


def _options(queue: Queue, config: Batch, memory: int) -> dict[str, Any]:
    own = max(300 * 2**20, int(0.15 * memory))
    more = {key: value for key, value in config.options.items() if key not in _OF_CLUSTERS}
    return {
        "processes": 1,
        "cores": config.cores,
        "memory": f"{memory - own} B",
        "interface": config.interface,
        "local_directory": config.local_directory or "${TMPDIR:-/tmp}",
        "job_script_prologue": [],  # written with the rest of the script
        "nanny": False,
        "death_timeout": max(_CONNECT_SECONDS, _CONNECT_SECONDS_EACH * config.most_workers),
        "python": sys.executable,
        **queue.options(config, memory),
        **more,
        "worker_extra_args": [
            *more.get("worker_extra_args", ()), "--nthreads", "1", "--dashboard-address", "127.0.0.1:0",
        ],
        # Directives that the site adds or wants skipped are seen to by `Queue.directives`, ours among them.
        "job_extra_directives": [],
        "job_directives_skip": [],
    }  # fmt: skip


def _class(queue: Queue) -> Any:
    with _own_interrupts():
        import dask_jobqueue

        return getattr(dask_jobqueue, queue.library)


@contextlib.contextmanager
def _own_interrupts() -> Iterator[None]:
    """Keep the handler of Ctrl-C, which importing dask_jobqueue replaces."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not the main thread: nothing was replaced
            signal.signal(signal.SIGINT, handler)
