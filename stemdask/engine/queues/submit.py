"""The job that runs the driver: a readable script beside the store, filled with the plan's numbers."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from stemdask.config import clusters as kinds
from stemdask.config.document import Document
from stemdask.config.shell_safe import check_directive
from stemdask.engine.isolate import ONE_THREAD
from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.queue import DriverJob, Partition, Queue, Resources
from stemdask.engine.queues.records import queue_here, queue_of
from stemdask.engine.queues.script import WORKER_BYTES, check_paths, too_long
from stemdask.engine.signals import COMES_BACK
from stemdask.errors import ConfigError
from stemdask.planning.estimate import estimate
from stemdask.planning.plan import blocks, draw
from stemdask.planning.resolve import resolve
from stemdask.planning.survey import survey as survey_of
from stemdask.store import place

#: Memory of a driver whose workers are elsewhere.
DRIVER_BYTES = 2 * 2**30
#: The time asked for is this many times the estimate, and never less than half an hour.
PATIENCE = 3

_SCRIPT = Template("""\
#!/bin/bash
# Runs the driver of $store; submitted by 'stemdask submit', and may be edited and submitted again.
$directives
set -euo pipefail
$variables

# The driver gets $title's warning before the walltime, saves its state and leaves with 75; then the job is requeued.
$python -m stemdask run $config &
driver=$$!
trap 'kill -TERM "$$driver"' TERM USR1
code=0
while kill -0 "$$driver" 2>/dev/null; do wait "$$driver" && code=0 || code=$$?; done
if [ "$$code" -eq 75 ]; then $requeue || true; fi
exit "$$code"
""")


@dataclass(frozen=True, slots=True)
class Submission:
    """A script that is written, and its job once it is submitted."""

    script: Path
    text: str
    job: DriverJob
    queue: Queue
    store: Path

    def log(self, job: str) -> str:
        """Return the path of the log that a job of this id writes."""
        return self.job.log.replace(self.queue.log_id, job)


def write(config: Path, document: Document, directives: Sequence[str] = ()) -> Submission:
    """Write the script of a config beside its store.

    Raises
    ------
    ConfigError
        The config or a directive is wrong.
    ClusterError
        A path can't stand in a job script.
    """
    resolved = resolve(document)
    store = Path(resolved.config.output).expanduser().absolute()
    place.is_taken(store)
    survey = survey_of(resolved)
    plan = draw(resolved, survey, store)
    cluster = resolved.config.cluster
    if isinstance(cluster, kinds.Batch) and (why := too_long(cluster.walltime, plan.block_frames, survey.seconds)):
        raise ConfigError(why, where="cluster.walltime")
    _check_directives(directives)
    folder = place.open_run_directory(store)
    check_paths(folder, Path.cwd(), config.absolute())
    queue = queue_of(cluster.kind) if isinstance(cluster, kinds.Batch) else queue_here()
    workers, resources = _resources(cluster, plan.limits.memory, len(blocks(plan)))
    work = 60 * max(30, math.ceil(PATIENCE * estimate(plan, survey).minutes / workers))
    jobs = Jobs(queue, "") if not queue.missing() else None
    job = DriverJob(
        name=f"stemdask-{store.name.removesuffix('.zarr')}",
        log=f"{folder}/driver-{queue.log_id}.log",
        folder=Path.cwd(),
        seconds=_walltime(cluster, work, jobs.partitions() if jobs is not None else []),
        resources=resources,
        cluster=cluster,
    )
    script = folder / f"driver.{queue.submit[0]}"
    text = _text(queue, job, store, config, directives)
    script.write_text(text)
    return Submission(script, text, job, queue, store)


def send(submission: Submission) -> str:
    """Submit a script; return the id of its job. Raise ClusterError with the queue's words where it is refused."""
    jobs = Jobs(submission.queue, submission.job.name)
    jobs.test(submission.text)
    return jobs.submit_patiently(submission.text, submission.job.name)


def _walltime(cluster: kinds.Cluster, work: int, partitions: Sequence[Partition]) -> int:
    """Return the seconds that a driver asks for: its work, and patience with the queue of its workers.

    No more than its partition allows: it goes on in another job, and its workers keep their place in the queue.
    """
    if not isinstance(cluster, kinds.Batch):
        return work
    wanted = work + cluster.workers_timeout
    chosen = [
        one.seconds for one in partitions if one.name == cluster.partition or (one.default and not cluster.partition)
    ]
    return int(min(wanted, *chosen)) if chosen else int(wanted)


def _check_directives(directives: Sequence[str]) -> None:
    for directive in directives:
        try:
            check_directive(directive)
        except ValueError as error:
            raise ConfigError(str(error), where="--directive") from None


def _text(queue: Queue, job: DriverJob, store: Path, config: Path, directives: Sequence[str]) -> str:
    return _SCRIPT.substitute(
        store=store,
        directives="\n".join(queue.directives([*queue.driver(job), *directives])),
        variables="\n".join(f"export {name}={value}" for name, value in {**ONE_THREAD, COMES_BACK: 1}.items()),
        title=queue.title,
        python=shlex.quote(sys.executable),
        config=shlex.quote(str(config.absolute())),
        requeue=queue.requeue,
    )


def _resources(cluster: kinds.Cluster, frame_memory: int, n_blocks: int) -> tuple[int, Resources]:
    """Return the workers, and what the driver's job asks for."""
    one = WORKER_BYTES + frame_memory
    match cluster:
        case kinds.Batch():
            return min(cluster.most_workers, n_blocks), Resources(memory=DRIVER_BYTES)
        case kinds.Allocation():
            return cluster.workers, Resources(tasks=cluster.workers, memory=one)
        case kinds.Threads() | kinds.Processes():
            cores = cluster.workers
            if cores == "auto":
                raise ConfigError(
                    "a job asks for a number of cores", where="cluster.workers", value="auto", allowed="a number"
                )
            return cores, Resources(cores=cores, memory=DRIVER_BYTES + cores * one)
        case kinds.Inline() | kinds.Address():
            return 1, Resources(memory=DRIVER_BYTES + one)
