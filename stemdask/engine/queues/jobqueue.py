"""The scheduler in this process, and the script of a worker, as dask-jobqueue makes them from a config."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Any

from stemdask.config import clusters as kinds


def scheduler(config: kinds.Slurm, memory: int, security: Any) -> Any:
    """Start a scheduler without workers; the site's jobqueue.yaml holds where the config is silent.

    Parameters
    ----------
    config
        Of the cluster.
    memory
        Bytes of a job.
    security
        Keys of the run.

    Returns
    -------
    dask_jobqueue.SLURMCluster
        Of no jobs.
    """
    room = max(300 * 2**20, int(0.15 * memory))
    more = dict(config.options)
    arguments = [*more.pop("worker_extra_args", ()), "--nthreads", "1", "--dashboard-address", "127.0.0.1:0"]
    with _own_interrupts():
        import dask_jobqueue

        library: Any = dask_jobqueue
        options = {
            "n_workers": 0,
            "processes": 1,
            "cores": config.cores,
            "memory": f"{memory - room} B",
            "job_mem": f"{memory // 2**20}M",
            "queue": config.partition,
            "account": config.account,
            "walltime": config.walltime,
            "interface": config.interface,
            "local_directory": config.local_directory or "${TMPDIR:-/tmp}",
            "job_extra_directives": list(config.job_extra_directives) or None,
            "job_script_prologue": list(config.prologue) or None,
            "job_directives_skip": ["#SBATCH -J", "#SBATCH -o", "#SBATCH -e"],
            "nanny": False,
            "worker_extra_args": arguments,
            "death_timeout": 60,
            "python": sys.executable,
            "security": security,
            "silence_logs": logging.WARNING,
            "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
            **more,
        }
        return library.SLURMCluster(**options)


@contextlib.contextmanager
def _own_interrupts() -> Iterator[None]:
    """Keep the handler of Ctrl-C, which importing dask_jobqueue replaces."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not the main thread: nothing was replaced
            signal.signal(signal.SIGINT, handler)
