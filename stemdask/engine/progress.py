"""How far a run is, with its rate and the time left, and plain lines that say so."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TextIO, TypeAlias

from stemdask.model import FrameStatus


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands."""

    done: int
    """Frames on disk, with those of earlier runs."""
    total: int
    fresh: int
    """Frames done by this run."""
    seconds: float
    """Since the first block was handed out."""
    counts: Mapping[FrameStatus, int] = field(default_factory=dict)
    """Frames of this run by status."""
    workers: int = 1
    note: str = ""
    """What the run waits for or is busy with; "" while blocks are done."""
    note_seconds: float = 0.0
    """How long it has been busy with that; 0 where it is waiting."""

    @property
    def rate(self) -> float:
        """Frames per second; NaN before the first block."""
        return self.fresh / self.seconds if self.fresh and self.seconds > 0 else float("nan")

    @property
    def said(self) -> str:
        """What the run waits for, or is busy with and for how long."""
        return f"{self.note}, {_clock(self.note_seconds)}" if self.note_seconds >= 1.0 else self.note

    @property
    def seconds_left(self) -> float:
        """Estimate of what is left; NaN before the first block."""
        return (self.total - self.done) / self.rate


Report: TypeAlias = Callable[[Progress], None]


class LineReport:
    """Plain lines, at most one every some seconds and one for each change of what is waited for."""

    def __init__(self, stream: TextIO | None = None, every: float = 10.0) -> None:
        self._stream = stream or sys.stderr
        self._every = every
        self._next = 0.0
        self._note = ""
        self._last = ""

    def __enter__(self) -> LineReport:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def __call__(self, progress: Progress) -> None:
        """Write a line if it is time."""
        now = time.monotonic()
        finished = progress.done == progress.total and not progress.note
        if now < self._next and progress.note == self._note and not finished:
            return
        self._next, self._note = now + self._every, progress.note
        line = f"{progress.done}/{progress.total} frames  {summary(progress)}".rstrip()
        line += f"  ({progress.said})" if progress.note else ""
        if line != self._last:
            self._last = line
            self._stream.write(line + "\n")
            self._stream.flush()


def summary(progress: Progress) -> str:
    """Return the rate, the time left and what went wrong in a few words."""
    parts = []
    if progress.fresh:
        parts.append(f"{progress.rate:.3g} frames/s")
        if progress.done < progress.total:
            parts.append(f"{_clock(progress.seconds_left)} left")
    worth_saying = (FrameStatus.FAILED, FrameStatus.OVERFLOW, FrameStatus.EMPTY)
    parts += [f"{n} {status.name.lower()}" for status in worth_saying if (n := progress.counts.get(status))]
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
