"""Loaded by each Dask worker as it starts."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any

from stemdask.engine.log import LOG, RunLog
from stemdask.engine.workers import leaving, usage

#: What does blocks; imported with the first of them, so that a worker that waits for work is small.
_TASK = "stemdask.engine.task"


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
    if (task := sys.modules.get(_TASK)) is not None:
        task.close_helpers()
    usage.tell(str(worker.name))
    logging.shutdown()
    os._exit(0)
