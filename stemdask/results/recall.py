"""What the store holds already of the frames of a block that is to be done, of analyses that haven't changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from stemdask.analyses import chain
from stemdask.errors import StoreError
from stemdask.model import RAGGED, Array, Block, Plan
from stemdask.store import layout, recorded
from stemdask.store.constants import read_constants


@dataclass(frozen=True, slots=True)
class Recalled:
    """What earlier runs found of a frame."""

    input_hash: int
    """Of the frame that they read."""
    values: Mapping[str, Array]
    """By path, all of an analysis or nothing, with their true lengths."""


@dataclass(frozen=True, slots=True)
class RecalledBlock:
    """What a store holds of a block that is to be done."""

    frames: Mapping[int, Recalled] = field(default_factory=dict)
    """By index; a frame that failed is unknown."""
    sums: Mapping[str, int] = field(default_factory=dict)
    """Checksums of the variables that were found as they say: they need not be written again."""


class Held:
    """What a store holds of steps that stay, for trying frames beyond it.

    Parameters
    ----------
    plan
        Of the store, with these steps alone.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def constants(self) -> Mapping[str, Array]:
        """Return what was prepared; nothing where one of the constants is damaged."""
        try:
            return read_constants(self._plan)
        except StoreError:
            return {}

    def frame(self, index: int) -> Recalled | None:
        """Return what is known of a frame."""
        size = self._plan.block_frames
        start = index // size * size
        block = Block(index // size, start, min(start + size, self._plan.source.n_frames))
        return recall(self._plan, block).frames.get(index)


def recall(plan: Plan, block: Block) -> RecalledBlock:
    """Return what is known of a block; a value that its checksum doesn't confirm isn't known."""
    root = _opened(plan.store, layout.made(plan.store))
    sums = recorded.sums_of(root, block)
    if sums is None:
        return RecalledBlock()
    about = _read(root, (layout.ERROR, layout.INPUT_HASH), block, sums)
    if about is None:
        return RecalledBlock()
    counts = {dim: _read(root, [layout.count_of(dim)], block, sums) for dim in layout.ragged_dims(plan)}
    lengths = {dim: read[layout.count_of(dim)] for dim, read in counts.items() if read is not None}
    values: dict[str, Array] = {}
    dims_of: dict[str, tuple[str, ...]] = {}
    for own in chain.outputs(plan.source.kind, plan.steps):
        stored = {variable.path: variable.dims[1:] for variable in own if variable.stored and variable.stage == "run"}
        if all(dim in lengths for dims in stored.values() for dim in dims if dim in RAGGED):
            dims_of |= stored
            values |= _read(root, stored, block, sums) or {}
    found = {}
    for row, index in enumerate(range(block.start, block.stop)):
        if not str(about[layout.ERROR][row]) and values:
            parts = {dim: slice(int(n[row])) for dim, n in lengths.items()}
            cut = {p: a[row][tuple(parts.get(dim, slice(None)) for dim in dims_of[p])] for p, a in values.items()}
            found[index] = Recalled(int(about[layout.INPUT_HASH][row]), cut)
    confirmed = (*about, *map(layout.count_of, lengths), *values)
    return RecalledBlock(found, {path: sums[path] for path in confirmed})


@lru_cache(maxsize=2)
def _opened(store: str, made: tuple[int, int]) -> layout.Opened:
    """Return the arrays of a store; one that took the place of another was made at another time."""
    return layout.Opened(store)


def _read(root: layout.Opened, paths: Iterable[str], block: Block, sums: Mapping[str, int]) -> dict[str, Array] | None:
    """Return variables of a block; None where one of them isn't what its checksum says."""
    found = {}
    for path in paths:
        values = recorded.read(root, path, block, sums) if sums.get(path) else None
        if values is None:
            return None
        found[path] = values
    return found
