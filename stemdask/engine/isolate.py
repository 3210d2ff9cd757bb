"""A bad frame harms only itself: the frames of a worker run behind the fence, with a memory and a time limit.

Whatever happens there (a signal, an exit, no memory, an endless loop, a hang that holds the interpreter lock) becomes
that frame's status and reason; the process is started again and the rest of the block goes on. Bisecting blocks by the
deaths of Dask workers was 25 times slower and blamed innocent frames.

Short frames go there several at a time, since a question and its answer take as long as a small structure. Whatever
goes wrong with one of several is found out by asking for them one by one.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from stemdask.analyses.evaluation import FrameResult, failed, result_of, results_of
from stemdask.fence.fence import COMPILE_SECONDS, START_SECONDS, Died, Overdue, Raised, lent, not_started
from stemdask.model import Array, FrameStatus, Plan

log = logging.getLogger(__name__)

_LOADS = 3
#: What frames that are asked for at once take, s, what their results hold, bytes, and how many they are at most.
_SECONDS_AT_ONCE, _BYTES_AT_ONCE, _MOST_AT_ONCE = 0.2, 8 * 2**20, 256


class Helper:
    """The helper process of one thread of a worker.

    Parameters
    ----------
    plan
        The run; its store is laid out and its run directory holds the plan.
    give_up
        Asked about twice a second while a frame runs; true abandons it by InterruptedError.
    """

    def __init__(self, plan: Plan, give_up: Callable[[], bool] | None = None) -> None:
        self._plan = plan
        self._lending = contextlib.ExitStack()
        self._fence = self._lending.enter_context(lent(give_up))
        self._good_frame: int | None = None
        self._is_loaded = self._is_warm = False
        """Warm: the process that outlives bad frames has done the good one, and so has loaded what frames need."""
        self._at_once = 1
        """Frames that are asked for at once."""

    def each(self, indices: Sequence[int], stored: Mapping[str, Array] | None = None) -> Iterator[FrameResult]:
        """Analyse frames, beyond what is stored where it is only one; yield their results in order."""
        while indices:
            some = indices[: self._at_once]
            found = self._several(some) if len(some) > 1 else []
            yield from found
            # One by one the frames of which one ended the process, or the one that failed.
            alone = some[len(found) : len(found) + 1] if found else some
            for index in alone:
                found.append(self._one(index, stored))
                yield found[-1]
            indices = indices[len(found) :]
            self._at_once = self._how_many([result for result in found if result.is_done])

    def close(self) -> None:
        """Give the helper process back."""
        self._lending.close()

    def _several(self, indices: Sequence[int]) -> list[FrameResult]:
        """Analyse frames up to the first that fails, which may have failed for the others; none where one is bad."""
        if not self._fence.running:
            return []
        try:
            given = {"indices": list(indices)}
            answer = self._fence.ask("stemdask.engine.frames:analyse_each", given, seconds=self._plan.limits.seconds)
        except (Overdue, Died, Raised):
            return []
        return results_of(*answer)

    def _how_many(self, found: Sequence[FrameResult]) -> int:
        """Return how many frames like these are asked for at once."""
        seconds = sum(result.seconds for result in found)
        n_bytes = sum(array.nbytes for result in found for array in result.values.values())
        allowed = min(_SECONDS_AT_ONCE, self._plan.limits.seconds / 10)
        share = max(seconds / allowed, n_bytes / _BYTES_AT_ONCE, len(found) / _MOST_AT_ONCE)
        return max(1, int(len(found) / share)) if found else 1

    def _one(self, index: int, stored: Mapping[str, Array] | None) -> FrameResult:
        result = self._once(index, stored)
        if result is None:
            result = self._once(index, stored)  # the first death may have been meant for the job, not for the frame
        return result or failed("its process was killed twice (SIGKILL: out of memory?)")

    def _once(self, index: int, stored: Mapping[str, Array] | None) -> FrameResult | None:
        """Analyse one frame; None when the helper was killed from outside."""
        if not self._is_loaded or (self._good_frame is not None and not self._fence.running and not self._is_warm):
            self._load()
        start = time.monotonic()
        seconds = self._plan.limits.seconds
        try:
            more = COMPILE_SECONDS if self._good_frame is None else 0
            answer = self._fence.ask("stemdask.engine.frames:analyse", {"index": index}, stored, seconds=seconds + more)
            result = result_of(*answer)
        except Overdue:
            return failed(f"took longer than {seconds:g} s", time.monotonic() - start)
        except Died as death:
            log.warning("frame %d ended its process (%s)%s", index, death.code, death.words)
            return None if death.from_outside else failed(death.cause(), time.monotonic() - start)
        except Raised as error:  # no memory even to answer
            return failed(str(error), time.monotonic() - start)
        if self._good_frame is None and result.status is FrameStatus.OK:
            self._good_frame = index
        return result

    def _load(self) -> None:
        """Load the run, and what frames need on one that is known to be good."""
        given = {"store": self._plan.store, "good_frame": self._good_frame}
        for left in reversed(range(_LOADS)):
            try:
                seconds = START_SECONDS + self._plan.limits.seconds
                self._fence.ask("stemdask.engine.frames:load", given, seconds=seconds, keep=True)
            except (Overdue, Died, Raised) as error:
                if not (isinstance(error, Died) and error.from_outside and left):
                    raise not_started(error) from error
            else:
                self._is_loaded, self._is_warm = True, self._good_frame is not None
                return
