"""Reading every byte of a store against what was written; what is damaged can be repaired, or marked to be repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import StoreError
from stemdask.kernels.arrays import Codes
from stemdask.model import Block, FrameStatus
from stemdask.store import checksums, disk, layout, lock, metadata, place, statuses

#: Damaged files that `Damage.text` names one by one.
NAMED = 20
_THREADS = 4
#: Looks at a store that changes under them.
_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a store."""

    store: Path
    chunks: int
    """Chunks read."""
    damaged: tuple[str, ...]
    """Chunks and metadata that are missing or aren't what was written, by path within the store."""
    blocks: tuple[int, ...]
    """Blocks that must be repeated."""
    notes: tuple[str, ...] = ()
    """What couldn't be checked, or was repaired, a sentence each."""

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return not self.damaged

    def text(self) -> str:
        """Return it as lines for a terminal."""
        if self.sound:
            lines = [f"{self.store}: {self.chunks} chunks read, all sound"]
        else:
            lines = [f"{self.store}: {len(self.damaged)} damaged, {self.chunks} chunks read"]
        lines += [f"  {name}" for name in self.damaged[:NAMED]]
        if len(self.damaged) > NAMED:
            lines.append(f"  and {len(self.damaged) - NAMED} more")
        return "\n".join(lines + [f"  {note}" for note in self.notes])


def verify(path: str | Path, *, repair: bool = False) -> Damage:
    """Read every byte of a store.

    Parameters
    ----------
    path
        The store.
    repair
        Restore metadata from their copies, and mark what else is damaged as not done, so that running again
        repeats it. No other run may be active at the same time.

    Raises
    ------
    StoreError
        There is no store, or too little is left of it.
    Busy, StorageError
        For a repair: a run is writing the store; the file system refused a write.
    """
    store = Path(path)
    if not place.is_readable(store):
        raise StoreError(
            "this can't be read as a store that stemdask made" if store.exists() else "there is no store here",
            where=store,
            remedy="Name the .zarr folder that 'stemdask run' wrote; if this is it, run again with --fresh",
        )
    with disk.refusals_in_words(store), lock.driving(place.open_run_directory(store)) if repair else nullcontext():
        if repair:
            place.sweep_partial(store)
        repaired = metadata.mend(store) if repair else ()
        found = _check_at_rest(store)
        notes = [*found.notes]
        if repaired:
            notes.append("the metadata were made again")
        if repair and not found.sound:
            _mark(store, found)
            notes.append("run again: only what is damaged is repeated")
        return Damage(store, found.chunks, (*repaired, *found.damaged), found.blocks, tuple(notes))


def _check_at_rest(store: Path) -> Damage:
    """Check a store; again where a driver ended it meanwhile, or put another one in its place."""
    for left in reversed(range(_LOOKS)):
        before = metadata.attributes(store)
        try:
            found = _check(store)
        except (OSError, KeyError, StoreError):
            if not left or metadata.attributes(store) == before:
                raise
        else:
            if found.sound or not left or metadata.attributes(store) == before:
                return found
    raise AssertionError


def _check(store: Path) -> Damage:
    known = metadata.read(store)
    if known is None:
        raise StoreError("the store no longer exists", where=store, remedy="Check the path")
    bad_nodes = {name.removesuffix(f"/{metadata.NAME}") for name in known.damaged}
    if {metadata.NAME, "frames", layout.STATUS} & bad_nodes:
        return Damage(store, 0, known.damaged, (), ("no chunk was read: the metadata must be repaired first",))
    readable = _Readable(store, known)
    damaged, blocks, n = list(known.damaged), set[int](), 0
    with ThreadPoolExecutor(_THREADS) as executor:
        tasks = [
            (path, part)
            for path, node in sorted(known.nodes.items())
            if node.get("node_type") == "array" and path not in bad_nodes
            for part in readable.parts(path, node)
        ]
        checked = executor.map(lambda task: readable.check(*task), tasks)
        for (_, part), (n_read, names) in zip(tasks, checked, strict=True):
            n += n_read
            damaged += names
            blocks |= {part} if names and part is not None else set()
    notes = () if known.sealed else ("made by a version that kept fewer checksums: swapped chunks can't be told",)
    return Damage(store, n, tuple(damaged), tuple(sorted(blocks)), notes)


