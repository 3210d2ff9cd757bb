"""A whole run: plan, lay out or continue, dispatch, finish."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stemdask import config as configs
from stemdask import plan as plans
from stemdask.analyses import registry
from stemdask.cluster_config import Cluster
from stemdask.engine import lock
from stemdask.engine.block import Ack
from stemdask.engine.dispatch import Job, Pool, dispatch
from stemdask.engine.isolate import START_SECONDS
from stemdask.engine.log import RunLog
from stemdask.engine.pools import pool_of
from stemdask.engine.progress import Progress, Report, reporter
from stemdask.engine.signals import Stop
from stemdask.errors import ConfigError, StemdaskError, Stopped, StoreError, TooManyFailures
from stemdask.model import Block, FrameStatus, Plan
from stemdask.store import constants, grow, layout, place, statuses
from stemdask.store.stack import StoreStack
from stemdask.store.writer import storage_error, sync_file_system

log = logging.getLogger(__name__)

Retry = Literal["failed", "overflow"]
_BAD = (FrameStatus.FAILED, FrameStatus.OVERFLOW)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind."""

    store: Path
    state: str
    """``complete``, or ``partial`` while frames are pending."""
    counts: Mapping[FrameStatus, int]
    """Frames of the store by status."""
    fresh: int
    """Frames done by this run."""
    seconds: float

    @property
    def complete(self) -> bool:
        """No frame is pending, and what comes once after is done."""
        return self.state == "complete"

    def sentence(self) -> str:
        """Return it as a line for a terminal."""
        found = ", ".join(f"{n} {status.name.lower()}" for status, n in self.counts.items() if n)
        return f"{self.state}: {found}; {self.fresh} frames done in {self.seconds:.1f} s"

    @property
    def exit_code(self) -> int:
        """0, or 3 when frames have no results."""
        return 3 if any(self.counts[status] for status in _BAD) else 0


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
        Do again the blocks that hold frames of this status: ``failed``, or ``overflow`` with room for them.
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
        The run can't go on; all finished blocks are kept.
    """
    document = configs.Document(dict(config)) if isinstance(config, Mapping) else configs.read(config)
    if output is not None:
        document = dataclasses.replace(document, data=document.data | {"output": str(output)})
    return execute(document, retry=retry, fresh=fresh, progress=progress).store


def execute(
    document: configs.Document,
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
    resolved = plans.resolve(document)
    store = Path(resolved.config.output).expanduser().absolute()
    place.is_taken(store)
    subset = frames is not None or blocks is not None
    if subset and (fresh or retry):
        raise ConfigError("a part of a run can't be started over or retried", allowed="--frames or --blocks alone")
    try:
        with _reported(progress) as report, Stop() as stop:
            directory = place.open_run_directory(store)
            with lock.driving(directory, shared=subset) as epoch, _logged(directory / "log"):
                with lock.setting_up(directory):
                    plan = _set_up(resolved, store, retry=retry, fresh=fresh, sweep=not subset)
                chosen = _chosen(plan, frames, blocks)
                return _Run(plan, epoch, resolved.config.cluster, stop, report).go(chosen, finish=not subset)
    except OSError as error:
        if error.errno in _FULL:
            raise storage_error(error, store) from error
        raise


def plan(document: configs.Document) -> list[tuple[str, str]]:
    """Say what a run would take, without writing anything."""
    resolved = plans.resolve(document)
    survey = plans.survey(resolved)
    drawn = plans.draw(resolved, survey, Path(resolved.config.output).expanduser().absolute())
    cost = plans.estimate(drawn, survey)
    rooms = ", ".join(f"{n} {dim}s" for dim, n in drawn.sizes.items() if dim != "frame")
    return [
        ("store", drawn.store),
        ("frames", str(cost.frames)),
        ("blocks", f"{cost.blocks} of {drawn.block_frames} frames"),
        ("room a frame", rooms or "no lists"),
        ("analyses", ", ".join(step.name for step in drawn.steps)),
        ("memory", f"{cost.worker_bytes / 2**30:.2g} GiB a worker"),
        ("disk", f"{cost.store_bytes / 2**20:.3g} MiB at the most, {cost.files} files"),
        ("time", f"{cost.minutes:.3g} minutes with one worker"),
    ]


class _Run:
    """The dispatch of one driver: counts, progress, the end."""

    def __init__(self, plan: Plan, epoch: int, cluster: Cluster, stop: Stop, progress: Report | None) -> None:
        self._plan = plan
        self._epoch = epoch
        self._cluster = cluster
        self._stop = stop
        self._progress = progress
        self._counts: Counter[FrameStatus] = Counter()
        self._reasons: Counter[str] = Counter()
        self._begun = self._started = time.monotonic()
        self._pool: Pool | None = None
        self._done = 0

    def go(self, blocks: Sequence[Block], *, finish: bool) -> Outcome:
        store = Path(self._plan.store)
        found = statuses.read_statuses(store)
        todo = statuses.unfinished(found, blocks)
        state = layout.open_group(store).attrs["state"]
        self._done = len(found) - sum(block.stop - block.start for block in todo)
        if todo:
            if state != "running":
                layout.set_state(store, "running", f"continued with {len(todo)} blocks")
            self._dispatch(todo)
        if todo or state != "complete":
            state = self._end(finish=finish)
        counts = statuses.count(statuses.read_statuses(store))
        if self._stop.requested and (state != "complete"):
            self._raise_stopped()
        self._tell("")
        return Outcome(store, state, counts, self._counts.total(), time.monotonic() - self._begun)

    def _dispatch(self, todo: Sequence[Block]) -> None:
        limits = self._plan.limits
        job = Job(self._plan.store, self._epoch, limits.isolate, limits.memory, self._stop.overdue)
        self._tell("starting workers")
        try:
            with pool_of(self._cluster, job, len(todo)) as self._pool:
                self._started = time.monotonic()
                dispatch(self._pool, todo, self._stop, self._take, self._tell, self._patience())
        except BaseException:
            with contextlib.suppress(OSError):
                layout.set_state(self._plan.store, "partial", "interrupted")
            raise

    def _patience(self) -> float:
        """Return the seconds that the blocks in flight can take, were each frame to use its limit."""
        return START_SECONDS + 3 * self._plan.block_frames * self._plan.limits.seconds

    def _take(self, ack: Ack) -> None:
        self._counts.update(ack.counts)
        self._done += sum(ack.counts.values())
        self._reasons.update(ack.reasons)
        bad = self._counts[FrameStatus.FAILED]
        if bad > self._plan.limits.max_failed * self._plan.source.n_frames:
            reasons = "; ".join(reason for reason, _ in self._reasons.most_common(3))
            raise TooManyFailures(
                f"{bad} of {self._counts.total()} frames failed: {reasons}",
                where=self._plan.store,
                allowed=f"limits.max_failed {self._plan.limits.max_failed:g} of all frames",
                remedy="Mend the cause and run again with --retry failed, or raise limits.max_failed",
            )

    def _tell(self, note: str) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    done=self._done,
                    total=self._plan.source.n_frames,
                    fresh=self._counts.total(),
                    seconds=time.monotonic() - self._started,
                    counts=dict(self._counts),
                    workers=self._pool.alive() if self._pool is not None else 0,
                    note=note or ("ending" if self._stop.requested else ""),
                )
            )

    def _end(self, *, finish: bool) -> str:
        """Do what comes once after, when every frame is done, and write the state."""
        store = Path(self._plan.store)
        pending = statuses.count(statuses.read_statuses(store))[FrameStatus.PENDING]
        if pending or not finish:
            with lock.setting_up(layout.run_directory(store)):
                layout.set_state(store, "partial", f"did {self._counts.total()} frames, {pending} to do")
            return "partial"
        self._tell("finishing")
        stack = StoreStack(self._plan)
        for step in self._plan.steps:
            analysis = registry.get(self._plan.source.kind, step.name)
            if analysis.finish is not None:
                analysis.finish(stack, step.params)
                stack.check_written(step)
        sync_file_system(store)
        layout.set_state(store, "complete", f"did {self._counts.total()} frames")
        sync_file_system(store)
        return "complete"

    def _raise_stopped(self) -> None:
        name = self._stop.signal.name if self._stop.signal is not None else ""
        stopped = Stopped(
            f"stopped by {name} with {self._done} of {self._plan.source.n_frames} frames done",
            where=self._plan.store,
            remedy="Run again to continue",
        )
        if name == "SIGINT":
            stopped.exit_code = 130
        raise stopped


def _set_up(resolved: plans.Resolved, store: Path, *, retry: str | None, fresh: bool, sweep: bool) -> Plan:
    """Lay out the store or continue the one that is there; return the plan that fits it."""
    place.recover(store, sweep=sweep)
    if place.is_taken(store) and fresh:
        log.info("kept the old store as %s", place.move_aside(store))
    if place.is_taken(store):
        plan = _continued(resolved, store)
    else:
        survey = plans.survey(resolved)
        plan = plans.draw(resolved, survey, store)
        place.install(lambda path: layout.create(plan, survey.prepared, path), store)
    if retry == "overflow":
        plan = grow.make_room(plan)
    if retry == "failed":
        _set_pending(plan, FrameStatus.FAILED)
    new = layout.run_directory(store) / "plan.new"
    plans.save(plan, new)
    new.replace(layout.run_directory(store) / "plan.json")
    return plan


def _continued(resolved: plans.Resolved, store: Path) -> Plan:
    """Return the plan of a store that is there, with its sizes and the limits of the config."""
    try:
        stored = plans.load(layout.run_directory(store) / "plan.json")
    except StemdaskError:  # the run directory is gone, or of another version
        stored = plans.draw(resolved, plans.survey(resolved), store)
    wanted = resolved.config.limits
    limits = dataclasses.replace(
        stored.limits,
        isolate=wanted.isolate,
        max_failed=wanted.max_failed,
        seconds=stored.limits.seconds if wanted.frame_seconds == "auto" else wanted.frame_seconds,
        memory=stored.limits.memory if wanted.frame_memory == "auto" else wanted.frame_memory,
    )
    plan = dataclasses.replace(
        stored,
        source=resolved.source,
        steps=resolved.steps,
        store=str(store),
        limits=limits,
        fingerprint=resolved.fingerprint,
        config=resolved.text,
    )
    place.check_same(plan, store)
    plan = layout.fitted(plan)
    try:
        constants.read_constants(plan)
    except StoreError:
        constants.write_constants(plan, plans.survey(resolved).prepared)
    return plan


def _set_pending(plan: Plan, status: FrameStatus) -> None:
    found = statuses.read_statuses(plan.store)
    again = [block for block in plans.blocks(plan) if (found[block.start : block.stop] == status).any()]
    statuses.set_pending(plan.store, again)


def _chosen(plan: Plan, frames: str | None, blocks: str | None) -> Sequence[Block]:
    """Return the blocks of a part; frames must be those of whole blocks, since two runs may not share a chunk."""
    whole = plans.blocks(plan)
    if blocks is not None:
        first, stop = _range(blocks, "--blocks", len(whole))
        whole = whole[first:stop]
    if frames is None:
        return whole
    size, n = plan.block_frames, plan.source.n_frames
    start, stop = _range(frames, "--frames", n)
    if start % size or (stop % size and stop != n):
        raise ConfigError(
            "a part must hold whole blocks",
            where="--frames",
            value=frames,
            allowed=f"multiples of {size}, for example {start // size * size}:{min(-(-stop // size) * size, n)}",
        )
    return [block for block in whole if start <= block.start < stop]


def _range(text: str, where: str, n: int) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", text)
    start, stop = (int(match[1] or 0), min(int(match[2] or n), n)) if match else (0, 0)
    if start >= stop:
        raise ConfigError("not a part of the run", where=where, value=text, allowed=f"first:last+1 within 0:{n}")
    return start, stop


@contextlib.contextmanager
def _reported(progress: bool | Report) -> Iterator[Report | None]:
    if progress is True:
        with reporter() as report:
            yield report
    else:
        yield progress or None


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Keep what stemdask and Dask say of a run beside its store."""
    handler = RunLog(path)
    loggers = [logging.getLogger(name) for name in ("stemdask", "distributed")]
    for logger in loggers:
        logger.addHandler(handler)
    level = loggers[0].level
    loggers[0].setLevel(logging.INFO)
    try:
        yield
    finally:
        loggers[0].setLevel(level)
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
