"""The pool of workers that a config names."""

from __future__ import annotations

import os

from stemdask.config import clusters as kinds
from stemdask.engine.dispatch import Job, Pool
from stemdask.engine.queues.records import queue_around
from stemdask.engine.workers.address import AddressPool
from stemdask.engine.workers.allocation import AllocationPool
from stemdask.engine.workers.cluster import Processes
from stemdask.engine.workers.job_pool import JobPool
from stemdask.engine.workers.local import Inline, Threads


def pool_of(cluster: kinds.Cluster, job: Job, n_blocks: int) -> Pool:
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


def cores() -> int:
    """Return the cores that this job may use."""
    queue = queue_around()
    given = os.environ.get(queue.inside.cores, "") if queue is not None else ""
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))


def _workers(wanted: int | str, n_blocks: int) -> int:
    return min(wanted if isinstance(wanted, int) else cores(), n_blocks)
