"""What a few frames tell: constants of the run, lengths of its dimensions, time and memory of a frame."""

from __future__ import annotations

import math
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
    """Time of a frame, without the first one's compilation."""
    frame_bytes: int
    """Bytes of a frame's input."""
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
        fastest, frame_bytes = math.inf, 0
        tried: dict[int, FrameResult] = {}
        failures = []
        for index in spread(source.n_frames):
            result = _tried(trial, index, held)
            if not result.is_done:
                failures.append(f"frame {index}: {result.error}")
                continue
            tried[index] = result
            fastest = min(fastest, result.seconds)
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
    return Survey(prepared, sizes, len(tried) == source.n_frames, fastest, frame_bytes, tried)


def _tried(trial: Trial, index: int, held: Held | None) -> FrameResult:
    """Analyse a frame, beyond what is stored of it where it still is what was read then."""
    stored = held.frame(index) if held is not None else None
    if stored is not None:
        result = trial.frame(index, stored.values)
        if result.input_hash == stored.input_hash:
            return result
    return trial.frame(index)
