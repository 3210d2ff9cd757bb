"""A whole run: plan, lay out or continue, dispatch, finish."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from threadpoolctl import threadpool_limits

from stemdask.config.clusters import Allocation, Batch
from stemdask.config.document import Document, read
from stemdask.engine.driver import Driver, Outcome
from stemdask.engine.ending import told
from stemdask.engine.log import logged
from stemdask.engine.pools import settled
from stemdask.engine.progress import Report
from stemdask.engine.queues.queue import gib
from stemdask.engine.queues.script import job_bytes, too_long
from stemdask.engine.reporter import reporter
from stemdask.engine.setup import chosen, set_up
from stemdask.engine.signals import Stop
from stemdask.errors import ConfigError
from stemdask.kernels.compiled import were_compiled
from stemdask.model import RAGGED
from stemdask.planning.estimate import estimate
from stemdask.planning.plan import draw
from stemdask.planning.rehearsal import seconds_after
from stemdask.planning.resolve import resolve
from stemdask.planning.survey import survey as survey_of
from stemdask.store import lock, place
from stemdask.store.disk import refusals_in_words

Retry = Literal["failed", "overflow"]


def run(
    config: str | Path | Mapping[str, Any],
    *,
    output: str | Path | None = None,
    retry: Retry | None = None,
    fresh: bool = False,
    progress: bool | Report = False,
) -> Path:
    """Analyse all frames of an input into a zarr store; continue where an earlier run stopped.

    Parameters
    ----------
    config
        Path of a YAML file, or the mapping that one holds.
    output
        Store to write instead of the config's.
    retry
        Process again the blocks with frames of this status: ``failed``, or ``overflow`` with larger capacities.
    fresh
        Start over; a store that is there already is kept beside the new one.
    progress
        Show it on standard error, or call this about twice a second.

    Returns
    -------
    Path
        The store.

    Raises
    ------
    ConfigError, InputError
        Before anything is written.
    StoreError
        The output can't be used.
    Busy
        Another run is writing the store.
    Stopped
        By SIGTERM or Ctrl-C; all finished blocks are kept.
    StorageError, ClusterError, TooManyFailures
        The run can't continue; all finished blocks are kept.

    Examples
    --------
    >>> import stemdask as sd
    >>> sd.run({"input": {"path": "stack.npy"}, "output": "again.zarr", "cluster": {"kind": "inline"}}).name
    'again.zarr'
    """
    document = Document(dict(config)) if isinstance(config, Mapping) else read(config)
    if output is not None:
        document = dataclasses.replace(document, data=document.data | {"output": str(output)})
    return execute(document, retry=retry, fresh=fresh, progress=progress).store


def execute(
    document: Document,
    *,
    frames: str | None = None,
    blocks: str | None = None,
    retry: str | None = None,
    fresh: bool = False,
    progress: bool | Report = False,
) -> Outcome:
    """Do what `run` does, for the command line.

    Parameters
    ----------
    document
        The config as written.
    frames, blocks
        Do a part only, "first:last+1", whole blocks; other runs may do other blocks at the same time. A last run
        without either ends the store.
    retry, fresh, progress
        As for `run`.
    """
    if retry not in (None, "failed", "overflow"):
        raise ConfigError("not a status to retry", where="--retry", value=retry, allowed="failed, overflow")
    resolved = resolve(document, fresh=fresh)
    store = place.path_of(resolved.config.output)
    place.is_taken(store)
    for warning in resolved.source.warnings if progress is True else ():
        sys.stderr.write(f"warning: {warning}\n")
    if progress is True:
        tell_of_compiling()
    subset = frames is not None or blocks is not None
    if subset and (fresh or retry):
        raise ConfigError("--fresh and --retry apply to a whole run", allowed="--frames or --blocks alone")
    if subset and isinstance(resolved.config.cluster, Batch | Allocation):
        raise ConfigError(
            "a part of a run can only be processed here, without submitting jobs",
            where="cluster.kind",
            value=resolved.config.cluster.kind,
            allowed="inline, threads, processes",
        )
    # What comes once before and after gives the same bits on any number of cores.
    with refusals_in_words(store), _reported(progress) as report, Stop() as stop, threadpool_limits(1):
        missing = place.missing_folders(store)
        directory = place.open_run_directory(store)
        with (
            lock.driving(directory, shared=subset) as epoch,
            place.left_as_found(store, () if subset else missing),
            logged(directory / "log"),
            told(resolved.config.cluster, store, stop),
        ):
            with lock.setting_up(directory):
                plan, known = set_up(resolved, store, retry=retry, fresh=fresh, sweep=not subset)
            driver = Driver(plan, epoch, resolved.config.cluster, stop, report, known)
            return driver.go(chosen(plan, frames, blocks), finish=not subset)


def tell_of_compiling() -> None:
    """Say why the first command on a machine takes longer, before it does."""
    if not were_compiled():
        sys.stderr.write("The first run on a machine compiles its kernels, which takes one to two minutes.\n")


def plan(document: Document) -> list[tuple[str, str]]:
    """Say what a run would take, without writing anything."""
    resolved = resolve(document)
    survey = survey_of(resolved)
    drawn = draw(resolved, survey, place.path_of(resolved.config.output))
    apart = resolved.config.cluster.kind not in ("inline", "threads")
    cost = estimate(drawn, survey, seconds_after(resolved, drawn, survey), apart=apart)
    capacities = ", ".join(f"{n} {dim}s" for dim, n in drawn.sizes.items() if dim in RAGGED)
    rows = [
        ("store", drawn.store),
        ("frames", str(cost.frames)),
        ("blocks", f"{cost.blocks} of {drawn.block_frames} frames"),
        ("capacity per frame", capacities or "not needed"),
        ("analyses", ", ".join(step.name for step in drawn.steps)),
        ("memory", f"{cost.worker_bytes / 2**30:.2g} GiB per worker"),
        ("disk", f"{cost.store_bytes / 2**20:.3g} MiB at most, {cost.files} files"),
        ("time", f"{_duration(cost.minutes)} with one worker"),
    ]
    cluster = resolved.config.cluster
    if why := settled(cluster, drawn, cost.frames)[1]:
        rows.append(("workers", why))
    if isinstance(cluster, Batch):
        rows.append(
            ("job", f"{gib(job_bytes(cluster, drawn.limits.memory))}, {max(cluster.cores, cluster.per_job)} cores")
        )
        rows.append(("walltime", too_long(cluster.walltime, drawn.block_frames, survey.seconds) or cluster.walltime))
    return rows


def _duration(minutes: float) -> str:
    return f"{minutes:.3g} minutes" if minutes >= 1 else f"{max(1, round(60 * minutes))} s"


@contextlib.contextmanager
def _reported(progress: bool | Report) -> Iterator[Report | None]:
    if progress is True:
        with reporter() as report:
            yield report
    else:
        yield progress or None
