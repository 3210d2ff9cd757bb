"""IBM Spectrum LSF."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.config.values import parse_walltime
from stemdask.engine.queues.queue import DriverJob, Inside, JobView, Partition, Queue, State, WorkerJob

_STATES = {
    **dict.fromkeys(("PEND", "PSUSP", "WAIT"), State.PENDING),
    **dict.fromkeys(("RUN", "USUSP", "SSUSP"), State.RUNNING),
    **dict.fromkeys(("DONE", "EXIT"), State.OVER),
}
#: Why a job that ended did: of memory, or by somebody's hand.
_EXITS = (
    (re.compile("TERM_MEMLIMIT|TERM_SWAP"), State.OUT_OF_MEMORY),
    (re.compile("TERM_(OWNER|ADMIN|PREEMPT|FORCE|REQUEUE)|lost", re.I), State.TAKEN),
)


def _read(text: str) -> list[JobView]:
    found = []
    for line in text.splitlines():
        if line.count("|") < 6:
            continue
        number, name, word, reason, ended, hosts, left = line.split("|", 6)
        state = _STATES.get(word, State.OTHER)
        if word == "EXIT":
            state = next((one for pattern, one in _EXITS if pattern.search(ended)), State.OVER)
        node = re.sub(r"^\d+\*", "", hosts.split(":")[0]).strip("-")
        why = reason.strip("- ") if state is State.PENDING else ""
        found.append(JobView(number, name, state, word, why, node, _left(left)))
    return found


def _left(text: str) -> float:
    """Read "2:30 L", hours and minutes."""
    match = re.match(r"(\d+):(\d+)", text.strip())
    return 60.0 * (60 * int(match[1]) + int(match[2])) if match else float("inf")


def _read_partitions(text: str) -> list[Partition]:
    rows = [line.split() for line in text.splitlines() if not line.startswith("QUEUE_NAME")]
    return [Partition(row[0], "Open:Active" in row[2], False, float("inf"), 0, 0, 0) for row in rows if len(row) > 2]


def _options(config: Batch, memory: int) -> dict[str, Any]:
    return {
        "queue": config.partition,
        "project": config.account,
        "walltime": _minutes(parse_walltime(config.walltime)),
        "ncpus": config.cores,
        "lsf_units": "mb",
    }


def _minutes(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _memory(size: int) -> str:
    return f"-M {size // 2**20}MB"


def _common(config: Batch) -> Sequence[str]:
    named = {"-U": config.reservation, "-sla": config.qos}
    return [f"{key} {value}" for key, value in named.items() if value is not None]


def _worker(job: WorkerJob) -> Sequence[str]:
    return [f"-J {job.name}", f"-o {job.log}", f"-cwd {job.folder}", f"-env {','.join(job.exported)}", "-rn"]


def _driver(job: DriverJob) -> Sequence[str]:
    config, asked = job.config, job.resources
    where = {"-q": config.partition, "-P": config.account, "-u": config.mail}
    return [
        f"-J {job.name}",
        f"-o {job.log}",
        f"-cwd {job.folder}",
        "-r",
        f"-n {asked.tasks * asked.cores}",
        _memory(asked.memory),
        f"-W {_minutes(job.seconds)}",
        *(f"{key} {value}" for key, value in where.items() if value is not None),
        *(["-N"] if config.mail else []),
    ]


QUEUE = Queue(
    kind="lsf",
    title="LSF",
    submit=("bsub",),
    look=(
        "bjobs",
        "-a",
        "-noheader",
        "-o",
        "jobid job_name stat pend_reason exit_reason exec_host time_left delimiter='|'",
    ),
    cancel=("bkill",),
    list_partitions=("bqueues", "-w"),
    job_id=re.compile(r"\d+"),
    answer=re.compile(r"(?:.*\n)*Job <(\d+)> is submitted to .*"),
    read=_read,
    read_partitions=_read_partitions,
    passing=re.compile(r"LSF is down|not respond|timed? ?out|trying\.\.\.|connection refused|temporarily", re.I),
    full=re.compile(r"pending job threshold|job (slot )?limit|maximum number of (pending )?jobs|MAX_PEND_JOBS", re.I),
    hopeless=re.compile(
        r"queue (is|has been) (closed|inactivated)|suspended (by|while)|no (eligible|matching) host", re.I
    ),
    leaking=("LSB_", "LS_", "LSFUSER"),
    kept=("LSF_ENVDIR", "LSF_SERVERDIR", "LSF_BINDIR", "LSF_LIBDIR"),
    inside=Inside(job="LSB_JOBID", tasks="LSB_DJOB_NUMPROC", cores="LSB_DJOB_NUMPROC"),
    directive="#BSUB",
    log_id="%J",
    library="LSFCluster",
    replaced=("-J ",),
    keys=("partition", "qos", "reservation"),
    options=_options,
    common=_common,
    worker=_worker,
    driver=_driver,
    memory=_memory,
    exclusive="-x",
    requeue='brequeue "$LSB_JOBID"',
)
