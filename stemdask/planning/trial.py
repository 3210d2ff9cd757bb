"""Trying frames before a run, behind the fence: what comes once before, and single frames.

Planning bears of a frame what a run bears: whatever it raises, how it ends its process, that it never ends, or takes
all memory, is that frame's failure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stemdask.analyses import chain
from stemdask.analyses.evaluation import FrameResult, evaluate, failed, message_of, result_of
from stemdask.config.keys import LimitsSection
from stemdask.errors import FrameError, InputError
from stemdask.fence import inside, spent
from stemdask.fence.fence import COMPILE_SECONDS, START_SECONDS, Died, Fence, Overdue, Raised, lent
from stemdask.kernels.compiled import when_compiling
from stemdask.model import Array, Frame, Source, Step
from stemdask.planning import plan_file

#: Bytes that a frame may take before the plan says how many, and the time, s.
MEMORY = 2 * 2**30
SECONDS = 60.0
#: Time between two frames that are read by what comes once before, s.
_PREPARE_SECONDS = 600.0
_MODULE = "stemdask.planning.trial"


def allowed(limits: LimitsSection) -> tuple[float, int]:
    """Return the time, s, and the bytes that a frame may take, before the plan says how much."""
    return (
        SECONDS if limits.frame_seconds == "auto" else limits.frame_seconds,
        MEMORY if limits.frame_memory == "auto" else limits.frame_memory,
    )


class Trial:
    """Frames of a source, tried one after the other; entered around all that is asked of it.

    Parameters
    ----------
    source, steps
        What is done with which frames.
    seconds, memory
        What a frame may take.
    isolate
        False: in this process.
    """

    def __init__(
        self,
        source: Source,
        steps: Sequence[Step],
        *,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        isolate: bool = True,
    ) -> None:
        self._run = _Run(source, tuple(steps))
        self._seconds = seconds
        self._memory = memory
        self._isolate = isolate
        self._fence: Fence | None = None
        self._lending = contextlib.ExitStack()
        self._is_loaded = self._has_compiled = False
        self.memory = 0
        """Bytes that the process of the frames took, at most."""
        self.prepare_seconds = 0.0
        """Time of what came once before, without that for which others had the processor, s."""

    def __enter__(self) -> Trial:
        if self._isolate:
            self._fence = self._lending.enter_context(lent())
        return self

    def __exit__(self, *exception: object) -> None:
        self._fence = None
        self._lending.close()

    def prepare(self, known: Mapping[str, Array]) -> dict[str, Array]:
        """Run what comes once before, as far as its constants aren't known; return them all by path.

        Raises
        ------
        InputError
            It ended its process, or never ended.
        """
        if self._fence is None:
            self.prepare_seconds = self._run.prepare(known)
        else:
            limit = max(self._seconds, _PREPARE_SECONDS)
            self.prepare_seconds, arrays = self._ask(f"{_MODULE}:prepare", {}, limit, known)
            # The arrays of a message are views of it, and read-only.
            self._run.prepared = {path: np.array(array) for path, array in arrays.items()}
            self._is_loaded = False  # once more, with these: a frame that dies must not take them along
        return self._run.prepared

    def frame(self, index: int, stored: Mapping[str, Array] | None = None) -> FrameResult:
        """Analyse one frame, beyond what is stored of it; whatever becomes of it is its status and reason."""
        if self._fence is None:
            result = self._run.frame(index, stored)
            self.memory = self._run.memory
            return result
        seconds = self._seconds + (0 if self._has_compiled else COMPILE_SECONDS)
        try:
            result, compiled = self._analyse(index, seconds, stored)
            if compiled:  # time and memory are those of a compiler; another process loads what this one made
                self._fence.end()
                result, _ = self._analyse(index, seconds, stored)
        except (InputError, FrameError) as error:
            return failed(str(error))
        self._has_compiled = True
        return result

    def _analyse(self, index: int, seconds: float, stored: Mapping[str, Array] | None) -> tuple[FrameResult, bool]:
        """Analyse one frame behind the fence; tell whether kernels were compiled for it."""
        (told, memory, compiled), arrays = self._ask(f"{_MODULE}:frame", {"index": index}, seconds, stored)
        self.memory = memory if compiled else max(self.memory, memory)
        return result_of(told, arrays), compiled

    def ask(self, job: str, given: Mapping[str, Any]) -> tuple[Any, dict[str, Array]]:
        """Have a job done with the frames, where they are loaded; `loaded` tells it of them.

        Raises
        ------
        InputError
            It ended its process, never ended, or raised.
        """
        assert self._fence is not None
        return self._ask(job, given, self._seconds + COMPILE_SECONDS)

    def time(self, job: str, given: Mapping[str, Any], arrays: Mapping[str, Array]) -> Any:
        """Have a job done that tells what it found and whether it compiled, repeated where it did.

        Raises
        ------
        InputError
            It ended its process, never ended, or raised.
        """
        assert self._fence is not None
        (found, compiled), _ = self._ask(job, given, self._seconds + COMPILE_SECONDS, arrays)
        if compiled:
            self._fence.end()
            (found, _), _ = self._ask(job, given, self._seconds + COMPILE_SECONDS, arrays)
        return found

    def _ask(
        self, job: str, given: Mapping[str, Any], seconds: float, arrays: Mapping[str, Array] | None = None
    ) -> tuple[Any, dict[str, Array]]:
        assert self._fence is not None
        try:
            if not self._is_loaded:
                described = plan_file.pack(self._run.source, self._run.steps) | {"memory": self._memory}
                self._fence.ask(f"{_MODULE}:load", described, self._run.prepared, seconds=START_SECONDS, keep=True)
                self._is_loaded = True
            return self._fence.ask(job, given, arrays, seconds=seconds)
        except Overdue as error:
            raise InputError(
                f"took longer than {seconds:g} s",
                where=str(error) or None,
                remedy="On a busy machine, or while kernels are compiled, run it again: those compiled are kept",
            ) from None
        except Died as death:
            raise InputError(death.cause(), where=self._run.source.file_of(0)) from None
        except Raised as error:
            raise InputError(str(error), where=self._run.source.file_of(0)) from None


@dataclass
class _Run:
    source: Source
    steps: tuple[Step, ...]
    prepared: dict[str, Array] = field(default_factory=dict)
    memory: int = 0

    def prepare(self, known: Mapping[str, Array]) -> float:
        """Prepare the constants; return the seconds that it took."""
        clock = spent.Clock()
        self.prepared = chain.prepare(self.source.kind, self.steps, _Frames(self.source), known)
        return clock.own()

    def frame(self, index: int, stored: Mapping[str, Array] | None) -> FrameResult:
        spent.forget()
        result = evaluate(self.source, self.steps, self.prepared, index, stored)
        self.memory = max(self.memory, spent.memory())
        return result


class _Compiler:
    """Time that compiling takes in this process."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._clock = spent.Clock()

    def __call__(self, begins: bool) -> None:
        inside.beat()
        if begins and not self._depth:
            self._clock = spent.Clock()
        self._depth += 1 if begins else -1
        if not self._depth:
            self.seconds += self._clock.own()


