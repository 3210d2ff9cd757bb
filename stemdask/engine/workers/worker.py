"""Loaded by each Dask worker as it starts."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from stemdask.engine.log import LOG, RunLog
from stemdask.engine.task import close_helpers
from stemdask.engine.workers import leaving, usage


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the driver, which lets blocks in flight end, and the terminal to its progress."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leaving.arrange(worker)
    if path := os.environ.get(LOG):
        handler = RunLog(path)
        for name in ("distributed", "stemdask"):
            logger = logging.getLogger(name)
            logger.handlers = [handler]
            logger.propagate = False
            logger.setLevel(logging.WARNING)


def dask_teardown(worker: Any) -> None:
    """End at once: what was done is on disk, and an orderly end of the interpreter takes seconds."""
    close_helpers()
    usage.tell(str(worker.name))
    logging.shutdown()
    os._exit(0)
