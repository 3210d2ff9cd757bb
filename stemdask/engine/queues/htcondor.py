"""HTCondor, on a pool whose machines share the file system."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.config.values import parse_walltime
from stemdask.engine.queues.queue import DriverJob, Inside, JobView, Queue, State, WorkerJob

_STATES = {
    1: (State.PENDING, "idle"),
    2: (State.RUNNING, "running"),
    3: (State.ENDING, "removed"),
    4: (State.OVER, "completed"),
    5: (State.PENDING, "held"),
    6: (State.ENDING, "transferring output"),
    7: (State.RUNNING, "suspended"),
}
#: Why a job is held that used more memory than it had asked for.
_TOO_MUCH_MEMORY = 34
#: Seconds for which a held job of a worker is left to be seen.
_HELD_SECONDS = 600
_DIRECTIVE = "#CONDOR"
#: Attribute of a job that holds its walltime, s: HTCondor has none by itself.
_SECONDS = "StemdaskSeconds"
#: Variable of a job that holds its id.
_JOB = "STEMDASK_CONDOR_JOB"
_ATTRIBUTES = (
    "ClusterId", "JobBatchName", "JobStatus", "HoldReason", "HoldReasonCode", "RemoteHost", "JobCurrentStartDate",
    _SECONDS,
)  # fmt: skip


def _read(text: str) -> list[JobView]:
    return [_view(job) for job in json.loads(text)] if text.strip() else []


def _view(job: Mapping[str, Any]) -> JobView:
    state, word = _STATES.get(job["JobStatus"], (State.OTHER, str(job["JobStatus"])))
    held = word == "held"
    if held and job.get("HoldReasonCode") == _TOO_MUCH_MEMORY:
        state = State.OUT_OF_MEMORY
    left = float("inf")
    if state is State.RUNNING and "JobCurrentStartDate" in job and _SECONDS in job:
        left = job["JobCurrentStartDate"] + job[_SECONDS] - time.time()
    return JobView(
        str(job["ClusterId"]),
        job.get("JobBatchName", ""),
        state,
        word,
        f"held: {job.get('HoldReason', '')}" if held else "",
        job.get("RemoteHost", "").rpartition("@")[2],
        left,
    )


def _shell(written: str) -> str:
    """Take the command of the worker out of a submit description, whose other lines are written here."""
    given = re.search(r'^Arguments = "-c \'(.*)\'"$', written, re.MULTILINE)
    disk = re.search(r"^MY\.DaskWorkerDisk = (\d+)$", written, re.MULTILINE)
    assert given is not None, "the class of dask-jobqueue writes it"
    assert disk is not None, "the class of dask-jobqueue writes it"
    command = given[1].replace("''", "'").replace('""', '"')
    return f"#!/bin/bash\n{_DIRECTIVE} request_disk = {int(disk[1]) // 1024}\n{command}\n"


def _handed(script: str) -> tuple[Sequence[str], str]:
    """Make a submit description of a script: its directives, and all of it as an argument that needs no quoting.

    A description can't hold lines of a shell; "$(" begins one of its own macros.
    """
    start = f"{_DIRECTIVE} "
    commands = [line.removeprefix(start) for line in script.splitlines() if line.startswith(start)]
    coded = base64.b64encode(script.encode()).decode()
    start_it = f'arguments = "-c \'exec bash -c ""`echo {coded} | base64 -d`""\'"'
    return (), "\n".join([*commands, "executable = /bin/bash", start_it, "queue"]) + "\n"


def _options(config: Batch, memory: int) -> dict[str, Any]:
    return {"disk": "1 GiB"}


def _common(config: Batch) -> Sequence[str]:
    always = ["universe = vanilla", "transfer_executable = false", "stream_output = true", "stream_error = true"]
    return [*always, *([f"accounting_group = {config.account}"] if config.account else [])]


def _job(name: str, log: str, folder: object, seconds: int) -> list[str]:
    return [
        f"batch_name = {name}",
        f"output = {log}",
        f"error = {log}",
        f"initialdir = {folder}",
        f'environment = "{_JOB}=$(ClusterId)"',
        f"+{_SECONDS} = {seconds}",
    ]


def _too_long(seconds: int) -> str:
    return f"(JobStatus == 2 && time() - JobCurrentStartDate > {seconds})"


def _worker(job: WorkerJob) -> Sequence[str]:
    seconds = parse_walltime(job.config.walltime)
    # One that was evicted would start again under a name that is taken.
    ended = (
        f"(JobStatus == 1 && NumJobStarts > 0) || (JobStatus == 5 && time() - EnteredCurrentStatus > {_HELD_SECONDS})"
    )
    return [
        *_job(job.name, job.log, job.folder, seconds),
        f"getenv = {','.join(job.exported)}",
        f"request_cpus = {job.config.cores}",
        _memory(job.memory),
        f"periodic_remove = {_too_long(seconds)} || {ended}",
    ]


def _driver(job: DriverJob) -> Sequence[str]:
    config, asked = job.config, job.resources
    return [
        *_job(job.name, job.log, job.folder, job.seconds),
        "getenv = true",
        f"request_cpus = {asked.tasks * asked.cores}",
        _memory(asked.tasks * asked.memory),
        f"periodic_remove = {_too_long(job.seconds)}",
        "on_exit_remove = ExitBySignal || ExitCode != 75",
        *([f"notify_user = {config.mail}", "notification = Complete"] if config.mail else []),
    ]


def _memory(size: int) -> str:
    return f"request_memory = {size // 2**20}"


QUEUE = Queue(
    kind="htcondor",
    title="HTCondor",
    submit=("condor_submit", "-terse", "-"),
    handed=_handed,
    look=("condor_q", "-json", "-attributes", ",".join(_ATTRIBUTES)),
    cancel=("condor_rm",),
    job_id=re.compile(r"\d+"),
    answer=re.compile(r"(\d+)\.0 - \d+\.0"),
    read=_read,
    passing=re.compile(
        r"failed to (connect|end|fetch|commit|send)|can't (connect|find address)|SECMAN|timed? ?out|temporarily", re.I
    ),
    full=re.compile(r"would exceed MAX_JOBS|maximum (number of|allowed) jobs", re.I),
    hopeless=re.compile(r"held"),
    leaking=("_CONDOR_", _JOB),
    inside=Inside(job=_JOB, tasks="", cores=""),
    directive=_DIRECTIVE,
    log_id="$(ClusterId)",
    library="HTCondorCluster",
    shell=_shell,
    replaced=(),
    options=_options,
    common=_common,
    worker=_worker,
    driver=_driver,
    memory=_memory,
    requeue="true",  # `on_exit_remove` leaves it in the queue
)
