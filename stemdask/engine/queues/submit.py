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
from stemdask.config.site import filled
from stemdask.engine.queues import preflight, seeing
from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.queue import DriverJob, Queue, Resources
from stemdask.engine.queues.records import queue_here, queue_of
from stemdask.engine.queues.script import WORKER_BYTES, check_paths, too_long, worker_script
from stemdask.engine.signals import COMES_BACK
from stemdask.errors import ConfigError
from stemdask.fence.process import ONE_THREAD
from stemdask.planning.estimate import estimate
from stemdask.planning.plan import blocks, draw
from stemdask.planning.rehearsal import seconds_after
from stemdask.planning.resolve import Resolved, resolve
from stemdask.planning.survey import survey as survey_of
from stemdask.store import place
from stemdask.store.layout import run_directory

#: Memory of a driver whose workers are elsewhere.
DRIVER_BYTES = 2 * 2**30
#: Memory of a frame while nothing is known about it.
LEAST_FRAME = 2 * 2**30
#: Seconds before its walltime at which a driver is asked to save its state.
WARNING = 120
#: The time asked for is this many times the estimate, and never less than so many minutes.
PATIENCE, LEAST_MINUTES = 3, 30

_SCRIPT = Template("""\
$shebang
# Runs the driver $title; submitted by 'stemdask submit', and may be edited and submitted again.
$directives
$prologue
cd $folder
set -eo pipefail
$variables

# The driver is warned before the walltime, saves its state and leaves with 75; then the job is requeued.
timeout --preserve-status $seconds $python -m stemdask run $arguments &
driver=$$!
trap 'kill -TERM "$$driver"' TERM USR1
code=0
while kill -0 "$$driver" 2>/dev/null; do wait "$$driver" && code=0 || code=$$?; done
if [ "$$code" -eq 75 ]; then $requeue || true; fi
exit "$$code"
""")


@dataclass(frozen=True, slots=True)
class Submission:
    """The script of a driver, and where it goes."""

    script: Path
    """Where it is written."""
    text: str
    worker: str
    """Script of a worker's job; empty where workers aren't jobs."""
    job: DriverJob
    queue: Queue
    store: Path

    def log(self, job: str) -> str:
        """Return the path of the log that a job of this id writes."""
        return self.job.log.replace(self.queue.log_id, job)


def check(resolved: Resolved) -> list[str]:
    """Return what the queue of a config would refuse; nothing if its workers aren't jobs."""
    cluster = resolved.config.cluster
    if not isinstance(cluster, kinds.Batch):
        return []
    store = Path(resolved.config.output).expanduser().absolute()
    asked = resolved.config.limits.frame_memory
    queue, frame = queue_of(cluster.kind), LEAST_FRAME if asked == "auto" else asked
    # The least that a driver asks for: how long it works isn't known before frames are tried.
    job = _driver(queue, cluster, cluster, store, Resources(memory=DRIVER_BYTES), LEAST_MINUTES)
    driver = _text(queue, job, (), run_directory(store) / _name(queue), ["run.yaml"])
    if not queue.missing():
        cluster = preflight.on_whole_nodes(queue, cluster, WORKER_BYTES + frame)
    script = worker_script(store, queue, cluster, frame)
    scripts = [("a worker's job", script.text("test", 0)), ("the driver's job", driver)]
    return preflight.problems(queue, cluster, script.memory, scripts)


