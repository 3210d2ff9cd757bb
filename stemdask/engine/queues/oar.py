"""OAR, as of Grid'5000 and Gricad."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.config.values import parse_walltime
from stemdask.engine.queues.queue import DriverJob, Inside, JobView, Queue, State, WorkerJob, clock

#: Seconds before its walltime at which a driver is asked to save its state.
_DRIVER_WARNING = 120
_STATES = {
    **dict.fromkeys(("Waiting", "Hold", "toAckReservation", "toLaunch", "Launching"), State.PENDING),
    **dict.fromkeys(("Running", "Suspended", "Resuming"), State.RUNNING),
    **dict.fromkeys(("Finishing", "toError"), State.ENDING),
    **dict.fromkeys(("Terminated", "Error"), State.OVER),
}
_DIRECTIVE = "#OAR"


def _read(text: str) -> list[JobView]:
    """Read oarstat's JSON; finished jobs aren't in it, and without any job it is empty."""
    return [_view(number, job) for number, job in json.loads(text).items()] if text.strip() else []


def _view(number: str, job: Mapping[str, Any]) -> JobView:
    word = job["state"]
    state = _STATES.get(word, State.OTHER)
    waits = state is State.PENDING
    start, walltime = (float(job.get(key) or 0) for key in ("startTime", "walltime"))
    left = start + walltime - time.time() if state is State.RUNNING and start and walltime else float("inf")
    planned = job.get("scheduledStart")
    return JobView(
        number,
        job.get("name") or "",
        state,
        word,
        (word if word == "Hold" else job.get("message") or "") if waits else "",
        next(iter(job.get("assigned_network_address") or ()), ""),
        left,
        time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(float(planned))) if waits and planned else "",
    )


def _handed(script: str) -> tuple[Sequence[str], str]:
    """Make options of the directives: oarsub reads those of files alone, which would have to stay until jobs start."""
    start = f"{_DIRECTIVE} "
    lines = [line.removeprefix(start) for line in script.splitlines() if line.startswith(start)]
    return [*(word for line in lines for word in shlex.split(line)), f"bash -c {shlex.quote(script)}"], ""


def _options(config: Batch, memory: int) -> dict[str, Any]:
    return {
        "queue": config.partition,
        "project": config.account,
        "walltime": clock(parse_walltime(config.walltime)),
        "memory_per_core_property_name": "not_applicable",  # sites name it each their own way, if at all
    }


def _warned(name: str, log: str, folder: object, seconds: int) -> list[str]:
    return [f"-n {name}", f"-O {log}", f"-E {log}", f"-d {folder}", f"--checkpoint {seconds}", "--signal 10"]


def _worker(job: WorkerJob) -> Sequence[str]:
    return _warned(job.name, job.log, job.folder, job.warning)


def _driver(job: DriverJob) -> Sequence[str]:
    config, asked = job.config, job.resources
    where = {"-q": config.partition, "--project": config.account}
    return [
        *_warned(job.name, job.log, job.folder, _DRIVER_WARNING),
        "-t idempotent",
        f"-l /nodes=1/core={asked.tasks * asked.cores},walltime={clock(job.seconds)}",
        *(f"{key} {value}" for key, value in where.items() if value is not None),
        *([f"--notify [END,ERROR]mail:{config.mail}"] if config.mail else []),
    ]


QUEUE = Queue(
    kind="oar",
    title="OAR",
    submit=("oarsub",),
    handed=_handed,
    look=("oarstat", "-u", "-f", "-J"),
    cancel=("oardel",),
    job_id=re.compile(r"\d+"),
    answer=re.compile(r"(?:.*\n)*OAR_JOB_ID=(\d+)"),
    read=_read,
    passing=re.compile(
        r"cannot connect to executor|could not connect|DBI connect|timed? ?out|connection refused", re.I
    ),
    full=re.compile(r"(cannot|can not) have more than \d+|maximum number of (waiting |running )?jobs", re.I),
    hopeless=re.compile(r"Hold|never run|cannot find enough resources", re.I),
    leaking=("OAR_",),
    inside=Inside(job="OAR_JOB_ID", tasks="", cores=""),
    directive=_DIRECTIVE,
    log_id="%jobid%",
    library="OARCluster",
    replaced=("-n ",),
    keys=("partition",),
    options=_options,
    common=lambda config: [],
    worker=_worker,
    driver=_driver,
    requeue="exit 99",  # as what an idempotent job ends that is to come back
)
