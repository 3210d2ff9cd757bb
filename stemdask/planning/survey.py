"""What a few frames tell: constants of the run, lengths of its dimensions, time and memory of a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stemdask.analyses import chain
from stemdask.errors import InputError
from stemdask.model import Array
from stemdask.planning.resolve import Resolved
from stemdask.planning.trial import FrameFailed, Trial, allowed
from stemdask.planning.tried import TRIED, spread


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
    seconds, memory = allowed(limits)
    with Trial(source, resolved.steps, seconds=seconds, memory=memory, isolate=limits.isolate) as trial:
        prepared = trial.prepare()
        sizes: dict[str, int] = {}
        for variable in chain.declared(source.kind, resolved.steps, "prepare"):
            sizes.update(zip(variable.dims, np.shape(prepared[variable.path]), strict=True))
        tried, fastest, frame_bytes, failures = 0, math.inf, 0, []
        for index in spread(source.n_frames):
            try:
                told = trial.frame(index)
            except FrameFailed as error:
                failures.append(f"frame {index}: {error}")
                continue
            fastest = min(fastest, told.seconds)
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
    return Survey(prepared, sizes, tried == source.n_frames, fastest, frame_bytes)
