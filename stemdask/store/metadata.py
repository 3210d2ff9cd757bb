"""The metadata of a store: its root remembers every node and is sealed, so that all of it can be made again.

A store is described three times: by the `zarr.json` of each group and array, by the copy of all of these in the root's
(zarr's consolidated metadata), and by a copy of the root in the run directory. The seal is a hash over the root, so one
flipped bit in any of them is seen, and made again from the others. The root is written whole at once: no kill leaves a
store without its consolidated metadata.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stemdask.errors import StoreError
from stemdask.store import disk

#: Attribute of the root that holds the hash over all of it.
SEAL = "metadata_sha256"
NAME = "zarr.json"
_UNSEALED = "0" * 64


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a store."""

    attributes: Mapping[str, Any]
    """Of the root, without the seal."""
    nodes: Mapping[str, Mapping[str, Any]]
    """What the `zarr.json` of every group and array holds, by path."""
    sealed: bool
    """False for the store of a version that sealed nothing: less of it can be checked."""
    damaged: tuple[str, ...]
    """Files that aren't what they should be, by path within the store."""


def run_directory(store: str | Path) -> Path:
    """Return the directory beside a store that holds the plan, the lock, the log and scratch."""
    path = Path(store)
    return path.with_name(path.name.removesuffix(".zarr") + ".stemdask")


def read(store: Path) -> Metadata | None:
    """Return what is known of a store, from whichever copy is sound; None where there is no store of stemdask.

    Reads the metadata of every group and array, but no chunk.
    """
    own, copy = _load(store / NAME), _load(_copy_of(store))
    if copy is not None and (not _sealed(copy) or not _looks_like_one(store)):
        copy = None
    damaged: list[str] = []
    if own is None or (copy is not None and not _sealed(own)):
        if copy is None:
            return None
        own, damaged = copy, [NAME]
    if "fingerprint" not in own["attributes"]:
        return None
    sealed = _sealed(own)
    nodes = (own.get("consolidated_metadata") or {}).get("metadata") or _found(store)
    damaged += [f"{path}/{NAME}" for path, node in sorted(nodes.items()) if not _same(store / path, node, sealed)]
    return Metadata(_unsealed(own), nodes, sealed, tuple(damaged))


def attributes(store: Path) -> Mapping[str, Any]:
    """Return the attributes of the root of a store; none where there is none. Reads no other where it is sound."""
    own = _load(store / NAME)
    if own is not None and _sealed(own) and "fingerprint" in own["attributes"]:
        return _unsealed(own)
    known = read(store)
    return known.attributes if known is not None else {}


def is_known(store: Path) -> bool:
    """Tell whether there is a store of stemdask, sound or not; quicker than `read` where its root is sound."""
    own = _load(store / NAME)
    return "fingerprint" in own["attributes"] if own is not None else read(store) is not None


def lay_out(path: Path, attributes: Mapping[str, Any], store: Path) -> None:
    """Seal the metadata of what was just laid out at `path` and will be put at `store`."""
    files = sorted(path.glob(f"*/**/{NAME}"))
    nodes = {str(file.parent.relative_to(path)): json.loads(file.read_bytes()) for file in files}
    _write_nodes(path, nodes)
    _write(path, attributes, nodes, _copy_of(store))


def update(store: Path, attributes: Mapping[str, Any], written: Collection[str] = ()) -> None:
    """Change attributes of the root of a store, take the nodes as known that were made or written, and seal it again.

    Raises
    ------
    StorageError
        The file system refused; the metadata are as they were.
    """
    known = read(store)
    if known is None:
        raise StoreError("its metadata are missing", where=store, remedy="Run again with --fresh")
    nodes = {path: json.loads((store / path / NAME).read_bytes()) for path in written}
    nodes = {**known.nodes, **nodes}
    changed = {path for path in nodes if path in written or f"{path}/{NAME}" in known.damaged or not known.sealed}
    _write_nodes(store, {path: nodes[path] for path in changed})
    _write(store, {**known.attributes, **attributes}, nodes, _copy_of(store))


