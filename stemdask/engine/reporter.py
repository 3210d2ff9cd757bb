"""Where a run shows how far it is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from stemdask.engine.progress import LineReport

if TYPE_CHECKING:
    from stemdask.engine.progress_bar import BarReport


def reporter(stream: TextIO | None = None) -> BarReport | LineReport:
    """Return a bar where the stream is a terminal, lines where it isn't."""
    stream = stream or sys.stderr
    if not stream.isatty():
        return LineReport(stream)
    from stemdask.engine.progress_bar import BarReport  # a log needs nothing of what draws it

    return BarReport(stream)
