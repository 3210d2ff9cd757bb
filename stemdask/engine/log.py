"""The log of a run, beside its store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

#: Environment variable that tells a worker where the log of its run is.
LOG = "STEMDASK_LOG"


class RunLog(logging.FileHandler):
    """Adds lines to the log; the driver and its workers share the file. A log that can't be written ends nothing."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, delay=True)
        self.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop what can't be written, such as on a full disk."""


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
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
