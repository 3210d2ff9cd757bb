"""What is set in Dask for a run."""

from __future__ import annotations

from typing import Any

from stemdask.fence.process import ONE_THREAD

#: Memory that is freed is given back soon. That alone has glibc ask for each array of 128 kB or more by itself, and
#: fetch its pages one by one: a frame takes 1.7 times as long.
MEMORY = {"MALLOC_TRIM_THRESHOLD_": 65536, "MALLOC_MMAP_THRESHOLD_": 1 << 25}


def settings(*, isolated: bool) -> dict[str, Any]:
    """Return what is set in Dask for a run: in this process, never in the user's files."""
    health_only = {"routes": ["distributed.http.health"]}
    return {
        # What Dask keeps of its last messages and tasks, for its developers, is 9 kB a block until it is full.
        "distributed.admin.low-level-log-length": 20,
        "distributed.diagnostics.computations.max-history": 10,
        "distributed.comm.require-encryption": True,
        "distributed.deploy.lost-worker-timeout": "24h",  # the default gives nannies up, and then waits for ever
        "distributed.scheduler.allowed-failures": 10 if isolated else 2,
        "distributed.scheduler.no-workers-timeout": "24h",  # `supervise` ends the wait earlier
        # Whether workers live is for `supervise` to tell: to the scheduler, all are dead after it stood still itself.
        "distributed.scheduler.worker-ttl": "365d",
        "distributed.comm.timeouts.connect": "60s",
        "distributed.comm.timeouts.tcp": "300s",  # a network that was away for a minute costs no worker
        "distributed.scheduler.http": health_only,
        "distributed.worker.http": health_only,
        "distributed.worker.memory.pause": False,  # it would resume a worker that paused in order to leave
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.worker.preload": ["stemdask.engine.workers.worker"],
        "distributed.nanny.pre-spawn-environ": ONE_THREAD | MEMORY,
    }


def worker_environment(*, isolated: bool) -> dict[str, str]:
    """Return the part of the settings that workers elsewhere need, as environment variables."""
    # A handshake that many workers begin at once takes its time, and one that is given up begins again at the end.
    set_there = settings(isolated=isolated) | {"distributed.comm.timeouts.connect": "300s"}
    return {
        "DASK_" + key.replace(".", "__").replace("-", "_").upper(): repr(value)
        for key, value in set_there.items()
        if key.startswith(("distributed.worker", "distributed.comm"))
    }
