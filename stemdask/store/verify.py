"""Reading every chunk of a store against its checksum; damaged blocks can be marked to be done again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import zarr

from stemdask.errors import StoreError
from stemdask.model import Block, FrameStatus
from stemdask.store import layout, place, statuses

#: Damaged chunks that `Damage.text` names one by one.
NAMED = 20
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a store."""

    store: Path
    chunks: int
    """Chunks read."""
    damaged: tuple[str, ...]
    """Chunks and metadata that are missing or don't fit their checksum, by path within the store."""
    blocks: tuple[int, ...]
    """Blocks that must be done again."""

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return not self.damaged

    def text(self) -> str:
        """Return it as lines for a terminal."""
        if self.sound:
            return f"{self.store}: {self.chunks} chunks read, all sound"
        lines = [f"{self.store}: {len(self.damaged)} damaged of {self.chunks} chunks"]
        lines += [f"  {name}" for name in self.damaged[:NAMED]]
        if len(self.damaged) > NAMED:
            lines.append(f"  and {len(self.damaged) - NAMED} more")
        return "\n".join(lines)


def verify(path: str | Path, *, repair: bool = False) -> Damage:
    """Read every chunk of a store.

    Parameters
    ----------
    path
        The store.
    repair
        Mark what is damaged as not done, so that running again does it again.

    Raises
    ------
    StoreError
        The metadata of the whole store can't be read.
    """
    store = Path(path)
    if not place.is_store(store):
        raise StoreError(
            "there is no store here" if not store.exists() else "this can't be read as a store that stemdask made",
            where=store,
            remedy="Name the .zarr folder that 'stemdask run' wrote; if this is it, run again with --fresh",
        )
    done = statuses.read_statuses(store) != FrameStatus.PENDING
    damaged: list[str] = []
    blocks: set[int] = set()
    n = 0
    per_block = int(layout.open_group(store)[layout.STATUS].chunks[0])
    with ThreadPoolExecutor(_THREADS) as executor:
        for name, metadata in _remembered(store):
            if not _same(store / name / "zarr.json", metadata):
                damaged.append(f"{name}/zarr.json")
                continue
            if metadata["node_type"] != "array":
                continue
            array = zarr.open_array(store / name, mode="r", zarr_format=3)
            keys = list(product(*(range(-(-s // c)) for s, c in zip(array.shape, array.chunks, strict=True))))
            per_frame = metadata.get("dimension_names", [])[:1] == ["frame"]  # a number has no names
            wanted = [key for key in keys if not per_frame or done[key[0] * per_block] or _odd(store, name, key)]
            n += len(wanted)
            good = executor.map(partial(_good, store, name, array), wanted)
            for key in (key for key, sound in zip(wanted, good, strict=True) if not sound):
                damaged.append("/".join([name, "c", *map(str, key)]))
                blocks |= {key[0]} if per_frame else set()
    found = Damage(store, n, tuple(damaged), tuple(sorted(blocks)))
    if repair and not found.sound:
        _repair(store, found, per_block, len(done))
    return found


def _remembered(store: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and metadata of every node, as the root remembers them; as they are, before it does."""
    root = json.loads((store / "zarr.json").read_text())
    nodes = (root.get("consolidated_metadata") or {}).get("metadata") or {
        str(path.parent.relative_to(store)): json.loads(path.read_text()) for path in store.glob("*/**/zarr.json")
    }
    yield from sorted(nodes.items())


def _same(path: Path, metadata: dict[str, Any]) -> bool:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return all(found.get(key) == value for key, value in metadata.items() if key != "consolidated_metadata")


def _good(store: Path, name: str, array: Any, key: tuple[int, ...]) -> bool:
    if not store.joinpath(name, "c", *map(str, key)).is_file():
        return False  # reads as fill values, without a word
    chunk = tuple(slice(k * c, (k + 1) * c) for k, c in zip(key, array.chunks, strict=True))
    try:
        array[chunk]
    except Exception:  # noqa: BLE001 - damage has many types
        return False
    return True


def _odd(store: Path, name: str, key: tuple[int, ...]) -> bool:
    """Tell whether a status is written though its block isn't done: damaged, or marked to be done again."""
    return name == layout.STATUS and store.joinpath(name, "c", *map(str, key)).exists()


def _repair(store: Path, damage: Damage, per_block: int, n_frames: int) -> None:
    again = [Block(i, i * per_block, min((i + 1) * per_block, n_frames)) for i in damage.blocks]
    statuses.set_pending(store, again)
    layout.set_state(store, "partial", f"verify found {len(damage.damaged)} damaged chunks")
