"""What this machine can do for stemdask, and what stands in its way."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from stemdask._version import __version__
from stemdask.engine.queues.records import queues

#: Packages that the runs lean on, and those that only some features need.
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
    "pyboo": "the engine 'pyboo' of bond_order",
    "pyarrow": "export --format parquet",
    "atomap": "the engine 'atomap' of columns",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its name, whether it is right, and what was found or what to do."""

    name: str
    right: bool
    text: str


def examine() -> list[Finding]:
    """Look at everything; slow or fragile looks are bounded in time."""
    return [finding for look in _LOOKS for finding in look()]


def show() -> int:
    """Print the findings; return 0, or 1 where something is wrong."""
    findings = examine()
    table = Table(show_header=False, box=None)
    for finding in findings:
        mark = "[green]ok[/]" if finding.right else "[red]no[/]"
        table.add_row(mark, finding.name, finding.text)
    Console().print(table)
    return 0 if all(finding.right for finding in findings) else 1


def _versions() -> Iterator[Finding]:
    yield Finding("stemdask", True, f"{__version__}, Python {sys.version.split()[0]}")
    for name in CORE:
        try:
            yield Finding(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, "is not installed; install stemdask again")
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
    text = "one a worker" if not crowding else f"{crowding} in the environment; workers set them to 1 themselves"
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
        yield Finding("working folder", False, f"{here}: {error.strerror}; run from a folder that you can write")


def _queues() -> Iterator[Finding]:
    for queue in queues():
        submit, look = queue.submit[0], queue.look[0]
        absent = f"not on this machine; 'cluster: {{kind: {queue.kind}}}' needs {submit} and {look}"
        yield Finding(queue.kind, True, absent if queue.missing() else str(shutil.which(submit)))


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (_versions, _machine, _files, _queues)
