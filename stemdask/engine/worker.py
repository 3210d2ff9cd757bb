"""Loaded by each Dask worker as it starts."""

from __future__ import annotations

import signal
from typing import Any

from stemdask.engine.task import close_helpers


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the driver, which lets blocks in flight end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def dask_teardown(worker: Any) -> None:
    """End the helper with its worker."""
    close_helpers()
