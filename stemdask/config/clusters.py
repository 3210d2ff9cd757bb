"""What a user may write about where the blocks are done."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_MEMORY = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(B|[kKMGT]i?B)\s*\Z")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_WALLTIME = re.compile(r"(?:(\d+)-)?(\d{1,3}):(\d{2}):(\d{2})\Z")
#: A directive is a comment to the shell, where | and & are signs of a constraint.
_DIRECTIVE = re.compile(r"--[A-Za-z0-9_.,:=/@+%\[\]|&-]{1,200}\Z")
#: No word that reaches a command line may hold what a shell would act on.
_WORD = re.compile(r"[A-Za-z0-9_.,:=/@+%-]{1,200}\Z")
_OPTION = re.compile(r"(#!)?[A-Za-z0-9_.,:=/@+% -]*\Z")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+@:=,-]+\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:@+-]{0,63}\Z")


def parse_memory(text: object) -> int:
    """Read "4 GiB" or "500 MB" as bytes; a bare number is refused, since tools disagree on its unit."""
    match = _MEMORY.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not an amount of memory; write for example '4 GiB'")
    unit = match[2]
    base = 1024 if "i" in unit else 1000
    return int(float(match[1]) * base ** _POWERS[unit.rstrip("B").rstrip("i").lower()])


def parse_walltime(text: object) -> int:
    """Read "HH:MM:SS" or "D-HH:MM:SS" as seconds; anything else means different things to different programs."""
    match = _WALLTIME.match(text) if isinstance(text, str) else None
    if match is None or int(match[3]) > 59 or int(match[4]) > 59:
        raise ValueError(f"{text!r} is not a walltime; write it whole and quoted: '02:30:00' or '1-12:00:00'")
    return ((int(match[1] or 0) * 24 + int(match[2])) * 60 + int(match[3])) * 60 + int(match[4])


def _memory(text: object) -> int:
    return text if isinstance(text, int) and not isinstance(text, bool) and text >= 2**20 else parse_memory(text)


def _walltime(text: object) -> str:
    parse_walltime(text)
    return str(text)


def _like(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not pattern.match(text):
            raise ValueError(f"{text!r} is not {what}; letters, digits and {'_.,:@+-'} are allowed")
        return text

    return check


def check_directive(text: str) -> str:
    """Return an sbatch directive as it is; raise ValueError where it could be more than one."""
    if not _DIRECTIVE.match(text):
        raise ValueError(f"{text!r} is not a directive; write for example '--constraint=haswell'")
    return text


def check_path(text: str) -> str:
    """Return a path as it is; raise ValueError where a job script couldn't hold it."""
    if not _PLAIN_PATH.match(text):
        raise ValueError(f"{text!r} can't stand in a job script; use a path of letters, digits and _ . / + @ : = , -")
    return text


def _prologue(line: str) -> str:
    words = line.split(" ")
    command = " ".join(words[:2]) if words[0] == "module" else words[0]
    if command not in ("module load", "module purge", "module use", "source", "export") or not all(
        _WORD.match(word) for word in words
    ):
        raise ValueError(
            f"{line!r} is not allowed in a prologue; write 'module load X', 'source /path/activate' or 'export A=B'"
        )
    return line


def _options(value: Any) -> Any:
    """Return keywords for dask-jobqueue as they are; it quotes nothing, so none may hold what a shell would act on."""
    leaves = [value] if isinstance(value, str) else []
    if isinstance(value, dict):
        leaves = [*value]
        value = {key: _options(one) for key, one in value.items()}
    elif isinstance(value, list | tuple):
        value = [_options(one) for one in value]
    for text in leaves:
        if not _OPTION.match(str(text)):
            raise ValueError(f"{text!r} can't stand in a job script; letters, digits, blanks and _.,:=/@+%- can")
    return value


Memory = Annotated[int, BeforeValidator(_memory)]
Walltime = Annotated[str, BeforeValidator(_walltime)]
Name = Annotated[str, AfterValidator(_like(_NAME, "a name that SLURM knows"))]


class Section(BaseModel):
    """Base of all sections of a config: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Workers(Section):
    """A number of workers that follows the work."""

    min: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Workers kept while there is work."""
    max: Annotated[int, Field(ge=1, le=10_000)]
    """Workers at the most."""


class Inline(Section):
    """One block after the other, in this process."""

    kind: Literal["inline"] = "inline"


class Threads(Section):
    """Threads of this process."""

    kind: Literal["threads"]
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """Number of threads; auto: one a core of this job."""


class Processes(Section):
    """Processes of this machine, through Dask."""

    kind: Literal["processes"]
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """Number of processes; auto: one a core of this job."""
    workers_timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds to wait for a worker before the run ends."""


class Slurm(Section):
    """SLURM jobs, one worker each, through dask-jobqueue; absent keys are those of the site's jobqueue.yaml."""

    kind: Literal["slurm"]
    workers: Annotated[int, Field(ge=1, le=10_000)] | Workers = 1
    """Number of jobs, or {min, max}."""
    partition: Name | None = None
    """Partition of the jobs."""
    account: Name | None = None
    """Account that pays for them."""
    cores: Annotated[int, Field(ge=1, le=1024)] = 1
    """Cores of a job; a worker computes on one, so more than 1 only buys memory."""
    memory: Memory | None = None
    """Memory of a job, such as '4 GiB'; from the plan when absent."""
    walltime: Walltime = "01:00:00"
    """Walltime of a job, 'HH:MM:SS', quoted; workers leave before it ends and are replaced."""
    interface: Name | None = None
    """Network interface that the nodes share, such as ib0."""
    local_directory: Annotated[str, AfterValidator(check_path)] | None = None
    """Scratch on the node; $TMPDIR or /tmp when absent."""
    job_extra_directives: tuple[Annotated[str, AfterValidator(check_directive)], ...] = ()
    """More #SBATCH lines, such as '--constraint=haswell'."""
    prologue: tuple[Annotated[str, AfterValidator(_prologue)], ...] = ()
    """Lines before the worker starts: 'module load X', 'source /path/activate', 'export A=B'."""
    options: Annotated[dict[str, Any], AfterValidator(_options)] = Field(default_factory=dict)
    """Further keywords of dask_jobqueue.SLURMCluster, passed on as they are."""
    workers_timeout: Annotated[float, Field(gt=0)] = 3600
    """Seconds without any worker before the run ends; a queue that moves is no error."""
    poll_seconds: Annotated[float, Field(ge=0.5, le=300)] = 15
    """Seconds between two looks at squeue."""


class Allocation(Section):
    """Workers that an sbatch of this run has started beside the driver; jobs/allocation.sbatch does."""

    kind: Literal["allocation"]
    workers: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Workers at the most; no more than the allocation has tasks."""
    interface: Name | None = None
    """Network interface that the nodes share, such as ib0."""
    workers_timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds to wait for a worker before the run ends."""


class Address(Section):
    """A Dask scheduler that runs already."""

    kind: Literal["address"]
    scheduler: str | None = None
    """tls://host:port or tcp://host:port."""
    scheduler_file: str | None = None
    """File in which the scheduler wrote its address."""
    tls_directory: str | None = None
    """Folder with ca.pem, cert.pem and key.pem, for tls."""
    workers_timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds to wait for a worker before the run ends."""


Cluster = Annotated[Inline | Threads | Processes | Slurm | Allocation | Address, Field(discriminator="kind")]
