"""What a few frames tell: constants of the run, lengths of its dimensions, time and memory of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stemdask.analyses import chain
from stemdask.analyses.evaluation import FrameResult
from stemdask.errors import InputError
from stemdask.model import Array
from stemdask.planning.resolve import Resolved
from stemdask.planning.trial import Trial, allowed
from stemdask.planning.tried import TRIED, spread
from stemdask.results.recall import Held


@dataclass(frozen=True, slots=True)
class Survey:
    """What was learnt from a few frames."""

    prepared: dict[str, Array]
    """Constants that the analyses prepared, by path."""
    sizes: dict[str, int]
    """Largest length of each dimension seen."""
    exact: bool
    """Every frame was tried, so the sizes need no head-room."""
    seconds: float
    """Time of a frame that has a processor to itself, s; without what the first one loads or compiles."""
    once_seconds: float
    """Time of what comes once before, and of what the first frame loads, s."""
    frame_bytes: int
    """Bytes of a frame's input."""
    memory: int
    """Bytes of the process in which frames were tried, at most; 0 where they can't be counted."""
    tried: Mapping[int, FrameResult]
    """What became of the frames that were tried, by index; the run need not do these again."""


def survey(resolved: Resolved, held: Held | None = None) -> Survey:
    """Prepare the constants and try a few frames.

    Parameters
    ----------
    resolved
        The config against its input.
    held
        What a store holds already: only what goes beyond it is done.

    Raises
    ------
    InputError
        Where none of the frames tried can be analysed; says why of the first.
    """
    source, limits = resolved.source, resolved.config.limits
    seconds, memory = allowed(limits)
    with Trial(source, resolved.steps, seconds=seconds, memory=memory, isolate=limits.isolate) as trial:
        prepared = trial.prepare(held.constants() if held is not None else {})
        sizes: dict[str, int] = {}
        for variable in chain.declared(source.kind, resolved.steps, "prepare"):
            sizes.update(zip(variable.dims, np.shape(prepared[variable.path]), strict=True))
        frame_bytes = 0
        tried: dict[int, FrameResult] = {}
        failures = []
        for index in spread(source.n_frames):
            result = _tried(trial, index, held)
            if not result.is_done:
                failures.append(f"frame {index}: {result.error}")
                continue
            tried[index] = result
            frame_bytes = max(frame_bytes, result.input_bytes)
            for variable in chain.declared(source.kind, resolved.steps, "run"):
                for dim, n in zip(variable.dims[1:], np.shape(result.values[variable.path]), strict=True):
                    sizes[dim] = max(sizes.get(dim, 0), n)
            if len(tried) == TRIED:
                break
    if not tried:
        raise InputError(
            "none of the frames tried could be analysed",
            where=resolved.config.input.path,
            value=failures[0],
            remedy="Fix the input or the analyses, or choose other frames with input.frames",
        )
    seconds, loading = _seconds([result.own_seconds for result in tried.values()])
    return Survey(
        prepared,
        sizes,
        exact=len(tried) == source.n_frames,
        seconds=seconds,
        once_seconds=trial.prepare_seconds + loading,
        frame_bytes=frame_bytes,
        memory=trial.memory,
        tried=tried,
    )


def _seconds(own: list[float]) -> tuple[float, float]:
    """Return the mean time of frames, of which the first one also loads or compiles kernels, and of that loading."""
    first, *others = own
    mean = sum(others) / len(others) if others else first
    return mean, max(0.0, first - mean)


def _tried(trial: Trial, index: int, held: Held | None) -> FrameResult:
    """Analyse a frame, beyond what is stored of it where it still is what was read then."""
    stored = held.frame(index) if held is not None else None
    if stored is not None:
        result = trial.frame(index, stored.values)
        if result.input_hash == stored.input_hash:
            return result
    return trial.frame(index)
