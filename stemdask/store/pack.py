"""A complete store whose chunks are joined into shards, so that it has few files, and the way back."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stemdask.errors import StoreError
from stemdask.model import FrameStatus
from stemdask.store import disk, layout, lock, metadata, place, shards, statuses
from stemdask.store.chunks import Chunks, Key

log = logging.getLogger(__name__)

#: They say which blocks are done, and are written one by one.
_PLAIN = (layout.STATUS, layout.CHECKSUMS)
#: How a chunk that is missing or damaged shows, apart from what a file system refuses.
_DAMAGE = (ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError)


@dataclass(frozen=True, slots=True)
class Packed:
    """How many files a store has."""

    store: Path
    before: int
    """Files before it was packed."""
    after: int

    def text(self) -> str:
        """Return it as a line for a terminal."""
        if self.before == self.after:
            return f"{self.store}: nothing to join, {self.after} files"
        return f"{self.store}: {self.before} files became {self.after}"


def pack(path: str | Path) -> Packed:
    """Join the chunks of a complete store into shards, in place; its values stay the same to the bit.

    Up to 64 chunks of a variable become one file, by the codec `sharding_indexed` of zarr v3. Whoever has the store
    open, such as an xarray dataset, must open it again. The next run that writes to it takes it apart first. While it
    is being packed, it needs twice its space.

    Parameters
    ----------
    path
        Folder of the store, ``.zarr``.

    Returns
    -------
    Packed
        The number of files before and after, the same where the store was packed already.

    Raises
    ------
    StoreError
        It isn't a store, isn't complete, or a part of it is damaged, which is named.
    Busy
        A run is writing the store.
    StorageError
        The file system refused a write; the store is as it was.

    Examples
    --------
    >>> import stemdask as sd
    >>> packed = sd.pack("stack.zarr")
    >>> packed.after <= packed.before
    True
    """
    store = Path(path)
    if not layout.run_directory(store).is_dir():
        place.check_store(store)
    with disk.refusals_in_words(store), lock.driving(place.open_run_directory(store)):
        place.recover(store, sweep=True)
        place.check_store(store)
        known = metadata.attributes(store)
        if known["state"] != "complete":
            raise StoreError(
                "only the store of a complete run can be packed",
                where=store,
                value=known["state"],
                remedy="Repeat the command of the run until it is complete, then pack",
            )
        if (statuses.read_statuses(store) == FrameStatus.PENDING).any():
            raise _damaged(store, layout.STATUS)
        before = _count(store)
        arrays = _arrays(store)
        long = {name: n for name, chunks in arrays.items() if (n := _per_shard(name, chunks)) > 1}
        if not long or any(chunks.are_joined for chunks in arrays.values()):
            return Packed(store, before, before)
        parts = {name: (arrays[name], n) for name, n in long.items()}
        place.replace(lambda new: _pack(store, parts, before, new), store)
        return Packed(store, before, _count(store))


def unpack(store: Path) -> None:
    """Take the shards of a store apart, so that its blocks can be written; a store without shards is left alone.

    To be called by a driver that sets up the store. Whoever shares it sets it up later, or has nothing to write: no
    store is packed while a driver holds its lock, and a packed one that isn't complete is taken apart by the first.
    """
    joined = {name: chunks for name, chunks in _arrays(store).items() if chunks.are_joined}
    if joined:
        log.info("taking the packed store apart, because blocks are to be written")
        place.replace(lambda new: _unpack(store, joined, new), store)


def _arrays(store: Path) -> dict[str, Chunks]:
    """Return the arrays of a store that have a value per frame, in chunks as the layout writes them, by path."""
    root, known = layout.open_group(store), metadata.read(store)
    nodes: Mapping[str, Mapping[str, Any]] = known.nodes if known is not None else {}
    per_frame = [path for path, node in nodes.items() if (node.get("dimension_names") or ())[:1] == ["frame"]]
    found = {path: Chunks(root[path], store, path) for path in per_frame}
    return {path: chunks for path, chunks in found.items() if chunks.are_ours}


def _per_shard(path: str, chunks: Chunks) -> int:
    return 1 if path in _PLAIN else shards.length(len(chunks.rows), chunks.chunk_bytes)


def _pack(store: Path, arrays: Mapping[str, tuple[Chunks, int]], before: int, new: Path) -> None:
    _lay_out(store, new, {path: partial(shards.joined, n=n) for path, (_, n) in arrays.items()})
    for chunks, n in arrays.values():
        join(chunks, n, new)
    _seal(store, new, f"packed, {before} files became {_count(new)}")


def join(chunks: Chunks, n: int, new: Path) -> None:
    """Write the chunks of an array into another store, `n` along the first dimension to a shard.

    Raises
    ------
    StoreError
        One of them is missing or damaged.
    """
    for start in chunks.rows[::n]:
        for key in chunks.keys(start):
            rows = chunks.rows[start : start + n]
            parts = (_sound(chunks, (row, *key[1:])) for row in rows)
            shards.write(_file(new, chunks.path, (start // n, *key[1:])), parts, n)


def _unpack(store: Path, arrays: Mapping[str, Chunks], new: Path) -> None:
    _lay_out(store, new, dict.fromkeys(arrays, shards.apart))
    for path, chunks in arrays.items():
        for row in chunks.rows:
            for key in chunks.keys(row):
                _file(new, path, key).write_bytes(_as_found(chunks, key))
    _seal(store, new, "taken apart, to be written")


def _lay_out(store: Path, new: Path, described: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]) -> None:
    """Lay out a store with the files of another one, but for the chunks of some arrays, which are described anew."""
    for folder, folders, files in os.walk(store, onerror=_refuse):
        here = Path(folder).relative_to(store)
        if here.name == "c" and here.parent.as_posix() in described:
            folders.clear()
            continue
        (new / here).mkdir()
        for name in files:
            # By the inode of its metadata a store is told from the one that was at its path before.
            how = shutil.copyfile if name == metadata.NAME else disk.link
            how(Path(folder, name), new / here / name)
    for path, describe in described.items():
        node = new / path / metadata.NAME
        node.write_text(json.dumps(describe(json.loads(node.read_bytes()))))


def _seal(store: Path, new: Path, event: str) -> None:
    known = metadata.attributes(store)
    metadata.lay_out(new, {**known, "history": layout.noted(known["history"], event)}, store)


def _sound(chunks: Chunks, key: Key) -> bytes:
    try:
        return chunks.sound(key)
    except _DAMAGE as error:
        raise _damaged(chunks.store, chunks.label(key)) from error


def _as_found(chunks: Chunks, key: Key) -> bytes:
    """Return a chunk, sound or not; one that is lost becomes an empty file, which nobody reads as fill values."""
    try:
        return chunks.stored(key)
    except _DAMAGE as error:
        log.warning("%s is lost: %s", chunks.label(key), error)
        return b""


def _damaged(store: Path, what: str) -> StoreError:
    return StoreError(
        f"{what} is missing or damaged, and damage isn't packed",
        where=store,
        remedy=f"Run 'stemdask verify {store} --repair', then the command of the run: it repeats only what is damaged",
    )


def _file(store: Path, path: str, key: Key) -> Path:
    """Return the file of a chunk or shard, whose folder is there then."""
    file = store / "/".join([path, "c", *map(str, key)])
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _count(store: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(store, onerror=_refuse))


def _refuse(error: OSError) -> None:
    raise error
