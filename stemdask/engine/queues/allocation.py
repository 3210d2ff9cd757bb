"""Workers that are steps of one allocation: the same supervision, with a step in the place of a job."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from stemdask.config import clusters as kinds
from stemdask.engine.dispatch import Job
from stemdask.engine.queues import jobs as slurm_jobs
from stemdask.engine.queues.jobs import JobView
from stemdask.engine.queues.pool import SlurmPool
from stemdask.errors import ClusterError
from stemdask.store.layout import run_directory


class AllocationPool(SlurmPool):
    """Workers that are steps of the allocation in which the driver runs."""

    def __init__(self, job: Job, cluster: kinds.Allocation, n_blocks: int) -> None:
        if "SLURM_JOB_ID" not in os.environ:
            raise ClusterError(
                "this isn't inside a SLURM allocation",
                where="cluster.kind: allocation",
                remedy="Submit jobs/allocation.sbatch, or use the kind slurm",
            )
        tasks = os.environ.get("SLURM_NTASKS", "1")
        workers = min(int(tasks) if tasks.isdecimal() else 1, cluster.workers, n_blocks)
        as_jobs = kinds.Slurm(
            kind="slurm",
            workers=workers,
            walltime="365-00:00:00",  # the allocation's own end comes first, and the driver knows of it
            interface=cluster.interface,
            workers_timeout=cluster.workers_timeout,
            poll_seconds=2,
        )
        super().__init__(job, as_jobs, workers, Steps(str(run_directory(job.store) / "jobs")))


class Steps:
    """Steps of the allocation in which this process runs, one a worker."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._steps: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}

    def submit(self, script: str, name: str) -> str:
        """Start a script as a step of one task."""
        command = ["srun", "--exact", "--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--kill-on-bad-exit=0"]
        command += [f"--job-name={name}", f"--output={self._directory}/{name}.log", "--open-mode=append"]
        step = subprocess.Popen([*command, "bash", "-c", script], stdin=subprocess.DEVNULL)
        self._steps[str(step.pid)] = name, step
        return str(step.pid)

    def look(self) -> list[JobView]:
        """Return the steps."""
        return [
            JobView(number, name, "RUNNING" if step.poll() is None else "FAILED" if step.returncode else "COMPLETED")
            for number, (name, step) in self._steps.items()
        ]

    def cancel(self, ids: Iterable[str]) -> None:
        """End steps, and wait for them."""
        chosen = [self._steps[number][1] for number in ids if number in self._steps]
        for step in chosen:
            step.terminate()
        for step in chosen:
            try:
                step.wait(slurm_jobs.CALL_SECONDS)
            except subprocess.TimeoutExpired:
                step.kill()
