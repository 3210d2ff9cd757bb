"""What a few frames tell: constants of the run, lengths of its dimensions, time and memory of a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stemdask.analyses import chain
from stemdask.errors import InputError
from stemdask.model import Array
from stemdask.planning.resolve import Resolved
from stemdask.planning.trial import MEMORY, SECONDS, FrameFailed, Trial

#: Frames tried at planning; the capacity of a ragged dimension comes from them.
TRIED = 3


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


def survey(resolved: Resolved) -> Survey:
    """Prepare the constants and try a few frames.

    Raises
    ------
    InputError
        Where none of the frames tried can be analysed; says why of the first.
    """
    source, limits = resolved.source, resolved.config.limits
    trial = Trial(
        source,
        resolved.steps,
        seconds=SECONDS if limits.frame_seconds == "auto" else limits.frame_seconds,
        memory=MEMORY if limits.frame_memory == "auto" else limits.frame_memory,
        isolate=limits.isolate,
    )
    prepared = trial.prepare()
    sizes: dict[str, int] = {}
    for variable in chain.declared(source.kind, resolved.steps, "prepare"):
        sizes.update(zip(variable.dims, np.shape(prepared[variable.path]), strict=True))
    tried, seconds, frame_bytes, failures = 0, math.inf, 0, []
    for index in _spread(source.n_frames):
        try:
            told = trial.frame(index)
        except FrameFailed as error:
            failures.append(f"frame {index}: {error}")
            continue
        seconds = min(seconds, told.seconds)
        frame_bytes = max(frame_bytes, told.frame_bytes)
        for dim, n in told.lengths.items():
            sizes[dim] = max(sizes.get(dim, 0), n)
        tried += 1
        if tried == TRIED:
            break
    if not tried:
        raise InputError(
            "none of the frames tried could be analysed",
            where=resolved.config.input.path,
            value=failures[0],
            remedy="Mend the input or the analyses, or choose other frames with input.frames",
        )
    return Survey(prepared, sizes, tried == source.n_frames, seconds, frame_bytes)


def _spread(n: int) -> list[int]:
    """Return frames to try: first, middle and last, and some more in case these are bad."""
    return list(dict.fromkeys(round(x * (n - 1)) for x in (0, 0.5, 1, 0.25, 0.75, 0.1, 0.4, 0.6, 0.9)))
