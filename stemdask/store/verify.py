"""Reading every byte of a store against what was written; what is damaged can be repaired, or marked to be repeated."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemdask.errors import StoreError
from stemdask.kernels.arrays import Codes
from stemdask.model import Array, Block, FrameStatus
from stemdask.store import checksums, disk, layout, lock, metadata, place, statuses
from stemdask.store.chunks import Chunks, Key
from stemdask.store.shards import BrokenShard

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
    """Chunks, shards and metadata that are missing or aren't what was written, by path within the store."""
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
            "this can't be read as a store that stemdask made" if place.is_there(store) else "there is no store here",
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
    readable = _Readable(store, known, bad_nodes)
    with ThreadPoolExecutor(_THREADS) as executor:
        wholes = executor.map(readable.check_whole, readable.wholes)
        checked = [*executor.map(readable.check_block, range(readable.n_blocks)), *wholes]
    harmed = sorted((one for _, found in checked for one in found), key=_place)
    notes = () if known.sealed else ("made by a version that kept fewer checksums: swapped chunks can't be told",)
    return Damage(
        store,
        sum(n for n, _ in checked),
        (*known.damaged, *dict.fromkeys(name for name, _ in harmed)),  # a shard is of many blocks
        tuple(sorted({block for _, block in harmed if block is not None})),
        notes,
    )


#: Chunks read, and those that are damaged, each with the block that must be repeated; None where none would help.
Checked = tuple[int, list[tuple[str, int | None]]]


class _Readable:
    """A store whose metadata are sound, but for some nodes."""

    def __init__(self, path: Path, known: metadata.Metadata, bad_nodes: Collection[str]) -> None:
        self._path = path
        root = layout.open_group(path)
        self._status: Codes = statuses.read_statuses(path)
        self._per_block = int(root[layout.STATUS].chunks[0])
        self.n_blocks = -(-len(self._status) // self._per_block)
        self._complete = known.attributes.get("state") == "complete"
        self._once: Mapping[str, str] = known.attributes.get("checksums", {})
        sums = known.nodes.get(layout.CHECKSUMS, {}).get("attributes", {}).get("paths", ())
        self._columns = {path: column for column, path in enumerate(sums)}
        arrays = {path: node for path, node in sorted(known.nodes.items()) if node.get("node_type") == "array"}
        readable = [path for path in arrays if path not in bad_nodes]
        self._chunks = {path: Chunks(root[path], self._path, path) for path in readable}
        self.wholes = [path for path in readable if self._is_whole(path, arrays[path])]
        # Of the others, what comes once after isn't done, or another program's.
        rest = [path for path in readable if path not in self.wholes]
        self._by_block = [path for path in rest if not sums or path in (*self._columns, layout.CHECKSUMS)]

    def _is_whole(self, path: str, node: Mapping[str, Any]) -> bool:
        """Tell whether a run has a variable once."""
        per_block = (node.get("dimension_names") or ())[:1] in (["frame"], ["block"])  # a number has no names
        return path in self._once or not (per_block or self._columns)

    def check_whole(self, path: str) -> Checked:
        """Check a variable that a run has once."""
        chunks, n, bad = self._chunks[path], 0, list[str]()

        def rows() -> Iterator[Array]:
            nonlocal n, bad
            for row in chunks.rows:
                keys, parts = chunks.keys(row), list[Array]()
                bad += _read(chunks, keys, parts)
                n += len(keys)
                if not bad:
                    yield chunks.joined(row, parts)

        found = checksums.once(path, rows())
        if not bad and self._once.get(path, found) != found:
            bad = [chunks.label(key) for row in chunks.rows for key in chunks.keys(row)]
        return n, [(name, None) for name in bad]

    def check_block(self, block: int) -> Checked:
        """Check every variable of a block."""
        status = self._status[block * self._per_block : (block + 1) * self._per_block]
        done = self._complete or bool((status != FrameStatus.PENDING).all())
        row = self._row(block) if done else None
        n, bad = 0, list[str]()
        for path in self._by_block:
            # A status that is there though its block isn't done: damaged, or marked to be repeated.
            if done or (path == layout.STATUS and (self._path / path / "c" / str(block)).exists()):
                n_read, names = self._check_part(path, block, status, row)
                n += n_read
                bad += names
        return n, [(name, block) for name in bad]

    def _check_part(self, path: str, block: int, status: Codes, row: Array | None) -> tuple[int, list[str]]:
        chunks = self._chunks[path]
        keys, parts = chunks.keys(block), list[Array]()
        bad = _read(chunks, keys, parts)
        if not bad and not self._as_written(path, block, chunks.joined(block, parts), status, row):
            bad = [chunks.label(key) for key in keys]
        return len(keys), bad

    def _as_written(self, path: str, block: int, values: Array, status: Codes, row: Array | None) -> bool:
        """Compare with what was noted when it was written; chunks that were swapped are sound by themselves."""
        if path == layout.STATUS:
            if self._complete and (status == FrameStatus.PENDING).any():
                return False
            if (values == FrameStatus.PENDING).all():
                return True  # to be repeated
        if path not in self._columns or row is None:
            return True
        return int(row[self._columns[path]]) == checksums.of_block(path, block, values)

    def _row(self, block: int) -> Array | None:
        """Return the checksums of a block; None where there are none, or they are damaged and said to be."""
        chunks = self._chunks.get(layout.CHECKSUMS)
        if chunks is None:
            return None
        keys, parts = chunks.keys(block), list[Array]()
        return None if _read(chunks, keys, parts) else chunks.joined(block, parts)[0]


def _place(harmed: tuple[str, int | None]) -> tuple[str, list[int]]:
    """Return path and key of a chunk, by which they are listed."""
    path, _, key = harmed[0].rpartition("/c")
    return path, [int(number) for number in re.findall(r"\d+", key)]


def _read(chunks: Chunks, keys: Iterable[Key], parts: list[Array]) -> list[str]:
    """Read chunks and add them to others; return what is damaged: chunks, or whole shards."""
    bad = []
    for key in keys:
        try:
            parts.append(chunks.read(key))
        except (BrokenShard, FileNotFoundError):
            bad.append(chunks.name(key))
        except Exception:  # noqa: BLE001 - damage has many types
            bad.append(chunks.label(key))
    return bad


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
