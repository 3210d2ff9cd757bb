"""What workers that are jobs used, told by each as it leaves, and what would have been enough."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stemdask.engine.queues.queue import LEAST_MEMORY, gib

#: Environment variable with the file to which a worker adds a line as it leaves.
USAGE = "STEMDASK_USAGE"
#: Files in the run directory: what each worker told, and what was made of it.
TOLD, SAID = "jobs.jsonl", "used.txt"
#: Memory to ask for, over what was used.
HEAD_ROOM = 1.3
_STARTED = time.time()
_KIB = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Used:
    """What one worker used."""

    job: str
    """Its name."""
    begun: float
    """Seconds since 1970."""
    ended: float
    cpu: float
    """Seconds of processor, its helpers with it."""
    memory: int
    """Bytes of its largest process and its largest helper together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run asked for."""

    memory: int
    """Bytes of a job."""
    cores: int
    """Of a job."""
    workers: int
    """Of a job."""
    waits: Sequence[float]
    """Seconds for which each job waited in the queue, and for its worker."""


def tell(name: str) -> None:
    """Add a line for this worker to the file that the environment names, if it names one."""
    path = os.environ.get(USAGE)
    if path is None:
        return
    own, helpers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + helpers.ru_utime + helpers.ru_stime
    used = Used(name, _STARTED, time.time(), cpu, (own.ru_maxrss + helpers.ru_maxrss) * _KIB)
    with Path(path).open("a") as file:
        file.write(json.dumps(asdict(used)) + "\n")


def read(path: Path) -> list[Used]:
    """Read what workers told; a line that was cut is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(Used(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def sentence(used: list[Used], asked: Asked) -> str:
    """Return what was used of what was asked for, and the keys that would fit next time."""
    if not used:
        return ""
    seconds = sum(one.ended - one.begun for one in used)
    efficiency = sum(one.cpu for one in used) / max(seconds, 1e-9)
    most = max(one.memory for one in used)
    waits = asked.waits
    waited = f", waited {sum(waits) / len(waits):.0f} s for a worker on average" if waits else ""
    hours = seconds * asked.cores / asked.workers / 3600
    fitting = -(-int(max(HEAD_ROOM * most, LEAST_MEMORY) * asked.workers) // 2**28) * 256
    return (
        f"used: {len(used)} workers, {hours:.2g} core hours, {100 * efficiency / asked.cores * asked.workers:.0f} % of "
        f"the processors, {gib(most * asked.workers)} of {gib(asked.memory)} a job{waited}; "
        f"next time: memory: {fitting} MiB, cores: {asked.workers}"
    )
