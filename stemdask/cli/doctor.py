"""What this machine can do for stemdask, and what prevents it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import typer
from rich.console import Console
from rich.table import Table

from stemdask._version import __version__
from stemdask.adapters import pyboo
from stemdask.config import profiles
from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.queue import Partition, Queue, clock, gib
from stemdask.engine.queues.records import queues

#: Packages that every run needs, and those that only some features need.
CORE = (
    "numpy",
    "scipy",
    "numba",
    "scikit-image",
    "scikit-learn",
    "xarray",
    "zarr",
    "dask",
    "distributed",
    "dask-jobqueue",
)
OPTIONAL = {
    "pyboo": f"the engine 'pyboo' of bond_order: {pyboo.INSTALL}",
    "pyarrow": "export --format parquet",
    "panel": "view",
    "atomap": "the engine 'atomap' of columns",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, whether it passed, and what was found or what to do."""

    name: str
    right: bool
    text: str


def examine() -> list[Finding]:
    """Run every check; slow or fragile ones have a time limit."""
    return [finding for look in _LOOKS for finding in look()]


def show() -> int:
    """Print the findings; return 0, or 1 if something is wrong."""
    findings = examine()
    table = Table(show_header=False, box=None)
    for finding in findings:
        mark = "[green]ok[/]" if finding.right else "[red]no[/]"
        table.add_row(mark, finding.name, finding.text)
    Console().print(table)
    return 0 if all(finding.right for finding in findings) else 1


def show_clusters() -> int:
    """Print the partitions of the batch systems here, with a profile for the first; return 1 if there is none."""
    here = [queue for queue in queues() if not queue.missing()]
    if not here:
        commands = ", ".join(queue.submit[0] for queue in queues())
        typer.echo(f"No batch system found ({commands}); run this on a login node.", err=True)
        return 1
    found = {queue.kind: Jobs(queue, "").partitions() for queue in here}
    # Commands of other systems are often there as well, as wrappers of the one that runs.
    shown = [queue for queue in here if found[queue.kind]] or here
    for queue in shown:
        table = Table("partition", "walltime", "cores", "memory", "nodes", "", title=queue.title, box=None)
        for one in found[queue.kind]:
            notes = [text for text, true in (("default", one.default), ("accepts no jobs", not one.usable)) if true]
            longest = clock(one.seconds) if one.seconds < float("inf") else "no limit"
            table.add_row(one.name, longest, str(one.cores), gib(one.memory), str(one.nodes), ", ".join(notes))
        Console().print(table)
        if not found[queue.kind]:
            typer.echo(f"{queue.title} lists no partitions.")
    typer.echo(f"\n# A first profile, for {profiles.files()[0]}; select it with 'stemdask run CONFIG --profile here'.")
    typer.echo(_profile(shown[0], found[shown[0].kind]))
    return 0


def _profile(queue: Queue, partitions: Sequence[Partition]) -> str:
    usable = [one for one in partitions if one.usable]
    first = next((one for one in usable if one.default), usable[0] if usable else None)
    lines = ["here:", f"  kind: {queue.kind}", "  workers: {min: 1, max: 16}"]
    if first is not None:
        lines += [f"  partition: {first.name}", f'  walltime: "{clock(min(first.seconds, 4 * 3600))}"']
    shared = sorted(name for name in psutil.net_if_addrs() if name.startswith(("ib", "hsn", "opa")))
    lines += [f"  interface: {shared[0]}"] if shared else ["  # interface: ib0    # the network that the nodes share"]
    return "\n".join([*lines, "  # account: my-project", "  # prologue: [module load python]"])


def _versions() -> Iterator[Finding]:
    yield Finding("stemdask", True, f"{__version__}, Python {sys.version.split()[0]}")
    for name in CORE:
        try:
            yield Finding(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, "is not installed; reinstall stemdask")
    for name, use in OPTIONAL.items():
        try:
            yield Finding(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, True, f"not installed; needed only for {use}")


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    free = psutil.virtual_memory().available / 2**30
    yield Finding("cores", True, f"{cores} for this process")
    yield Finding("memory", free >= 1, f"{free:.1f} GiB free" + ("" if free >= 1 else "; a worker needs about 1 GiB"))
    crowding = {
        name: value for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if (value := os.environ.get(name, "1")) != "1"
    }
    text = "one per worker" if not crowding else f"{crowding} in the environment; workers set them to 1 themselves"
    yield Finding("threads", True, text)


def _files() -> Iterator[Finding]:
    here = Path.cwd()
    try:
        with tempfile.TemporaryDirectory(dir=here, prefix=".stemdask-doctor-") as folder:
            probe = Path(folder, "probe")
            probe.write_bytes(b"x")
            with probe.open("rb") as handle:
                os.fsync(handle.fileno())
            probe.rename(Path(folder, "moved"))
        free = shutil.disk_usage(here).free / 2**30
        yield Finding("working folder", free > 1, f"{here}: writable, {free:.0f} GiB free")
    except OSError as error:
        yield Finding("working folder", False, f"{here}: {error.strerror}; run from a folder that you can write to")


def _queues() -> Iterator[Finding]:
    for queue in queues():
        submit, look = queue.submit[0], queue.look[0]
        found = shutil.which(submit)
        text = f"not on this machine; 'cluster: {{kind: {queue.kind}}}' needs {submit} and {look}"
        if not queue.missing():
            text = str(found)
        elif found and shutil.which(look):
            text = f"not on this machine: {found} is of another batch system"
        yield Finding(queue.kind, True, text)


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (_versions, _machine, _files, _queues)
