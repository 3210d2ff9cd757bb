"""The scheduler in this process, and the script of a worker, as dask-jobqueue makes them from a config."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.engine.queues.queue import Queue


def scheduler(queue: Queue, config: Batch, memory: int, security: Any) -> Any:
    """Start a scheduler without workers; the site's jobqueue.yaml holds where the config is silent.

    Parameters
    ----------
    queue
        Whose class of dask-jobqueue it is.
    config
        Of the cluster.
    memory
        Bytes of a job.
    security
        Keys of the run.

    Returns
    -------
    dask_jobqueue.JobQueueCluster
        Of no jobs.
    """
    own = max(300 * 2**20, int(0.15 * memory))
    more = dict(config.options)
    arguments = [*more.pop("worker_extra_args", ()), "--nthreads", "1", "--dashboard-address", "127.0.0.1:0"]
    with _own_interrupts():
        import dask_jobqueue

        library: Any = dask_jobqueue
        options = {
            "n_workers": 0,
            "processes": 1,
            "cores": config.cores,
            "memory": f"{memory - own} B",
            "interface": config.interface,
            "local_directory": config.local_directory or "${TMPDIR:-/tmp}",
            "job_extra_directives": list(config.job_extra_directives) or None,
            "job_script_prologue": list(config.prologue) or None,
            "nanny": False,
            "worker_extra_args": arguments,
            "death_timeout": 60,
            "python": sys.executable,
            "security": security,
            "silence_logs": logging.WARNING,
            "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
            **queue.options(config, memory),
            **more,
        }
        return getattr(library, queue.library)(**options)


@contextlib.contextmanager
def _own_interrupts() -> Iterator[None]:
    """Keep the handler of Ctrl-C, which importing dask_jobqueue replaces."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not the main thread: nothing was replaced
            signal.signal(signal.SIGINT, handler)
