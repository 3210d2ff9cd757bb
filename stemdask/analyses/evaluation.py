"""One frame from its source to its results; whatever goes wrong is the frame's own status and reason."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stemdask.analyses import chain
from stemdask.errors import FrameError, InputError, StemdaskError
from stemdask.fence.spent import Clock
from stemdask.model import Array, AtomsFrame, FrameStatus, Source, Step
from stemdask.sources.frame_hash import frame_hash

_ADDRESS = re.compile(r"0x[0-9a-f]+", re.IGNORECASE)
_LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What became of one frame."""

    status: FrameStatus
    error: str = ""
    seconds: float = 0.0
    time: float = float("nan")
    input_hash: int = 0
    """Of what was read; 0 where nothing was."""
    input_bytes: int = 0
    """Of what was read."""
    own_seconds: float = 0.0
    """Time without that for which others had the processor, s: what it takes that has one to itself."""
    values: Mapping[str, Array] = field(default_factory=dict)
    """By path, without the frame dimension, ragged ones with their true length; nothing of a failed frame."""

    @property
    def is_done(self) -> bool:
        """The frame has results, be they empty."""
        return self.status in (FrameStatus.OK, FrameStatus.EMPTY)


def evaluate(
    source: Source,
    steps: Sequence[Step],
    prepared: Mapping[str, Array],
    index: int,
    stored: Mapping[str, Array] | None = None,
) -> FrameResult:
    """Read one frame and run the analyses on it.

    Parameters
    ----------
    source, steps
        What is done with which frames.
    prepared
        Constants of the run, by path.
    index
        Of the frame.
    stored
        What earlier runs found of this frame: only the other steps are run.

    Raises
    ------
    StemdaskError
        An analysis breaks its declaration: a mistake of the program, not of the frame.
    """
    start, own = time.perf_counter(), Clock()
    read = 0
    try:
        frame = source.read(index)
        read = frame_hash(frame)
        frame.results.update(prepared)
        values = chain.extend(source.kind, steps, frame, stored) if stored else chain.analyse(source.kind, steps, frame)
    except (FrameError, InputError) as error:
        return failed(str(error), time.perf_counter() - start, read)
    except StemdaskError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a frame can fail in any way
        return failed(f"{type(error).__name__}: {error}", time.perf_counter() - start, read)
    seconds, stamp, status = time.perf_counter() - start, float("nan"), FrameStatus.OK
    if isinstance(frame, AtomsFrame):
        stamp = stamp if frame.time is None else frame.time
        status = status if len(frame.positions) else FrameStatus.EMPTY
    data = frame.positions if isinstance(frame, AtomsFrame) else frame.pixels
    return FrameResult(status, "", seconds, stamp, read, int(data.nbytes), own.own(), values)


def failed(reason: str, seconds: float = 0.0, input_hash: int = 0) -> FrameResult:
    """Return the result of a frame that has none, with a reason of one line that is the same in every run."""
    line = " ".join("".join(c if c.isprintable() else " " for c in _ADDRESS.sub("0x…", reason)).split())
    if len(line) > _LONGEST_REASON:
        line = line[: _LONGEST_REASON - 2].rpartition(" ")[0] + " …"
    return FrameResult(FrameStatus.FAILED, line, seconds, input_hash=input_hash)


def message_of(result: FrameResult) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a result as an answer from behind the fence."""
    return _header_of(result), dict(result.values)


def result_of(answer: Mapping[str, Any], arrays: Mapping[str, Array]) -> FrameResult:
    """Return the result that `message_of` made an answer of."""
    return FrameResult(**{**answer, "status": FrameStatus(answer["status"])}, values=arrays)


def message_of_several(results: Sequence[FrameResult]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return results of frames that are done as one answer, in which the values of a variable follow each other."""
    paths = results[0].values if results else ()
    values = {path: [result.values[path] for result in results] for path in paths}
    shapes = {path: [np.shape(array) for array in each] for path, each in values.items()}
    joined = {path: np.concatenate([np.ravel(array) for array in each]) for path, each in values.items()}
    return {"results": [_header_of(result) for result in results], "shapes": shapes}, joined


def results_of(answer: Mapping[str, Any], arrays: Mapping[str, Array]) -> list[FrameResult]:
    """Return the results that `message_of_several` made an answer of."""
    values: list[dict[str, Array]] = [{} for _ in answer["results"]]
    for path, shapes in answer["shapes"].items():
        flat, at = arrays[path], 0
        for own, shape in zip(values, shapes, strict=True):
            end = at + math.prod(shape)
            own[path] = flat[at:end].reshape(shape)
            at = end
    return [result_of(header, own) for header, own in zip(answer["results"], values, strict=True)]


def _header_of(result: FrameResult) -> dict[str, Any]:
    header = {name: getattr(result, name) for name in FrameResult.__slots__ if name != "values"}
    return header | {"status": int(result.status)}
