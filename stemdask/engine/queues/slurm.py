"""SLURM."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.engine.queues.queue import OPTIONAL, DriverJob, Inside, JobView, Partition, Queue, State, WorkerJob

#: Seconds before its walltime at which the driver is asked to save its state.
_DRIVER_WARNING = 120
_STATES = {
    "PENDING": State.PENDING,
    # One that was stopped holds its node; whether it does anything is for the scheduler of its worker to hear.
    **dict.fromkeys(("RUNNING", "STOPPED", "SUSPENDED"), State.RUNNING),
    "COMPLETING": State.ENDING,
    **dict.fromkeys(("COMPLETED", "DEADLINE", "FAILED", "REVOKED", "TIMEOUT"), State.OVER),
    **dict.fromkeys(("BOOT_FAIL", "CANCELLED", "NODE_FAIL", "PREEMPTED"), State.TAKEN),
    "OUT_OF_MEMORY": State.OUT_OF_MEMORY,
}


def _read(text: str) -> list[JobView]:
    rows = [line.split("|") for line in text.splitlines() if line.count("|") in (5, 6)]
    return [
        JobView(number, name, _STATES.get(word, State.OTHER), word, reason, node, _seconds(left), _start(word, *more))
        for number, name, word, reason, node, left, *more in rows
    ]


def _start(word: str, start: str = "N/A") -> str:
    return start if word == "PENDING" and start != "N/A" else ""


def _read_partitions(text: str) -> list[Partition]:
    """Read sinfo's lines, one for each kind of node; a partition gets its largest node."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        if line.count("|") != 5:
            continue
        name, state, limit, cores, memory, nodes = line.split("|")
        default, name = name.endswith("*"), name.rstrip("*")
        before = found.get(name, Partition(name, False, default, 0.0, 0, 0, 0))
        found[name] = Partition(
            name,
            state == "up",
            default,
            _seconds(limit),
            max(before.cores, int(cores.rstrip("+"))),
            max(before.memory, int(memory.rstrip("+")) * 2**20),
            before.nodes + int(nodes),
        )
    return list(found.values())


def _seconds(text: str) -> float:
    """Read [D-]HH:MM:SS or MM:SS; without a limit, infinity."""
    days, _, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in parts) or (days and not days.isdecimal()):
        return float("inf")
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return seconds + 86400 * int(days or 0)


def _options(config: Batch, memory: int) -> dict[str, Any]:
    return {
        "queue": config.partition,
        "account": config.account,
        "walltime": config.walltime,
        "job_mem": f"{memory // 2**20}M",  # MiB, to SLURM
    }


def _common(config: Batch) -> Sequence[str]:
    keys = ("qos", "constraint", "reservation")
    return [f"--{key}={value}" for key in keys if (value := getattr(config, key)) is not None]


def _worker(job: WorkerJob) -> Sequence[str]:
    keys = ("gres", "licenses")
    return [
        *(f"--{key}={value}" for key in keys if (value := getattr(job.config, key)) is not None),
        f"-J {job.name}",
        f"-o {job.log}",
        f"-D {job.folder}",
        f"--export={','.join(job.exported)}",
        f"--no-requeue --open-mode=append --signal=B:USR1@{job.warning}",
    ]


def _driver(job: DriverJob) -> Sequence[str]:
    minutes = math.ceil(job.seconds / 60)
    asked = job.resources
    memory = "--mem-per-cpu" if asked.tasks > 1 else "--mem"
    lines = [
        f"--job-name={job.name}",
        f"--output={job.log}",
        "--open-mode=append",
        f"--chdir={job.folder}",
        f"--time={minutes // 60:02d}:{minutes % 60:02d}:00",
        f"--ntasks={asked.tasks}",
        f"--cpus-per-task={asked.cores}",
        f"{memory}={math.ceil(asked.memory / 2**20)}M",
        "--requeue",
        f"--signal=B:TERM@{_DRIVER_WARNING}",
    ]
    config = job.config
    where = {"partition": config.partition, "account": config.account, "mail-user": config.mail}
    lines += [f"--{key}={value}" for key, value in where.items() if value is not None]
    return [*lines, "--mail-type=END,FAIL"] if config.mail else lines


def _step(name: str, log: str) -> Sequence[str]:
    command = ["srun", "--exact", "--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--kill-on-bad-exit=0"]
    return [*command, f"--job-name={name}", f"--output={log}", "--open-mode=append"]


QUEUE = Queue(
    kind="slurm",
    title="SLURM",
    submit=("sbatch", "--parsable"),
    look=("squeue", "--me", "--noheader", "--states=all", "--format=%i|%j|%T|%r|%N|%L|%S"),
    cancel=("scancel",),
    rehearse=("sbatch", "--test-only"),
    list_partitions=("sinfo", "--noheader", "--format=%P|%a|%l|%c|%m|%D"),
    job_id=re.compile(r"\d+"),
    answer=re.compile(r"(\d+)(?:;.*)?", re.DOTALL),  # id, or id;cluster
    read=_read,
    read_partitions=_read_partitions,
    passing=re.compile(
        r"unable to contact|timed out|temporarily|connection refused|try again|socket|communication", re.IGNORECASE
    ),
    full=re.compile(
        r"(QOS|Assoc)(Grp|Max)\w*Submit|job submit limit|MaxSubmitJob|maximum number of (pending )?jobs", re.I
    ),
    hopeless=re.compile(
        r"Partition(Down|Inactive|TimeLimit|NodeLimit)|BadConstraints|Invalid(Account|QOS)|MaxWallDuration|"
        r"Max\w*PerJob|JobHeld|AccountNotAllowed|QOSNotAllowed|held"
    ),
    leaking=("SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SRUN_"),
    kept=("SLURM_CONF",),
    inside=Inside(job="SLURM_JOB_ID", tasks="SLURM_NTASKS", cores="SLURM_CPUS_PER_TASK", node="SLURMD_NODENAME"),
    directive="#SBATCH",
    log_id="%j",
    library="SLURMCluster",
    replaced=("-J ",),
    keys=OPTIONAL,
    options=_options,
    common=_common,
    worker=_worker,
    driver=_driver,
    memory=lambda size: f"--mem={int(size / 2**20)}M",
    exclusive="--exclusive",
    requeue='scontrol requeue "$SLURM_JOB_ID"',
    step=_step,
)
