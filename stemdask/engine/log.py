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
    ours = logging.getLogger("stemdask")
    # A handler for each: Dask's clusters raise the level of those that they find on their own logger.
    handlers = [(logger, RunLog(path)) for logger in (ours, logging.getLogger("distributed"))]
    for logger, handler in handlers:
        logger.addHandler(handler)
    level = ours.level
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(level)
        for logger, handler in handlers:
            logger.removeHandler(handler)
            handler.close()
