"""What a worker of any kind does with a block that it is handed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from stemdask.analyses.evaluation import FrameResult, evaluate
from stemdask.engine.block import Ack, run_block
from stemdask.engine.isolate import Helper
from stemdask.errors import Stopped
from stemdask.model import Array, Block, Plan
from stemdask.planning import plan_file as plan_files
from stemdask.results.recall import Recalled, recall
from stemdask.store.constants import read_constants
from stemdask.store.layout import plan_file, run_directory
from stemdask.store.lock import read_epoch

_thread = threading.local()
_helpers: set[Helper] = set()
_guard = threading.Lock()


def do_block(
    store: str,
    block: Block,
    epoch: int,
    isolate: bool | None = None,
    give_up: Callable[[], bool] | None = None,
    known: Mapping[int, FrameResult] | None = None,
) -> Ack:
    """Do one block of a run, as its run directory describes it.

    Parameters
    ----------
    store
        Path of the store.
    block
        The block.
    epoch
        Of the driver that hands it out; a worker of an older driver writes nothing any more.
    isolate
        Use a helper process; as the plan says when absent.
    give_up
        Asked between frames; true abandons the block by InterruptedError.
    known
        Results of frames that were analysed already, while the run was planned.

    Raises
    ------
    Stopped
        Another driver has taken over.
    StorageError
        The file system refused a write.
    """
    plan, prepared = _load(store, epoch, _written(store))
    isolate = plan.limits.isolate if isolate is None else isolate
    recalled = recall(plan, block)
    frames = recalled.frames

    def results() -> Iterator[FrameResult]:
        tried = known or {}
        each = range(block.start, block.stop)
        fresh = analyse([index for index in each if index not in tried and index not in frames])
        for index in each:
            if give_up is not None and give_up():
                raise InterruptedError
            if index in tried:
                yield tried[index]
            elif index in frames:
                yield beyond(index, frames[index])
            else:
                yield next(fresh)

    def beyond(index: int, recalled: Recalled) -> FrameResult:
        """Analyse a frame beyond what is known of it, if that was found of the same frame."""
        result = next(analyse([index], recalled.values))
        return result if result.input_hash == recalled.input_hash else next(analyse([index]))

    def analyse(indices: Sequence[int], stored: Mapping[str, Array] | None = None) -> Iterator[FrameResult]:
        if isolate:
            return _helper(plan, give_up).each(indices, stored)
        return (evaluate(plan.source, plan.steps, prepared, index, stored) for index in indices)

    def check_epoch() -> None:
        if read_epoch(run_directory(store)) != epoch:
            raise Stopped("another run has taken over this store", where=store)

    return run_block(plan, block, results(), check_epoch, recalled.sums)


def close_helpers() -> None:
    """End the helper processes of this process."""
    with _guard:
        for helper in _helpers:
            helper.close()
        _helpers.clear()


@lru_cache(maxsize=1)
def _load(store: str, epoch: int, written: tuple[int, int]) -> tuple[Plan, dict[str, Array]]:
    plan = plan_files.load(plan_file(store))
    return plan, read_constants(plan)


def _written(store: str) -> tuple[int, int]:
    """Return what tells a plan from one that was there before; epochs start over where a run directory was removed."""
    try:
        status = plan_file(store).stat()
    except OSError:
        return 0, 0  # said by who loads it
    return status.st_ino, status.st_mtime_ns


def _helper(plan: Plan, give_up: Callable[[], bool] | None) -> Helper:
    """Return the helper of this thread; a new plan takes a new one."""
    current: tuple[Plan, Helper] | None = getattr(_thread, "helper", None)
    if current is not None and current[0] is plan and current[1] in _helpers:
        return current[1]
    helper = Helper(plan, give_up)
    with _guard:
        if current is not None:
            current[1].close()
            _helpers.discard(current[1])
        _helpers.add(helper)
    _thread.helper = plan, helper
    return helper