def mend(store: Path) -> tuple[str, ...]:
    """Make metadata again that are damaged; return which they were."""
    known = read(store)
    if known is None or not known.damaged:
        return ()
    for path, node in known.nodes.items():
        if f"{path}/{NAME}" in known.damaged:
            (store / path).mkdir(parents=True, exist_ok=True)
            disk.write_file(store / path / NAME, _text(node))
    _write(store, known.attributes, known.nodes, _copy_of(store))
    return known.damaged


def renew_copy(store: Path) -> None:
    """Make the copy of a sound root that of this store; a store that never took its place may have left its own."""
    known, copy = read(store), _copy_of(store)
    if known is None or not known.sealed or NAME in known.damaged:
        return
    root = (store / NAME).read_bytes()
    if not copy.is_file() or copy.read_bytes() != root:
        disk.write_file(copy, root)


def _write(path: Path, attributes: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]], copy: Path) -> None:
    """Write the root, first its copy: that is never older, so nothing is lost with the root."""
    root = {
        "attributes": {SEAL: _UNSEALED, **attributes},
        "zarr_format": 3,
        "node_type": "group",
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": dict(sorted(nodes.items(), key=lambda item: (item[0].count("/"), item[0]))),
        },
    }
    text = json.dumps(root, indent=2)
    text = text.replace(_UNSEALED, hashlib.sha256(text.encode()).hexdigest(), 1)
    if copy.parent.is_dir():  # not beside a store that was moved alone
        disk.write_file(copy, text)
    disk.write_file(path / NAME, text)


def _write_nodes(path: Path, nodes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the metadata of groups and arrays as zarr writes them today, so that bytes can be compared."""
    for name, node in nodes.items():
        if not _same(path / name, node, exactly=True):
            disk.write_file(path / name / NAME, _text(node))


def _sealed(root: Mapping[str, Any]) -> bool:
    return SEAL in root["attributes"]


def _unsealed(root: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in root["attributes"].items() if key != SEAL}


def _load(path: Path) -> dict[str, Any] | None:
    """Return a root; None where it isn't one, or isn't what was sealed."""
    try:
        text = path.read_bytes().decode()
        root = json.loads(text)
        attributes = root["attributes"]
        if SEAL in attributes:
            seal = attributes[SEAL]
            if hashlib.sha256(text.replace(seal, _UNSEALED, 1).encode()).hexdigest() != seal:
                return None
        return dict(root)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _copy_of(store: Path) -> Path:
    return run_directory(store) / "metadata.json"


def _looks_like_one(store: Path) -> bool:
    """Tell whether a folder holds the frames of a store, whatever became of its root."""
    return (store / "frames").is_dir() and not store.is_symlink()


def _found(store: Path) -> dict[str, Any]:
    """Return the nodes on disk; an older version could be killed before the root remembered them."""
    nodes = {}
    for file in sorted(store.glob(f"*/**/{NAME}")):
        with contextlib.suppress(OSError, ValueError):
            nodes[str(file.parent.relative_to(store))] = json.loads(file.read_bytes())
    return nodes


def _same(place: Path, node: Mapping[str, Any], exactly: bool) -> bool:
    try:
        text = (place / NAME).read_bytes()
        if exactly:
            return text == _text(node).encode()
        found = json.loads(text)
    except (OSError, ValueError):
        return False
    return all(found.get(key) == value for key, value in node.items() if key != "consolidated_metadata")


def _text(node: Mapping[str, Any]) -> str:
    return _indented(json.dumps(node))


@lru_cache(maxsize=1024)
def _indented(text: str) -> str:
    """Return a document as zarr writes it: Python indents it ten times as slowly as it writes it on one line."""
    return json.dumps(json.loads(text), indent=2)