def write(config: Path, document: Document, directives: Sequence[str] = (), options: Sequence[str] = ()) -> Submission:
    """Write the script of a config beside its store.

    Parameters
    ----------
    config
        File that the driver reads.
    document
        Its contents, with the options applied.
    directives
        Extra ones for the driver's job.
    options
        Of `stemdask run`, by which the driver sees the same document.

    Raises
    ------
    ConfigError
        The config or a directive is invalid, or the queue would refuse the jobs; names every reason.
    ClusterError
        A path can't be used in a job script.
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
    folder = run_directory(store)
    check_paths(folder, Path.cwd(), config.absolute())
    queue = queue_of(cluster.kind) if isinstance(cluster, kinds.Batch) else queue_here()
    asked = cluster if isinstance(cluster, kinds.Batch) else filled(kinds.Batch(kind=queue.kind))
    workers, resources = _resources(cluster, plan.limits.memory, len(blocks(plan)))
    minutes = estimate(plan, survey, 0.0, apart=True).minutes / workers + seconds_after(resolved, plan, survey) / 60
    job = _driver(queue, cluster, asked, store, resources, max(LEAST_MINUTES, math.ceil(PATIENCE * minutes)))
    path = folder / _name(queue)
    text, worker = _text(queue, job, directives, path, [str(config.absolute()), *options]), ""
    scripts = [("the driver's job", text)]
    if isinstance(cluster, kinds.Batch):
        if not queue.missing():
            cluster = preflight.on_whole_nodes(queue, cluster, WORKER_BYTES + plan.limits.memory)
        script = worker_script(store, queue, cluster, plan.limits.memory, isolated=plan.limits.isolate)
        worker = script.text("test", 0)
        if found := preflight.problems(queue, cluster, script.memory, [("a worker's job", worker), *scripts]):
            raise ConfigError("the queue would refuse this", where=document.name, problems=found)
    place.open_run_directory(store)
    path.write_text(text)
    return Submission(path, text, worker, job, queue, store)


def send(submission: Submission) -> str:
    """Submit a script; return the id of its job. Raise ClusterError with the queue's message if it is refused."""
    jobs = Jobs(submission.queue, submission.job.name)
    jobs.test(submission.text)
    job = jobs.submit_patiently(submission.text, submission.job.name)
    seeing.write_submitted(submission.store, submission.queue.kind, job, submission.job.name)
    return job


def _name(queue: Queue) -> str:
    """Return the name of the file that holds the script of a driver."""
    return f"driver.{queue.submit[0]}"


def _driver(
    queue: Queue, cluster: kinds.Cluster, asked: kinds.Batch, store: Path, resources: Resources, minutes: int
) -> DriverJob:
    """Return the job of a driver that works for so many minutes."""
    return DriverJob(
        name=f"stemdask-{store.name.removesuffix('.zarr')}",
        log=f"{asked.log_directory or run_directory(store)}/driver-{queue.log_id}.log",
        folder=Path.cwd(),
        seconds=_walltime(queue, cluster, 60 * minutes),
        resources=resources,
        config=asked,
    )


def _walltime(queue: Queue, cluster: kinds.Cluster, work: int) -> int:
    """Return the seconds that a driver asks for: its work, and the time to wait in the queue for its workers.

    No more than its partition allows: it resumes in another job, and its workers keep their place in the queue.
    """
    if not isinstance(cluster, kinds.Batch):
        return work
    partitions = Jobs(queue, "").partitions() if not queue.missing() else []
    longest = [one.seconds for one in preflight.chosen(partitions, cluster)]
    return int(min(work + cluster.workers_timeout, max(longest, default=float("inf"))))


def _check_directives(directives: Sequence[str]) -> None:
    for directive in directives:
        try:
            check_directive(directive)
        except ValueError as error:
            raise ConfigError(str(error), where="--directive") from None


def _text(queue: Queue, job: DriverJob, directives: Sequence[str], path: Path, arguments: Sequence[str]) -> str:
    return _SCRIPT.substitute(
        title=job.name,
        shebang=job.config.options.get("shebang", "#!/bin/bash"),
        directives="\n".join(
            [
                *queue.directives([*queue.driver(job), *queue.common(job.config)], job.config),
                *queue.directives(directives),
            ]
        ),
        prologue="\n".join(job.config.prologue),
        variables="\n".join(f"export {name}={value}" for name, value in {**ONE_THREAD, COMES_BACK: 1}.items()),
        folder=job.folder,
        seconds=max(job.seconds - WARNING, job.seconds // 2),
        python=shlex.quote(str(job.config.options.get("python", sys.executable))),
        arguments=shlex.join(arguments),
        requeue=queue.requeue.replace("{script}", str(path)),
    )


def _resources(cluster: kinds.Cluster, frame_memory: int, n_blocks: int) -> tuple[int, Resources]:
    """Return the workers, and what the driver's job asks for."""
    one = WORKER_BYTES + frame_memory
    match cluster:
        case kinds.Batch():
            return min(cluster.most_workers, n_blocks), Resources(memory=DRIVER_BYTES)
        case kinds.Allocation():
            return cluster.workers, Resources(tasks=cluster.workers, memory=one)
        case kinds.Auto() | kinds.Threads() | kinds.Processes():
            cores = cluster.workers
            if cores == "auto":
                raise ConfigError(
                    "a job needs a definite number of workers",
                    where="cluster.workers",
                    value="auto",
                    allowed="a number",
                )
            return cores, Resources(cores=cores, memory=DRIVER_BYTES + cores * one)
        case kinds.Inline() | kinds.Address() | kinds.Gateway():
            return 1, Resources(memory=DRIVER_BYTES + one)
