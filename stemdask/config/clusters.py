"""What a user may write about where the blocks are processed."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field, model_validator

from stemdask.config.section import Section
from stemdask.config.shell_safe import Directive, Expression, Mail, Name, Options, OwnCommand, PlainPath, PrologueLine
from stemdask.config.values import Memory, Walltime

#: Batch systems; each has its record in `stemdask.engine.queues`.
BatchKind: TypeAlias = Literal["slurm", "pbs", "lsf", "sge", "htcondor", "oar"]


class Workers(Section):
    """A number of workers that adapts to the work."""

    min: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Least number of workers while there is work."""
    max: Annotated[int, Field(ge=1, le=10_000)]
    """Largest number of workers."""

    @model_validator(mode="after")
    def _in_order(self) -> Workers:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is more than max ({self.max})")
        return self


class Auto(Section):
    """Chosen from the plan: this process for a few seconds of work, workers on this machine for more."""

    kind: Literal["auto"] = "auto"
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """Number of workers where there are any; auto: one per core of this job."""
    workers_timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds to wait for a worker before the run ends."""


class Inline(Section):
    """One block after another, in this process."""

    kind: Literal["inline"] = "inline"


class Threads(Section):
    """Threads of this process."""

    kind: Literal["threads"]
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """Number of threads; auto: one per core available to this process."""


class Processes(Section):
    """Processes of this machine, through Dask."""

    kind: Literal["processes"]
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """Number of processes; auto: one per core available to this process."""
    workers_timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds to wait for a worker before giving up."""


class Batch(Section):
    """Jobs of a batch system, one worker each; absent keys are taken from the profile and from jobqueue.yaml."""

    kind: BatchKind
    profile: Name | None = None
    """Profile of the user or the site; keys in this config override it."""
    workers: Annotated[int, Field(ge=1, le=10_000)] | Workers = 1
    """Number of workers, or {min, max}."""
    workers_per_job: Annotated[int, Field(ge=1, le=512)] | Literal["node"] = 1
    """Workers in one job, which share its memory; node: as many as fill a node, used exclusively."""
    partition: Name | None = None
    """Partition of the jobs."""
    account: Name | None = None
    """Account to charge."""
    qos: Name | None = None
    """Quality of service of the jobs."""
    constraint: Expression | None = None
    """Features that the nodes must have, such as 'haswell|skylake'."""
    gres: Name | None = None
    """Generic resources of each worker's job, such as 'tmpdisk:20'."""
    reservation: Name | None = None
    """Reservation in which the jobs run."""
    licenses: Name | None = None
    """Licences that each worker's job needs."""
    mail: Mail | None = None
    """Address to which the queue writes when the driver's job ends or fails."""
    cores: Annotated[int, Field(ge=1, le=1024)] = 1
    """Cores per job, at least one per worker; a worker computes on one, so more cores only provide memory."""
    memory: Memory | None = None
    """Memory of a job, for all its workers, such as '4 GiB'; taken from the plan if absent."""
    walltime: Walltime = "01:00:00"
    """Walltime of a job, 'HH:MM:SS', quoted; workers leave before it ends and are replaced."""
    interface: Name | None = None
    """Network interface that the nodes share, such as ib0."""
    local_directory: PlainPath | None = None
    """Scratch folder on the node; $TMPDIR or /tmp if absent."""
    log_directory: PlainPath | None = None
    """Folder for the logs of the jobs; in the run directory if absent."""
    job_extra_directives: tuple[Directive, ...] = ()
    """Extra directives for every job, including the driver's, such as '--exclusive'."""
    prologue: tuple[PrologueLine, ...] = ()
    """Lines to run before a worker or the driver starts: 'module load X', 'source /path/activate', 'export A=B'."""
    on_end: OwnCommand | None = None
    """Command that the driver runs at the end, with STEMDASK_STORE and STEMDASK_ENDED; allowed only in a profile."""
    options: Options = Field(default_factory=dict)
    """Further keywords for the cluster class of dask_jobqueue: job_cpu, job_mem, shebang and a few more."""
    workers_timeout: Annotated[float, Field(gt=0)] = 86_400
    """Seconds to wait in the queue without any worker before giving up."""
    replace_after: Annotated[float, Field(ge=10, le=86_400)] = 300
    """Seconds after which a running job whose worker does not respond is replaced."""
    poll_seconds: Annotated[float, Field(ge=0.5, le=300)] = 15
    """Seconds between two queries of the queue."""

    @property
    def most_workers(self) -> int:
        """Number of workers, or the largest number of them."""
        return self.workers if isinstance(self.workers, int) else self.workers.max

    @property
    def per_job(self) -> int:
        """Workers per job; 1 as long as it is unknown how many fill a node."""
        return self.workers_per_job if isinstance(self.workers_per_job, int) else 1


class Allocation(Section):
    """Workers that the batch script of this run starts beside the driver, as jobs/allocation.sbatch does."""

    kind: Literal["allocation"]
    workers: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Largest number of workers; no more than the allocation has tasks."""
    interface: Name | None = None
    """Network interface that the nodes share, such as ib0."""
    workers_timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds to wait for a worker before giving up."""


class Address(Section):
    """A Dask scheduler that is already running."""

    kind: Literal["address"]
    scheduler: str | None = None
    """tls://host:port or tcp://host:port."""
    scheduler_file: str | None = None
    """File to which the scheduler wrote its address."""
    tls_directory: str | None = None
    """Folder with ca.pem, cert.pem and key.pem, for tls."""
    workers_timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds to wait for a worker before giving up."""


class Gateway(Section):
    """A cluster that dask-gateway starts for this run; needs the extra 'gateway'."""

    kind: Literal["gateway"]
    address: str | None = None
    """http:// or https:// address of the gateway; from Dask's own configuration if absent."""
    workers: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Number of workers."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Options that the gateway offers for a cluster, such as worker_memory."""
    workers_timeout: Annotated[float, Field(gt=0)] = 1800
    """Seconds to wait for a worker before giving up."""


#: What a pool is made of.
Named: TypeAlias = Inline | Threads | Processes | Batch | Allocation | Address | Gateway
Cluster = Annotated[Auto | Named, Field(discriminator="kind")]


def cluster_kinds() -> tuple[str, ...]:
    """Return the kinds of cluster that a config may name."""
    kinds = (get_args(member.model_fields["kind"].annotation) for member in (Auto, *get_args(Named)))
    return tuple(str(kind) for several in kinds for kind in several)