class _Readable:
    """A store whose metadata are sound."""

    def __init__(self, path: Path, known: metadata.Metadata) -> None:
        self._path = path
        self._root = layout.open_group(path)
        self._status: Codes = statuses.read_statuses(path)
        self._per_block = int(self._root[layout.STATUS].chunks[0])
        self._complete = known.attributes.get("state") == "complete"
        self._once: Mapping[str, str] = known.attributes.get("checksums", {})
        self._rows, self._columns = self._block_sums(known)

    def _block_sums(self, known: metadata.Metadata) -> tuple[Any, dict[str, int]]:
        node = known.nodes.get(layout.CHECKSUMS)
        if node is None:
            return None, {}
        columns = {path: column for column, path in enumerate(node.get("attributes", {}).get("paths", ()))}
        readable = f"{layout.CHECKSUMS}/{metadata.NAME}" not in known.damaged
        return self._root[layout.CHECKSUMS] if readable else None, columns

    def parts(self, path: str, node: Mapping[str, Any]) -> Iterator[int | None]:
        """Yield the blocks of a variable that are to be read; None for one that a run has once, read as a whole."""
        per_block = (node.get("dimension_names") or ())[:1] in (["frame"], ["block"])  # a number has no names
        if path in self._once or not (per_block or self._columns):
            yield None
            return
        if self._columns and path not in (*self._columns, layout.CHECKSUMS):
            return  # what comes once after isn't done, or another program's
        for block in range(-(-len(self._status) // self._per_block)):
            done = (self._frames(block) != FrameStatus.PENDING).all()
            # A status that is there though its block isn't done: damaged, or marked to be repeated.
            odd = path == layout.STATUS and (self._path / path / "c" / str(block)).exists()
            if done or odd or self._complete:
                yield block

    def check(self, path: str, block: int | None) -> tuple[int, list[str]]:
        """Return how many chunks of a part were read, and which files of it are damaged."""
        array = self._root[path]
        grid = [range(-(-n // chunk)) for n, chunk in zip(array.shape, array.chunks, strict=True)]
        keys = list(product(*(grid if block is None else [range(block, block + 1), *grid[1:]])))
        bad = [_name(path, key) for key in keys if not self._good(array, path, key)]
        if not bad and not self._as_written(array, path, block):
            bad = [_name(path, key) for key in keys]
        return len(keys), bad

    def _good(self, array: Any, path: str, key: tuple[int, ...]) -> bool:
        if not (self._path / _name(path, key)).is_file():
            return False  # reads as fill values, without a word
        chunk = tuple(slice(k * c, (k + 1) * c) for k, c in zip(key, array.chunks, strict=True))
        try:
            array[chunk]
        except Exception:  # noqa: BLE001 - damage has many types
            return False
        return True

    def _as_written(self, array: Any, path: str, block: int | None) -> bool:
        """Compare with what was noted when it was written; chunks that were swapped are sound by themselves."""
        if block is None:
            return path not in self._once or self._once[path] == checksums.once(path, checksums.parts(array))
        if path == layout.STATUS and self._complete and (self._frames(block) == FrameStatus.PENDING).any():
            return False
        if path not in self._columns or self._rows is None:
            return True
        try:
            noted = int(self._rows[block, self._columns[path]])
        except Exception:  # noqa: BLE001 - the row itself is damaged, and said to be
            return True
        values = np.asarray(array[block * self._per_block : (block + 1) * self._per_block])
        pending = path == layout.STATUS and (values == FrameStatus.PENDING).all()
        return pending or noted == checksums.of_block(path, block, values)

    def _frames(self, block: int) -> Codes:
        return self._status[block * self._per_block : (block + 1) * self._per_block]


def _name(path: str, key: tuple[int, ...]) -> str:
    return "/".join([path, "c", *map(str, key)])


def _mark(store: Path, damage: Damage) -> None:
    """Mark blocks as not done, and the store as not complete, so that what comes once after is repeated too."""
    array = layout.open_group(store)[layout.STATUS]
    n_frames, size = int(array.shape[0]), int(array.chunks[0])
    again = [Block(block, block * size, min((block + 1) * size, n_frames)) for block in damage.blocks]
    statuses.set_pending(store, again)
    once: Mapping[str, str] = metadata.attributes(store).get("checksums", {})
    harmed = {name.rpartition("/c")[0] for name in damage.damaged}
    layout.set_state(
        store,
        "partial",
        finished={},
        checksums={path: "" if path in harmed else known for path, known in once.items()},  # to be made again
        event=f"verify found {len(damage.damaged)} damaged chunks",
    )
