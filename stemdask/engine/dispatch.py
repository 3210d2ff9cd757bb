"""A sliding window of blocks over a pool of workers: the driver's memory doesn't grow with the number of frames."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from stemdask.analyses.evaluation import FrameResult
from stemdask.engine.block import Ack
from stemdask.engine.clock import Clock
from stemdask.engine.signals import Stop
from stemdask.errors import ClusterError, StemdaskError
from stemdask.model import Block

log = logging.getLogger(__name__)

#: Times that a block is handed out before the run ends.
TRIES = 3
#: Seconds between two looks at the pool.
TICK = 0.5


class WorkerDied(Exception):
    """The workers that held a block died."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a pool must know of its run."""

    store: str
    epoch: int
    isolate: bool
    frame_memory: int
    """Bytes that the process of a frame may take."""
    give_up: Callable[[], bool]
    """True when blocks in flight are to be abandoned."""
    comes_back: Callable[[], bool] = lambda: False
    """True when this driver was stopped and will be started again: jobs that wait in a queue may go on waiting."""
    known: Mapping[int, FrameResult] = field(default_factory=dict)
    """Results of frames that were tried at planning, for workers in this process; others do these frames again."""


@dataclass(frozen=True, slots=True)
class Done:
    """A block that came back, with what was done or with what went wrong."""

    block: Block
    ack: Ack | None = None
    error: BaseException | None = None


class Pool(Protocol):
    """Workers of one kind. Entered before the first block, left after the last; entering doesn't wait for workers."""

    workers: int
    """Workers wanted."""
    window: int
    """Blocks handed out at a time."""

    def __enter__(self) -> Pool:
        """Start."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Stop, whatever is still running."""
        ...

    def submit(self, block: Block, isolate: bool | None) -> None:
        """Hand out a block."""
        ...

    def collect(self, seconds: float) -> Iterable[Done]:
        """Return the blocks that came back, waiting so long for the first at most."""
        ...

    def supervise(self) -> str:
        """Restore lost workers; return what the run is waiting for, or "" when all is well.

        Raises ClusterError where there have been no workers for too long.
        """
        ...

    def alive(self) -> int:
        """Return how many workers there are now."""
        ...


def dispatch(
    pool: Pool,
    blocks: Iterable[Block],
    stop: Stop,
    done: Callable[[Ack], None],
    tick: Callable[[str], None],
    patience: float,
) -> None:
    """Hand out all blocks and report each that is on disk.

    Parameters
    ----------
    pool
        Entered.
    blocks
        Taken one by one, as workers become free.
    stop
        When it is requested no more blocks are handed out, and what is in flight may end until it is overdue.
    done
        Called with the acknowledgement of each block.
    tick
        Called about twice a second with what the pool is waiting for.
    patience
        Seconds without any block coming back, though there are workers, after which the run ends.

    Raises
    ------
    StemdaskError
        A block can't be done: the disk is full, an analysis breaks its declaration, workers die of it.
    """
    waiting: Iterator[Block] = iter(blocks)
    returned: deque[Block] = deque()
    tries: dict[int, int] = {}
    in_flight = 0
    clock = Clock()
    last_return = clock.seconds
    while True:
        while not stop.requested and in_flight < pool.window:
            block = returned.popleft() if returned else next(waiting, None)
            if block is None:
                break
            # A block that took its workers with it is tried in a helper, which tells the guilty frame.
            pool.submit(block, True if block.index in tries else None)
            in_flight += 1
        if in_flight == 0 or (stop.requested and (stop.overdue() or pool.alive() == 0)):
            return
        for back in pool.collect(TICK):
            in_flight -= 1
            last_return = clock.seconds
            if back.ack is not None:
                tries.pop(back.block.index, None)
                done(back.ack)
            elif not isinstance(back.error, InterruptedError):
                tries[back.block.index] = tries.get(back.block.index, 0) + 1
                _raise_if_hopeless(back, tries[back.block.index])
                returned.append(back.block)
        note = pool.supervise()
        clock.tick()
        if note:
            last_return = clock.seconds
        elif clock.seconds - last_return > patience:
            raise ClusterError(
                f"no block was returned for {patience:.0f} s",
                remedy="If frames run without limits.isolate, one may never end; with it, it would be stopped in time",
            )
        tick(note)


def _raise_if_hopeless(back: Done, tries: int) -> None:
    if isinstance(back.error, StemdaskError) and not isinstance(back.error, ClusterError):  # another worker may do it
        raise back.error
    log.warning("block %d was returned unfinished (%d of %d): %r", back.block.index, tries, TRIES, back.error)
    if tries < TRIES:
        return
    kind = ClusterError if isinstance(back.error, WorkerDied | ClusterError) else StemdaskError
    raise kind(
        f"block {back.block.index} (frames {back.block.start} to {back.block.stop - 1}) failed {tries} times: "
        f"{type(back.error).__name__}: {back.error}",
        remedy="See the log in the run directory; running again continues",
    ) from back.error
