"""What a queue would refuse or leave pending indefinitely, found before anything is submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stemdask.config.clusters import Batch
from stemdask.config.values import parse_walltime
from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.queue import LEAST_MEMORY, OPTIONAL, Partition, Queue, clock, gib
from stemdask.errors import ClusterError


def problems(queue: Queue, config: Batch, memory: int, scripts: Sequence[tuple[str, str]]) -> list[str]:
    """Return what is wrong with jobs, each with what is allowed.

    Parameters
    ----------
    queue
        Where they are to be submitted.
    config
        Of the cluster, with what the site says.
    memory
        Bytes of a worker's job.
    scripts
        Of worker and driver, each with its name in a sentence; the queue is asked whether it accepts them.
    """
    unknown = [key for key in OPTIONAL if key not in queue.keys and getattr(config, key) is not None]
    found = [f"cluster.{key}: {queue.title} has no equivalent" for key in unknown]
    if memory < LEAST_MEMORY:
        found.append(f"cluster.memory: {gib(memory)} is too little for a worker; allowed: {gib(LEAST_MEMORY)} or more")
    if queue.missing():
        return found
    jobs = Jobs(queue, "stemdask-")
    found += _beyond(jobs.partitions(), config, memory)
    for called, script in scripts if not found else ():
        try:
            jobs.test(script)
        except ClusterError as error:
            found.append(f"cluster: {queue.title} refuses {called}: {error.value}")
    return found


def on_whole_nodes(queue: Queue, config: Batch, worker_bytes: int) -> Batch:
    """Return a config that says how many workers fill a node, if it requests whole nodes.

    Raises
    ------
    ClusterError
        The queue doesn't say what its nodes have, or gives none away whole.
    """
    if config.workers_per_job != "node":
        return config
    nodes = chosen(Jobs(queue, "").partitions(), config)
    if not queue.exclusive or not any(one.cores and one.memory for one in nodes):
        raise ClusterError(
            f"{queue.title} doesn't say how many workers fill a node",
            where="cluster.workers_per_job",
            remedy="Set a number, and request whole nodes with job_extra_directives",
        )
    largest = max(nodes, key=lambda one: min(one.cores, one.memory // worker_bytes))
    fitting = max(1, min(largest.cores, largest.memory // worker_bytes))
    more = () if queue.exclusive in config.job_extra_directives else (queue.exclusive,)
    return config.model_copy(
        update={"workers_per_job": fitting, "job_extra_directives": (*config.job_extra_directives, *more)}
    )


def chosen(partitions: Sequence[Partition], config: Batch) -> list[Partition]:
    """Return the partitions in which jobs of a config may run."""
    names = config.partition.split(",") if config.partition else []
    return [one for one in partitions if one.name in names or (not names and one.default)]


def _beyond(partitions: Sequence[Partition], config: Batch, memory: int) -> Iterator[str]:
    """Yield what no partition that the config names has."""
    if not partitions:
        return
    known = {one.name for one in partitions}
    for name in config.partition.split(",") if config.partition else ():
        if name not in known:
            yield f"cluster.partition: there is no partition {name!r}; allowed: {', '.join(sorted(known))}"
    here = chosen(partitions, config)
    if not here:  # said above, or the queue doesn't say which is the default
        return
    names = ", ".join(one.name for one in here)
    if not any(one.usable for one in here):
        yield f"cluster.partition: {names} accepts no jobs at the moment"
    if 0 < (most := max(one.memory for one in here)) < memory:
        yield f"cluster.memory: no node of {names} has {gib(memory)}; allowed: at most {gib(most)}"
    if 0 < (cores := max(one.cores for one in here)) < config.cores:
        yield f"cluster.cores: no node of {names} has {config.cores} cores; allowed: at most {cores}"
    if (longest := max(one.seconds for one in here)) < parse_walltime(config.walltime):
        yield f"cluster.walltime: {config.walltime} is too long for {names}; allowed: at most {clock(longest)}"
