"""A bar on a terminal that shows how far a run is."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from stemdask.engine.progress import Progress, summary


class BarReport:
    """A bar on a terminal; entered around the run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            console=Console(file=stream or sys.stderr),
            transient=False,
        )
        self._task = self._bar.add_task("frames", total=None)

    def __enter__(self) -> BarReport:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show where the run stands."""
        self._bar.update(
            self._task,
            description=progress.said or "frames",
            completed=progress.done,
            total=progress.total,
            summary=summary(progress),
        )


class _Rate(ProgressColumn):
    def render(self, task: Any) -> Text:
        return Text(task.fields.get("summary", ""))
