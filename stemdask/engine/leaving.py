"""A worker that must leave: it finishes the block at hand, takes no other, and goes."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

#: Environment variable with the seconds after which a worker leaves, before the walltime of its job ends.
LEAVE_AFTER = "STEMDASK_LEAVE_AFTER"
_LOOK_SECONDS = 0.2


def arrange(worker: Any) -> None:
    """Let a Dask worker leave on SIGUSR1, which SLURM sends before the walltime, and when its time is over."""

    def leave() -> None:
        worker.loop.add_callback(_leave, worker)

    signal.signal(signal.SIGUSR1, lambda *_: leave())
    if seconds := os.environ.get(LEAVE_AFTER):
        worker.loop.call_later(float(seconds), leave)


async def _leave(worker: Any) -> None:
    from distributed.core import Status

    if worker.status != Status.running:
        return
    worker.status = Status.paused  # the scheduler sends no more blocks, and takes back those that wait
    while worker.state.executing_count:
        await asyncio.sleep(_LOOK_SECONDS)
    await worker.close(reason="leaving before the walltime")
