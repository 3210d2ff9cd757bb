"""Frames in memory through chains of analyses, over the cores of this machine or job, each behind a fence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from stemdask.analyses import chain, registry
from stemdask.analyses.evaluation import FrameResult, evaluate, failed, message_of, result_of
from stemdask.errors import FrameError, InputError
from stemdask.fence import inside
from stemdask.fence.fence import Died, Fence, Overdue, Raised
from stemdask.kernels.compiled import when_compiling
from stemdask.model import Array, Frame, Kind, Step
from stemdask.tuning.frames import pack, unpack

#: A job may take as many times as long as it may compute: a busy machine lets it wait.
_WAITS = 20.0


@dataclass(frozen=True, slots=True)
class Job:
    """A frame and what is done with it."""

    steps: tuple[Step, ...]
    frame: Frame


def run_all(
    jobs: Sequence[Job], *, workers: int, seconds: float, memory: int, done: Callable[[], None]
) -> list[FrameResult]:
    """Do all jobs; whatever becomes of one is its status and reason.

    Parameters
    ----------
    jobs
        What is done; results come in the same order.
    workers
        Jobs at a time.
    seconds, memory
        What a job may take: time of a core, s, and bytes.
    done
        Called after each.
    """
    local = threading.local()
    with ExitStack() as fences:

        def start() -> None:
            local.fence = fences.enter_context(Fence())

        def attempt(job: Job) -> FrameResult:
            result = _ask(local.fence, job, seconds, memory)
            done()
            return result

        with ThreadPoolExecutor(workers, "stemdask-tune", start) as threads:
            return list(threads.map(attempt, jobs))


def _ask(fence: Fence, job: Job, seconds: float, memory: int) -> FrameResult:
    steps = {step.name: step.params.model_dump(mode="json") for step in job.steps}
    told, arrays = pack(job.frame)
    given = {"frame": told, "steps": steps, "memory": memory}
    try:
        most = _WAITS * seconds
        return result_of(*fence.ask(f"{__name__}:analyse", given, arrays, seconds=most, cpu_seconds=seconds))
    except Overdue:
        return failed(f"took more than {seconds:.0f} s of a core")
    except Died as death:
        return failed(death.cause())
    except (Raised, FrameError, InputError) as error:
        return failed(str(error))


def analyse(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Do a job, behind the fence."""
    when_compiling(lambda _: inside.beat())
    inside.limit_memory(given["memory"])
    source = _Given(given["frame"], arrays)
    models = {name: registry.get(source.kind, name).params for name in given["steps"]}
    steps = tuple(Step(name, models[name].model_validate(params)) for name, params in given["steps"].items())
    prepared = chain.prepare(source.kind, steps, [source.read(0)])
    return message_of(evaluate(source, steps, prepared, 0))


@dataclass(frozen=True)
class _Given:
    """One frame as a source."""

    told: Mapping[str, Any]
    arrays: Mapping[str, Array]
    n_frames: int = 1
    warnings: Sequence[str] = ()

    @property
    def kind(self) -> Kind:
        return "images" if "pixels" in self.arrays else "atoms"

    def read(self, index: int) -> Frame:
        return unpack(self.told, self.arrays)

    def file_of(self, index: int) -> str:
        return ""

    def identity(self) -> list[Any]:
        return []
