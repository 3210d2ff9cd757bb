"""What a few frames tell: constants of the run, lengths of its dimensions, time and memory of a frame."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stemdask.analyses import chain
from stemdask.errors import FrameError, InputError
from stemdask.model import Array, AtomsFrame, Frame, Source
from stemdask.planning.resolve import Resolved
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
    source, steps = resolved.source, resolved.steps
    prepared = chain.prepare(source.kind, steps, _Frames(source))
    sizes: dict[str, int] = {}
    for variable in chain.declared(source.kind, steps, "prepare"):
        sizes.update(_lengths(variable.dims, prepared[variable.path]))
    tried, seconds, frame_bytes, failures = 0, math.inf, 0, []
    for index in spread(source.n_frames):
        start = time.perf_counter()
        try:
            frame = source.read(index)
            frame.results.update(prepared)
            arrays = chain.analyse(source.kind, steps, frame)
        except (InputError, FrameError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            failures.append(f"frame {index}: {error}")
            continue
        seconds = min(seconds, time.perf_counter() - start)
        frame_bytes = max(frame_bytes, _nbytes(frame))
        for variable in chain.declared(source.kind, steps, "run"):
            for dim, n in _lengths(variable.dims[1:], arrays[variable.path]):
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


class _Frames(Sequence[Frame]):
    """The frames of a source, read when asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return self._source.n_frames

    def __getitem__(self, index: int) -> Frame:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._source.read(index % len(self))


def _lengths(dims: Sequence[str], array: Array) -> list[tuple[str, int]]:
    return list(zip(dims, np.shape(array), strict=True))


def _nbytes(frame: Frame) -> int:
    return int(frame.positions.nbytes if isinstance(frame, AtomsFrame) else frame.pixels.nbytes)