_loaded: _Run | None = None
_compiler = _Compiler()


def loaded() -> _Run:
    """Return what was loaded behind the fence."""
    assert _loaded is not None
    return _loaded


def load(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[None, dict[str, Array]]:
    """Load what is to be done with which frames, and limit this process to what one may take."""
    global _loaded
    when_compiling(_compiler)
    _loaded = _Run(*plan_file.unpack(given), prepared={path: np.array(array) for path, array in arrays.items()})
    inside.limit_memory(given["memory"])
    return None, {}


def has_compiled() -> bool:
    """Tell whether kernels were compiled behind the fence."""
    return _compiler.seconds > 0


def prepare(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    """Run what comes once before, behind the fence; tell its time, without that of compiling."""
    run, before = loaded(), _compiler.seconds
    seconds = run.prepare(arrays)
    return max(0.0, seconds - (_compiler.seconds - before)), run.prepared


def frame(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[list[Any], dict[str, Array]]:
    """Analyse one frame behind the fence; tell its memory, and whether kernels were compiled."""
    run = loaded()
    told, values = message_of(run.frame(given["index"], arrays))
    return [told, run.memory, has_compiled()], values


class _Frames(Sequence[Frame]):
    """The frames of a source, read when asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return self._source.n_frames

    def __getitem__(self, index: int) -> Frame:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        inside.beat(f"frame {index % len(self)}")
        return self._source.read(index % len(self))
