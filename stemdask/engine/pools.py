"""The pool of workers that a config names."""

from __future__ import annotations

import math
import os

from stemdask.config import clusters as kinds
from stemdask.engine.dispatch import Job, Pool
from stemdask.engine.queues.records import queue_around
from stemdask.engine.workers.address import AddressPool
from stemdask.engine.workers.allocation import AllocationPool
from stemdask.engine.workers.cluster import Processes
from stemdask.engine.workers.gateway import GatewayPool
from stemdask.engine.workers.job_pool import JobPool
from stemdask.engine.workers.local import Inline, Threads
from stemdask.model import Plan

#: Work, in seconds of a core, that other processes don't finish earlier by more than their start costs.
LITTLE_WORK = 10.0
#: Seconds that processes of Dask, which start slowly and are fed by this one, have to save at least.
PROCESS_SECONDS = 10.0
#: Seconds of the driver's core for each frame whose results come from a helper process to be written.
DRIVER_SECONDS = 0.01


def settled(cluster: kinds.Cluster, plan: Plan, n_frames: int) -> tuple[kinds.Named, str]:
    """Return the kind of cluster that so many frames of a plan are worth, and why; the config's where it names one.

    With helper processes threads are workers as good as processes of Dask, and start none but the helpers, as long as
    this process can write what they find.
    """
    if not isinstance(cluster, kinds.Auto):
        return cluster, ""
    if not n_frames:
        return kinds.Inline(), "inline, all frames were analysed during planning"
    workers = _workers(cluster.workers, -(-n_frames // plan.block_frames))
    work = n_frames * plan.frame_seconds
    about = f"{_rounded(work)} of work" if math.isfinite(work) else "an unknown amount of work"
    if workers == 1 or work < LITTLE_WORK:
        return kinds.Inline(), f"inline, for {about}"
    if plan.limits.isolate and workers * DRIVER_SECONDS < plan.frame_seconds:
        return kinds.Threads(kind="threads", workers=workers), f"{workers} threads, for {about}"
    if work * (1 - 1 / workers) < PROCESS_SECONDS:
        return kinds.Inline(), f"inline, for {about}"
    found = kinds.Processes(kind="processes", workers=workers, workers_timeout=cluster.workers_timeout)
    return found, f"{workers} processes, for {about}"


def pool_of(cluster: kinds.Named, job: Job, n_blocks: int) -> Pool:
    """Return the pool that a config names, with no more workers than blocks; raise ClusterError where it can't be."""
    match cluster:
        case kinds.Inline():
            return Inline(job)
        case kinds.Threads():
            return Threads(job, _workers(cluster.workers, n_blocks))
        case kinds.Processes():
            return Processes(job, _workers(cluster.workers, n_blocks), cluster.workers_timeout)
        case kinds.Batch():
            return JobPool(job, cluster, min(cluster.most_workers, n_blocks))
        case kinds.Allocation():
            return AllocationPool(job, cluster, n_blocks)
        case kinds.Address():
            return AddressPool(job, cluster)
        case kinds.Gateway():
            return GatewayPool(job, cluster, min(cluster.workers, n_blocks))


def cores() -> int:
    """Return the cores that this job may use."""
    queue = queue_around()
    given = os.environ.get(queue.inside.cores, "") if queue is not None else ""
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))


def _rounded(seconds: float) -> str:
    """Return a time as one reads it, to two digits: an estimate holds no more."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def _workers(wanted: int | str, n_blocks: int) -> int:
    return min(wanted if isinstance(wanted, int) else cores(), n_blocks)
