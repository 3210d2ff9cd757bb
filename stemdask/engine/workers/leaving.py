"""A worker that must leave: it finishes the block at hand where there is time for it, takes no other, and goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

#: Environment variables: the seconds after which a worker leaves, before the walltime of its job ends, and when that
#: job began, by the clock that counts from the start of its node and that nobody sets.
LEAVE_AFTER, BEGAN = "STEMDASK_LEAVE_AFTER", "STEMDASK_BEGAN"
_UPTIME = Path("/proc/uptime")
_LOOK_SECONDS = 0.2
#: Seconds that the scheduler may take to let a worker go; a queue kills 30 s after its SIGTERM, or sooner.
_FAREWELL_SECONDS = 3.0


def arrange(worker: Any) -> None:
    """Let a Dask worker that is a job leave in order.

    It ends its block first on SIGUSR1, which a queue may send before the walltime, and when its time is over; it goes
    at once on SIGTERM, which comes when the job is cancelled or preempted. Either way it takes leave of the scheduler,
    so that its blocks go elsewhere and none of them is suspected of having killed it; but for one that was warned and
    not done when SIGTERM came, since no walltime may be long enough for it.
    """
    seconds = os.environ.get(LEAVE_AFTER)
    if seconds is None:
        return

    def then(go: Callable[[Any], Awaitable[None]]) -> Callable[..., None]:
        return lambda *_: worker.loop.add_callback(go, worker)

    signal.signal(signal.SIGUSR1, then(_leave))
    for last in (signal.SIGTERM, signal.SIGUSR2):  # Grid Engine's notice of a kill is the second
        signal.signal(last, then(_go))
    worker.loop.call_later(max(0.0, float(seconds) - _age()), then(_leave))


def _age() -> float:
    """Return the seconds since the job of this worker began: it may have waited for its driver, and started slowly."""
    try:
        return max(0.0, float(_UPTIME.read_text().split()[0]) - float(os.environ[BEGAN]))
    except (OSError, KeyError, ValueError, IndexError):
        return 0.0


async def _leave(worker: Any) -> None:
    from distributed.core import Status

    while worker.status == Status.init:  # its time may be over before it is there
        await asyncio.sleep(_LOOK_SECONDS)
    if worker.status != Status.running:
        return
    worker.status = Status.paused  # the scheduler sends no more blocks
    while worker.state.executing_count:
        await asyncio.sleep(_LOOK_SECONDS)
    end = time.monotonic() + _FAREWELL_SECONDS
    await asyncio.sleep(_LOOK_SECONDS)
    while worker.data and time.monotonic() < end:  # until the driver knows of the last block
        await asyncio.sleep(_LOOK_SECONDS)
    await _go(worker)


async def _go(worker: Any) -> None:
    from distributed.core import Status

    if worker.status not in (Status.running, Status.paused):
        return
    cut = worker.status == Status.paused and worker.state.executing_count > 0
    if cut:
        log.warning("worker %s ran out of walltime before its block was done", worker.name)
    with contextlib.suppress(OSError, TimeoutError):
        farewell = worker.scheduler.unregister(
            address=worker.address, expected=not cut, close=False, stimulus_id="leaving"
        )
        await asyncio.wait_for(farewell, _FAREWELL_SECONDS)
    await worker.close(nanny=False, executor_wait=False, reason="leaving")
