"""One block: its frames read, analysed and written. No Dask here; every kind of cluster calls `run_block`."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stemdask.analyses import chain
from stemdask.analyses.evaluation import FrameResult, evaluate
from stemdask.engine.queues.records import queue_around
from stemdask.errors import StemdaskError
from stemdask.model import RAGGED, Array, Block, FrameStatus, Plan, Variable
from stemdask.store import layout
from stemdask.store.constants import read_constants
from stemdask.store.statuses import count
from stemdask.store.writer import Writer, text_array


@dataclass(frozen=True, slots=True)
class Ack:
    """What the driver learns of a block that is on disk."""

    block: int
    counts: Mapping[FrameStatus, int]
    seconds: float
    reasons: tuple[str, ...] = ()
    """Why frames failed, some of them."""


def run_block(
    plan: Plan,
    block: Block,
    results: Iterable[FrameResult] | None = None,
    before_write: Callable[[], None] | None = None,
    written: Mapping[str, int] | None = None,
) -> Ack:
    """Analyse the frames of a block and write it.

    Parameters
    ----------
    plan
        The run, whose store is laid out.
    block
        One of the plan's blocks.
    results
        Of its frames, one after the other; they are analysed in this process when absent.
    before_write
        Called when all frames are done; an exception of it leaves the store as it was.
    written
        Checksums of what the store holds of the block, and which isn't written again where it is the same.

    Raises
    ------
    StorageError
        The file system refused a write; the block is not done.
    """
    start = time.perf_counter()
    frames = range(block.start, block.stop)
    if results is None:
        prepared = read_constants(plan)
        results = (evaluate(plan.source, plan.steps, prepared, index) for index in frames)
    page = _Page(plan, block)
    for index, result in zip(frames, results, strict=True):
        page.put(index, result)
    if before_write is not None:
        before_write()
    _writer(plan.store, layout.made(plan.store)).write(block, page.values, page.status, written or {})
    counts = {status: n for status, n in count(page.status).items() if n}
    return Ack(block.index, counts, time.perf_counter() - start, tuple(dict.fromkeys(page.reasons))[:3])


class _Page:
    """The arrays of a block, padded to the capacities of the store."""

    def __init__(self, plan: Plan, block: Block) -> None:
        self._plan = plan
        self._block = block
        n = block.stop - block.start
        self._declared = {v.path: v for v in chain.declared(plan.source.kind, plan.steps, "run")}
        self._ragged = layout.ragged_dims(plan)
        self.reasons: list[str] = []
        self.status = np.full(n, FrameStatus.PENDING, dtype=np.int8)
        self._text: dict[str, list[str]] = {"frames/file": [], "frames/error": [], "frames/worker": [_location()] * n}
        self._numbers: dict[str, Array] = {}
        for variable in (*layout.frame_variables(plan), *self._declared.values()):
            if variable.dtype != "string" and variable.path != layout.STATUS:
                shape = (n, *(plan.sizes[dim] for dim in variable.dims[1:]))
                self._numbers[variable.path] = np.full(shape, layout.fill_value(variable), dtype=variable.dtype)

    @property
    def values(self) -> dict[str, Array]:
        """All but the status."""
        return self._numbers | {path: text_array(texts) for path, texts in self._text.items()}

    def put(self, index: int, result: FrameResult) -> None:
        """Take the result of the next frame."""
        row = index - self._block.start
        status, error = result.status, result.error
        if result.is_done:
            lengths = self._lengths(result.values)
            for dim in self._ragged:
                self._numbers[layout.count_of(dim)][row] = lengths[dim]
            over = {dim: n for dim, n in lengths.items() if n > self._plan.sizes[dim]}
            if over:
                status = FrameStatus.OVERFLOW
                error = "; ".join(f"{n} {dim}s, room for {self._plan.sizes[dim]}" for dim, n in over.items())
            else:
                if any(lengths.get(dim) == 0 for dim in ("column", "atom")):
                    status = FrameStatus.EMPTY
                for path, variable in self._declared.items():
                    value = result.values[path]
                    self._check_fixed(variable, value)
                    where: tuple[int | slice, ...] = (row, *(slice(n) for n in value.shape))
                    self._numbers[path][where] = value
        else:
            self.reasons.append(error)
        self.status[row] = status
        self._text["frames/file"].append(self._plan.source.file_of(index))
        self._text["frames/error"].append(error)
        self._numbers["frames/seconds"][row] = result.seconds
        self._numbers[layout.INPUT_HASH][row] = result.input_hash
        if "frames/time" in self._numbers:
            self._numbers["frames/time"][row] = result.time

    def _lengths(self, values: Mapping[str, Array]) -> dict[str, int]:
        """Return the true length of each ragged dimension; all variables that have it must agree."""
        found: dict[str, int] = {}
        for path, variable in self._declared.items():
            for dim, n in zip(variable.dims[1:], values[path].shape, strict=True):
                if dim in RAGGED and found.setdefault(dim, n) != n:
                    raise StemdaskError(f"the results of one frame disagree on the number of {dim}s", where=path)
        return found

    def _check_fixed(self, variable: Variable, value: Array) -> None:
        for dim, n in zip(variable.dims[1:], value.shape, strict=True):
            if dim not in RAGGED and n != self._plan.sizes[dim]:
                raise StemdaskError(
                    f"an analysis returned another length of '{dim}' than at planning",
                    where=variable.path,
                    value=n,
                    allowed=self._plan.sizes[dim],
                )


@lru_cache(maxsize=2)
def _writer(store: str, made: tuple[int, int]) -> Writer:
    """Return the writer of a store; one that took the place of another was made at another time."""
    return Writer(store)


@lru_cache(maxsize=1)
def _location() -> str:
    """Return where this process runs: the node, and the job where a queue started it."""
    queue = queue_around()
    if queue is None:
        return socket.gethostname()
    node = os.environ.get(queue.inside.node) or socket.gethostname()
    return f"{node} job {os.environ[queue.inside.job]}"
