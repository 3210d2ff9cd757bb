"""Workers that are steps of one allocation: the same supervision, with a step in the place of a job."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence

from stemdask.config.clusters import Allocation, Batch
from stemdask.engine.dispatch import Job
from stemdask.engine.queues import jobs as queue_jobs
from stemdask.engine.queues.queue import JobView, State
from stemdask.engine.queues.records import queue_around, queues
from stemdask.engine.workers.job_pool import JobPool
from stemdask.errors import ClusterError
from stemdask.store.layout import run_directory


class AllocationPool(JobPool):
    """Workers that are steps of the allocation in which the driver runs."""

    def __init__(self, job: Job, cluster: Allocation, n_blocks: int) -> None:
        queue = queue_around()
        if queue is None or queue.step is None:
            able = [one for one in queues() if one.step is not None]
            raise ClusterError(
                f"this isn't inside a {' or '.join(one.title for one in able)} allocation",
                where="cluster.kind: allocation",
                remedy=f"Submit jobs/allocation.sbatch, or use the kind {' or '.join(one.kind for one in able)}",
            )
        tasks = os.environ.get(queue.inside.tasks, "1")
        workers = min(int(tasks) if tasks.isdecimal() else 1, cluster.workers, n_blocks)
        as_jobs = Batch(
            kind=queue.kind,
            workers=workers,
            walltime="365-00:00:00",  # the allocation's own end comes first, and the driver knows of it
            interface=cluster.interface,
            workers_timeout=cluster.workers_timeout,
            poll_seconds=2,
        )
        super().__init__(job, as_jobs, workers, Steps(queue.step, str(run_directory(job.store) / "jobs")))


class Steps:
    """Steps of the allocation in which this process runs, one per worker."""

    def __init__(self, command: Callable[[str, str], Sequence[str]], directory: str) -> None:
        self._command = command
        self._directory = directory
        self._steps: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}

    def test(self, script: str) -> None:
        """Nothing to ask: the allocation is there."""

    def submit(self, script: str, name: str) -> str:
        """Start a script as a step of one task."""
        command = self._command(name, f"{self._directory}/{name}.log")
        step = subprocess.Popen([*command, "bash", "-c", script], stdin=subprocess.DEVNULL)
        self._steps[str(step.pid)] = name, step
        return str(step.pid)

    def look(self) -> list[JobView]:
        """Return the steps."""
        return [_view(number, name, step.poll()) for number, (name, step) in self._steps.items()]

    def cancel(self, ids: Iterable[str]) -> None:
        """End steps, and wait for them."""
        chosen = [self._steps[number][1] for number in ids if number in self._steps]
        for step in chosen:
            step.terminate()
        for step in chosen:
            try:
                step.wait(queue_jobs.CALL_SECONDS)
            except subprocess.TimeoutExpired:
                step.kill()


def _view(number: str, name: str, code: int | None) -> JobView:
    if code is None:
        return JobView(number, name, State.RUNNING, "RUNNING")
    return JobView(number, name, State.OVER, "FAILED" if code else "COMPLETED")
