"""A batch system as one record of all that differs between them; the code that uses it is the same for all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from stemdask.config.clusters import Batch, BatchKind

#: Bytes without which no worker starts: the interpreter with its libraries, twice, since frames have a helper.
LEAST_MEMORY = 2**30
#: Keys of a config that some queues know.
OPTIONAL = ("partition", "qos", "constraint", "gres", "reservation", "licenses")


class State(Enum):
    """What a job is doing, whatever its queue calls it."""

    PENDING = auto()
    RUNNING = auto()
    ENDING = auto()
    """Its processes are gone or going."""
    OTHER = auto()
    """Neither: suspended, being configured, a state that the record doesn't know."""
    OVER = auto()
    """It ended, successfully or not."""
    TAKEN = auto()
    """It was ended by somebody else: cancelled, preempted, its node died; which says nothing about what it ran."""
    OUT_OF_MEMORY = auto()


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its queue shows it."""

    id: str
    name: str
    state: State
    word: str = ""
    """The state in the queue's own words."""
    reason: str = ""
    """Why it is pending."""
    node: str = ""
    seconds_left: float = float("inf")
    starts: str = ""
    """When the queue expects to start it, while it is pending and the queue says so."""

    @property
    def over(self) -> bool:
        """It will not run any more."""
        return self.state in (State.OVER, State.TAKEN, State.OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of a cluster, or a queue of it, with what its jobs may ask for."""

    name: str
    usable: bool
    """It takes and starts jobs."""
    default: bool
    """Of jobs that name none."""
    seconds: float
    """The longest walltime; infinite without a limit."""
    cores: int
    """Of its largest node; 0 where the queue doesn't say."""
    memory: int
    """Bytes of its largest node; 0 where the queue doesn't say."""
    nodes: int


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """What a worker's job needs beside the directives that dask-jobqueue writes."""

    name: str
    log: str
    folder: Path
    """Where it starts."""
    memory: int
    """Bytes."""
    config: Batch
    exported: Sequence[str]
    """Variables that it inherits; no others."""
    warning: int
    """Seconds before its end at which it gets SIGUSR1, if the queue can send it; workers also watch the clock."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a driver's job asks for: tasks, each of so many cores and bytes."""

    memory: int
    """Bytes of a task."""
    tasks: int = 1
    cores: int = 1
    """Of a task."""


@dataclass(frozen=True, slots=True)
class DriverJob:
    """What the job of a driver needs."""

    name: str
    log: str
    folder: Path
    """Where it starts."""
    seconds: int
    """Walltime."""
    resources: Resources
    config: Batch
    """Where it goes: partition, account and whatever else the site wants of a job."""


@dataclass(frozen=True, slots=True)
class Inside:
    """Environment variables by which a process knows the job in which it runs."""

    job: str
    """Its id."""
    tasks: str
    cores: str
    """Of a task."""
    node: str = ""
    """Name of this node; the host's own where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One batch system."""

    kind: BatchKind
    """Its kind in a config, and the name of its file."""
    title: str
    """Its name in messages."""

    submit: Sequence[str]
    """Command that takes a script, as `handed` says."""
    handed: Callable[[str], tuple[Sequence[str], str]] = lambda script: ((), script)
    """Gives what `submit` takes of a script: words that follow, and its standard input."""
    select: Sequence[str] = ()
    """Command that lists the ids of the jobs of "{user}", where `look` needs them after it."""
    look: Sequence[str]
    """Command that lists the user's jobs, those too that were over a while ago where it knows them."""
    cancel: Sequence[str]
    """Command that ends the jobs whose ids follow."""
    rehearse: Sequence[str] = ()
    """Command that says whether a script on standard input would be taken, without taking it."""
    list_partitions: Sequence[str] = ()
    """Command that lists partitions."""

    sign: str = ""
    """A command that it alone has, where another system's have the same names."""
    rival: str = ""
    """The sign of that system: the commands are its own where this one is there alone."""

    job_id: re.Pattern[str]
    """An id, whole; nothing else is ever handed to `cancel`."""
    answer: re.Pattern[str]
    """What `submit` prints, whole but for blanks around it; its first group is the id."""
    read: Callable[[str], list[JobView]]
    """Reads what `look` prints."""
    read_partitions: Callable[[str], list[Partition]] = lambda text: []
    """Reads what `list_partitions` prints."""
    passing: re.Pattern[str]
    """Errors after which the same may succeed: a server that is busy, restarting or out of reach."""
    full: re.Pattern[str]
    """Errors that say that this user has as many jobs as are taken."""
    hopeless: re.Pattern[str]
    """Reasons of pending jobs that waiting doesn't change."""

    leaking: tuple[str, ...]
    """Beginnings of variables that would make a worker a copy of the job in which the driver runs."""
    kept: Sequence[str] = ()
    """Variables that begin so and are handed on all the same, to commands and to workers."""
    inside: Inside

    directive: str
    """Beginning of a line of a script that the queue reads."""
    log_id: str
    """What the path of a log may hold for the id of the job; empty where it can hold none, and has the job's name."""
    library: str
    """Class of dask-jobqueue that writes the script of a worker."""
    shell: Callable[[str], str] = lambda written: written
    """Makes a shell script with directives, whose last line starts the worker, of what the class writes."""
    replaced: tuple[str, ...]
    """Beginnings of directives of its script that are written here instead."""
    options: Callable[[Batch, int], dict[str, Any]]
    """Its keywords that other classes don't have, of a config and the bytes of a job."""
    keys: Sequence[str] = ()
    """Keys of a config that it knows, of those that not every queue knows: `OPTIONAL`."""
    common: Callable[[Batch], Sequence[str]]
    """Directives of every job by keys of a config that dask-jobqueue doesn't know."""
    worker: Callable[[WorkerJob], Sequence[str]]
    """Directives of a worker's job."""
    driver: Callable[[DriverJob], Sequence[str]]
    """Directives of a driver's job."""
    memory: Callable[[int], str] | None = None
    """Directive that asks for bytes; given after the others, it counts. None where memory comes with the cores."""
    exclusive: str = ""
    """Directive by which a job has its node for itself; empty where the queue has none."""
    requeue: str
    """Shell command by which a job goes back into the queue; may name "{script}"."""
    step: Callable[[str, str], Sequence[str]] | None = None
    """Command that starts the one after it as a task of the job around, of a name and the path of a log."""

    def missing(self) -> list[str]:
        """Return its commands that this machine doesn't have, or has from another system."""
        others = bool(self.rival and shutil.which(self.rival)) and shutil.which(self.sign) is None
        return [name for name, *_ in (self.submit, self.look, self.cancel) if others or shutil.which(name) is None]

    def directives(self, texts: Iterable[str], config: Batch | None = None) -> list[str]:
        """Return directives as lines of a script, without those that a site wants skipped and with those it adds."""
        lines = [f"{self.directive} {text}" for text in texts]
        if config is None:
            return lines
        skipped = config.options.get("job_directives_skip") or ()
        more = [f"{self.directive} {text}" for text in config.job_extra_directives]
        return [line for line in lines if not any(text in line for text in skipped)] + more


def gib(size: int) -> str:
    """Write bytes in GiB or MiB."""
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"


def clock(seconds: float) -> str:
    """Write seconds as a walltime."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
