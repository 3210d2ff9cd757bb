"""One driver at work: its blocks dispatched, its progress told, its end written."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stemdask.analyses import registry
from stemdask.analyses.evaluation import FrameResult
from stemdask.config.clusters import Cluster
from stemdask.engine import finishing
from stemdask.engine.block import Ack
from stemdask.engine.dispatch import Job, Pool, dispatch
from stemdask.engine.pools import pool_of, settled
from stemdask.engine.progress import Progress, Report
from stemdask.engine.signals import Stop
from stemdask.errors import StemdaskError, Stopped, TooManyFailures
from stemdask.fence.fence import START_SECONDS
from stemdask.model import Block, FrameStatus, Plan
from stemdask.store import finished, layout, lock, metadata, statuses
from stemdask.store.disk import sync_file_system
from stemdask.store.finished import Ingredients

log = logging.getLogger(__name__)

_BAD = (FrameStatus.FAILED, FrameStatus.OVERFLOW)


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
        frames = "frame" if self.fresh == 1 else "frames"
        return f"{self.state}: {found}; {self.fresh} {frames} done in {self.seconds:.1f} s"

    @property
    def exit_code(self) -> int:
        """0, or 3 when frames have no results."""
        return 3 if any(self.counts[status] for status in _BAD) else 0


class Driver:
    """The dispatch of one driver: counts, progress, the end."""

    def __init__(
        self,
        plan: Plan,
        epoch: int,
        cluster: Cluster,
        stop: Stop,
        progress: Report | None,
        known: Mapping[int, FrameResult],
    ) -> None:
        self._plan = plan
        self._epoch = epoch
        self._cluster = cluster
        self._stop = stop
        self._progress = progress
        self._known = known
        self._counts: Counter[FrameStatus] = Counter()
        self._reasons: Counter[str] = Counter()
        self._begun = self._started = time.monotonic()
        self._pool: Pool | None = None
        self._done = self._failed_before = 0

    def go(self, blocks: Sequence[Block], *, finish: bool) -> Outcome:
        """Do the blocks that aren't done yet, and what comes once after unless other runs do other blocks."""
        store = Path(self._plan.store)
        found = statuses.read_statuses(store)
        todo = statuses.unfinished(found, blocks)
        known = metadata.attributes(store)
        state = str(known["state"])
        self._done = len(found) - sum(block.stop - block.start for block in todo)
        failed = found == FrameStatus.FAILED
        for block in todo:
            failed[block.start : block.stop] = False
        self._failed_before = int(np.count_nonzero(failed))
        if todo:
            self._check_failures()
            if state != "running":
                with lock.setting_up(layout.run_directory(store)):
                    layout.set_state(store, "running", f"continued with {len(todo)} blocks")
            self._dispatch(todo)
        if todo or state != "complete":
            state = self._end(finish=finish)
            found = statuses.read_statuses(store)
        counts = statuses.count(found)
        if self._stop.requested and (state != "complete"):
            self._raise_stopped()
        self._tell("")
        return Outcome(store, state, counts, self._counts.total(), time.monotonic() - self._begun)

    def _dispatch(self, todo: Sequence[Block]) -> None:
        limits = self._plan.limits
        stop = self._stop
        job = Job(
            self._plan.store, self._epoch, limits.isolate, limits.memory, stop.overdue, stop.comes_back, self._known
        )
        left = sum(frame not in self._known for block in todo for frame in range(block.start, block.stop))
        cluster, why = settled(self._cluster, self._plan, left)
        if why:
            log.info("chosen: %s", why)
        self._tell(why or "starting workers")
        try:
            with pool_of(cluster, job, len(todo)) as self._pool:
                self._started = time.monotonic()
                dispatch(self._pool, todo, self._stop, self._take, self._tell, self._patience())
        except BaseException:
            self._cut_short("interrupted")
            raise

    def _patience(self) -> float:
        """Return the seconds that the blocks in flight can take, were each frame to use its limit."""
        return START_SECONDS + 3 * self._plan.block_frames * self._plan.limits.seconds

    def _take(self, ack: Ack) -> None:
        self._counts.update(ack.counts)
        self._done += sum(ack.counts.values())
        self._reasons.update(ack.reasons)
        self._check_failures()

    def _check_failures(self) -> None:
        """End a run of whose store too many frames failed, over all runs."""
        bad = self._failed_before + self._counts[FrameStatus.FAILED]
        if bad > self._plan.limits.max_failed * self._plan.source.n_frames:
            reasons = "; ".join(reason.removesuffix(".") for reason, _ in self._reasons.most_common(3))
            raise TooManyFailures(
                f"{bad} of {self._plan.source.n_frames} frames failed" + (f": {reasons}" if reasons else ""),
                where=self._plan.store,
                allowed=f"limits.max_failed {self._plan.limits.max_failed:g} of all frames",
                remedy="Fix the cause and run again with --retry failed, or raise limits.max_failed",
            )

    def _tell(self, note: str, seconds: float = 0.0) -> None:
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
                    note_seconds=seconds,
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
        done, ingredients = finished.read(metadata.attributes(store)), Ingredients(self._plan)
        kind = self._plan.source.kind
        todo = [
            (step, made_of)
            for step in self._plan.steps
            if registry.get(kind, step.name).finish is not None
            and not (
                (made_of := ingredients.of(step.name)) and step.name in done and done[step.name].made_of == made_of
            )
        ]
        for number, (step, made_of) in enumerate(todo, 1):
            note = f"finishing {step.name} over all frames, {number} of {len(todo)}"
            self._tell(note)
            try:
                finishing.finish(self._plan, step, made_of, partial(self._is_given_up, note, time.monotonic()))
            except InterruptedError:
                return self._cut_short(f"stopped while '{step.name}' was finishing")
            except StemdaskError:
                self._cut_short(f"'{step.name}' failed over all frames")
                raise
        sync_file_system(store)
        layout.set_state(store, "complete", f"did {self._counts.total()} frames")
        sync_file_system(store)
        return "complete"

    def _is_given_up(self, note: str, start: float) -> bool:
        """Say what the run is busy with, and tell whether it is to be abandoned; asked about twice a second."""
        self._tell(note, time.monotonic() - start)
        return self._stop.overdue()

    def _cut_short(self, event: str) -> str:
        with contextlib.suppress(StemdaskError):  # a full disk: the state is as it was, which isn't complete
            layout.set_state(self._plan.store, "partial", event)
        return "partial"

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
