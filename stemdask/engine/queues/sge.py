"""Grid Engine: Sun's, Univa's, Son of Grid Engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from stemdask.config.clusters import Batch
from stemdask.config.values import parse_walltime
from stemdask.engine.queues.queue import DriverJob, Inside, JobView, Partition, Queue, State, WorkerJob, clock

#: Seconds before its walltime at which a driver is asked to save its state.
_DRIVER_WARNING = 120


def _state(word: str) -> State:
    """Read a word made of letters: q waits, h is held, r runs, t is on its way, s S T are suspended, d is deleted."""
    if "d" in word:
        return State.ENDING
    if "q" in word:
        return State.PENDING
    return State.RUNNING if set(word) & set("rtsST") else State.OTHER


def _read(text: str) -> list[JobView]:
    """Read the XML of qstat, whose table cuts names; finished jobs aren't in it."""
    found = []
    for job in ElementTree.fromstring(text).iter("job_list"):
        given = {part.tag: (part.text or "").strip() for part in job}
        word = given.get("state", "")
        waits = _state(word) is State.PENDING
        found.append(
            JobView(
                given.get("JB_job_number", ""),
                given.get("JB_name", ""),
                _state(word),
                word,
                word if waits and word != "qw" else "",
                given.get("queue_name", "").partition("@")[2],
            )
        )
    return found


def _read_partitions(text: str) -> list[Partition]:
    """Read qstat's summary of queues; what a job may ask of them isn't told."""
    rows = [line.split() for line in text.splitlines()[2:]]
    return [
        Partition(row[0], int(row[-3]) > int(row[-1]), False, float("inf"), 0, 0, int(row[-3]))
        for row in rows
        if len(row) >= 8 and row[-3].isdecimal() and row[-1].isdecimal()
    ]


def _options(config: Batch, memory: int) -> dict[str, Any]:
    return {
        "queue": config.partition,
        "project": config.account,
        "walltime": clock(parse_walltime(config.walltime)),
        "resource_spec": f"mem_free={memory // 2**20}M",
    }


def _common(config: Batch) -> Sequence[str]:
    return ["-S /bin/bash", *([f"-ar {config.reservation}"] if config.reservation else [])]


def _cores(n: int) -> list[str]:
    return [f"-pe smp {n}"] if n > 1 else []


def _worker(job: WorkerJob) -> Sequence[str]:
    warned = clock(max(1, parse_walltime(job.config.walltime) - job.warning))
    return [
        f"-N {job.name}",
        f"-o {job.log}",
        f"-wd {job.folder}",
        f"-v {','.join(job.exported)}",
        f"-l s_rt={warned}",
        "-r n",
        "-notify",
        *_cores(job.config.cores),
    ]


def _driver(job: DriverJob) -> Sequence[str]:
    config, asked = job.config, job.resources
    n = asked.tasks * asked.cores
    where = {"-q": config.partition, "-P": config.account, "-M": config.mail}
    return [
        f"-N {job.name}",
        f"-o {job.log}",
        "-j y",
        f"-wd {job.folder}",
        "-r y",
        "-V",
        f"-l h_rt={clock(job.seconds)},s_rt={clock(max(1, job.seconds - _DRIVER_WARNING))}",
        f"-l mem_free={asked.memory // n // 2**20}M",
        *_cores(n),
        *(f"{key} {value}" for key, value in where.items() if value is not None),
        *(["-m ea"] if config.mail else []),
    ]


QUEUE = Queue(
    kind="sge",
    title="Grid Engine",
    submit=("qsub", "-terse"),
    look=("qstat", "-xml"),
    cancel=("qdel",),
    # No `rehearse`: qsub -w v knows no load values, and takes a wish for mem_free for one that nobody can fulfil.
    sign="qconf",
    rival="pbsnodes",
    list_partitions=("qstat", "-g", "c"),
    job_id=re.compile(r"\d+"),
    answer=re.compile(r"(\d+)"),
    read=_read,
    read_partitions=_read_partitions,
    passing=re.compile(r"unable to contact qmaster|commlib error|failed receiving gdi|timed? ?out|can't connect", re.I),
    full=re.compile(r"only \d+ jobs are allowed per (user|cluster)", re.I),
    hopeless=re.compile(r"E|h"),
    leaking=("SGE_", "JOB_", "QUEUE", "NSLOTS", "NHOSTS", "NQUEUES", "REQUEST", "RESTARTED", "PE_HOSTFILE"),
    kept=("SGE_CELL", "SGE_CLUSTER_NAME", "SGE_EXECD_PORT", "SGE_QMASTER_PORT", "SGE_ROOT"),
    inside=Inside(job="JOB_ID", tasks="NSLOTS", cores="NSLOTS"),
    directive="#$",
    log_id="$JOB_ID",
    library="SGECluster",
    replaced=("-N ", "-cwd"),
    keys=("partition", "reservation"),
    options=_options,
    common=_common,
    worker=_worker,
    driver=_driver,
    memory=lambda size: f"-l mem_free={size // 2**20}M",
    requeue="exit 99",
)
