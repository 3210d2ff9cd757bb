"""PBS Professional and OpenPBS."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.config.values import parse_walltime
from stemdask.engine.queues.queue import DriverJob, Inside, JobView, Partition, Queue, State, WorkerJob, clock

_STATES = {
    **dict.fromkeys("QHWT", State.PENDING),
    **dict.fromkeys("RSUB", State.RUNNING),
    "E": State.ENDING,
    **dict.fromkeys("FX", State.OVER),
}


def _read(text: str) -> list[JobView]:
    return [_view(number, job) for number, job in json.loads(text).get("Jobs", {}).items()] if text.strip() else []


def _view(number: str, job: Mapping[str, Any]) -> JobView:
    word = job.get("job_state", "")
    used, asked = (job.get(key, {}).get("walltime") for key in ("resources_used", "Resource_List"))
    left = parse_walltime(asked) - parse_walltime(used) if used and asked else float("inf")
    reason = job.get("comment", "") if _STATES.get(word) is State.PENDING else ""
    node = re.split(r"[/:+]", job.get("exec_host", ""))[0]
    return JobView(number, job.get("Job_Name", ""), _STATES.get(word, State.OTHER), word, reason, node, left)


def _read_partitions(text: str) -> list[Partition]:
    found = []
    for name, queue in json.loads(text).get("Queue", {}).items() if text.strip() else ():
        most = queue.get("resources_max", {})
        longest = parse_walltime(most["walltime"]) if "walltime" in most else float("inf")
        usable = queue.get("enabled") == "True" and queue.get("started") == "True"
        found.append(Partition(name, usable, False, longest, int(most.get("ncpus", 0)), _bytes(most.get("mem")), 0))
    return found


def _bytes(text: object) -> int:
    match = re.fullmatch(r"(\d+)([kmgt]?)b?", str(text or "").lower())
    return int(match[1]) * 1024 ** " kmgt".index(match[2] or " ") if match else 0


def _options(config: Batch, memory: int) -> dict[str, Any]:
    return {
        "queue": config.partition,
        "account": config.account,
        "walltime": clock(parse_walltime(config.walltime)),
        "resource_spec": f"select=1:ncpus={config.cores}:mem={memory // 2**20}mb",
    }


def _worker(job: WorkerJob) -> Sequence[str]:
    return [f"-N {job.name}", f"-o {job.log}", "-j oe", "-k oed", "-r n", f"-v {','.join(job.exported)}"]


def _driver(job: DriverJob) -> Sequence[str]:
    config, asked = job.config, job.resources
    memory = asked.memory // 2**20
    where = {"-q": config.partition, "-A": config.account, "-M": config.mail}
    return [
        f"-N {job.name}",
        f"-o {job.log}",
        "-j oe",
        "-k oed",
        "-r y",
        "-V",
        f"-l select={asked.tasks}:ncpus={asked.cores}:mem={memory}mb",
        f"-l walltime={clock(job.seconds)}",
        *(f"{key} {value}" for key, value in where.items() if value is not None),
        *(["-m ea"] if config.mail else []),
    ]


QUEUE = Queue(
    kind="pbs",
    title="PBS",
    submit=("qsub",),
    select=("qselect", "-u", "{user}"),
    look=("qstat", "-f", "-F", "json"),
    cancel=("qdel",),
    sign="pbsnodes",
    rival="qconf",
    list_partitions=("qstat", "-Q", "-f", "-F", "json"),
    job_id=re.compile(r"\d+(\[\d*\])?(\.[A-Za-z0-9_.-]+)?"),
    answer=re.compile(r"(\d+(?:\.[A-Za-z0-9_.-]+)?)"),
    read=_read,
    read_partitions=_read_partitions,
    passing=re.compile(
        r"cannot connect to server|connection refused|timed? ?out|no server|try again|server.*busy", re.I
    ),
    full=re.compile(r"would exceed .*(limit|number)|maximum number of jobs|limit on (queued|number of) jobs", re.I),
    hopeless=re.compile(r"can never run|job held|hold|insufficient .* resource.*: .*never", re.I),
    leaking=("PBS_",),
    kept=("PBS_CONF_FILE", "PBS_EXEC", "PBS_HOME", "PBS_SERVER", "PBS_DEFAULT"),
    inside=Inside(job="PBS_JOBID", tasks="NCPUS", cores="NCPUS"),
    directive="#PBS",
    log_id="",
    library="PBSCluster",
    replaced=("-N ",),
    keys=("partition",),
    options=_options,
    common=lambda config: [],
    worker=_worker,
    driver=_driver,
    memory=lambda size: f"-l select=1:ncpus=1:mem={size // 2**20}mb",
    exclusive="-l place=excl",
    requeue="qsub {script}",  # to run a job again takes an operator
)
