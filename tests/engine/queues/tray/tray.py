"""A toy batch system: three shell scripts, with words, ids and a walltime text of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.config.values import parse_walltime
from stemdask.engine.queues.queue import DriverJob, Inside, JobView, Queue, State, WorkerJob

_STATES = {"baking": State.RUNNING, "done": State.OVER, "spoiled": State.OVER, "eaten": State.TAKEN}


def _read(text: str) -> list[JobView]:
    rows = (line.split() for line in text.splitlines())
    return [JobView(job, name, _STATES.get(word, State.OTHER), word) for job, name, word in rows]


def _options(config: Batch, memory: int) -> dict[str, Any]:
    return {
        "queue": config.partition,
        "account": config.account,
        "resource_spec": f"mem={memory}",
        "walltime": f"{parse_walltime(config.walltime)}s",
    }


def _common(job: WorkerJob | DriverJob) -> Sequence[str]:
    return [f"-N {job.name}", f"-o {job.log}", f"-d {job.folder}"]


QUEUE = Queue(
    kind="tray",
    title="Tray",
    submit=("tsub",),
    look=("tstat",),
    cancel=("tdel",),
    job_id=re.compile(r"tray-\d+"),
    answer=re.compile(r"Your job (tray-\d+) is in the tray\."),
    read=_read,
    passing=re.compile("the oven is cold"),
    full=re.compile("the tray is full"),
    hopeless=re.compile("no dough"),
    leaking=("TRAY_",),
    inside=Inside(job="TRAY_JOB", tasks="TRAY_TASKS", cores="TRAY_CORES"),
    directive="#PBS",
    log_id="@ID@",
    library="PBSCluster",
    replaced=("-N ",),
    options=_options,
    common=lambda config: [],
    worker=_common,
    driver=lambda job: [*_common(job), f"-l walltime={job.seconds}s"],
    memory=lambda size: f"-l mem={size}",
    requeue='tsub <"$0"',
)
