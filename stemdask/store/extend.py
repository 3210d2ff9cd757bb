"""A store laid out anew for more analyses, with what it holds of the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.analyses import chain
from stemdask.model import Array, Plan
from stemdask.store import checksums, disk, finished, layout, metadata, place
from stemdask.store.finished import Finished


def extend(old: Plan, new: Plan, kept: Collection[str], prepared: Mapping[str, Array]) -> None:
    """Lay out a store for the steps of another plan, all frames pending, and put it in the place of the old one.

    What the kept steps found stays with its checksums, by which a worker knows that it need not repeat it; what they
    did once after stays too. Until the new store is whole the old one is in its place.

    Parameters
    ----------
    old
        Plan of the store.
    new
        Plan that it shall have, with blocks of the same frames.
    kept
        Steps whose results stay.
    prepared
        Constants of the new plan, by path.
    """
    place.replace(lambda path: _lay_out(old, new, kept, prepared, path), Path(new.store))


def _lay_out(old: Plan, new: Plan, kept: Collection[str], prepared: Mapping[str, Array], path: Path) -> None:
    stored = chain.declared_by(new.source.kind, new.steps, kept, "run")
    paths = [v.path for v in (*stored, *layout.frame_variables(new)) if v.path != layout.STATUS]
    store = Path(old.store)
    before = layout.open_group(store)
    attributes = layout.create_arrays(new, prepared, path)
    root = layout.open_group(path, "r+")
    then, now = before[layout.CHECKSUMS], layout.writable(root, layout.CHECKSUMS)
    columns = {name: number for number, name in enumerate(then.attrs["paths"])}
    rows, known = np.asarray(then[...]), np.zeros(now.shape, now.dtype)
    for number, name in enumerate(now.attrs["paths"]):
        if name in paths and name in columns and before[name].shape == root[name].shape:
            known[:, number] = rows[:, columns[name]]
            _link(store / name / "c", path / name / "c")
    now[...] = known
    attributes |= {key: before.attrs[key] for key in ("created", "history")}
    found, sums = _finished(new, kept, before, root, path)
    attributes |= finished.written(found) | {"checksums": attributes["checksums"] | sums}
    metadata.lay_out(path, attributes, store)


def _finished(
    new: Plan, kept: Collection[str], before: Any, root: Any, path: Path
) -> tuple[dict[str, Finished], dict[str, str]]:
    """Take over what kept steps did once after, as far as it is sound; return it and its checksums."""
    sums = before.attrs.get("checksums", {})
    found: dict[str, Finished] = {}
    noted: dict[str, str] = {}
    for name, done in finished.read(before.attrs).items():
        own = [v.path for v in chain.declared_by(new.source.kind, new.steps, [name], "finish") if name in kept]
        if name not in kept or not all(_is_sound(before, one, sums) for one in own):
            continue
        for one in own:
            (path / one).parent.mkdir(exist_ok=True)
            _link(Path(new.store) / one, path / one)
        for node, attributes in done.attributes.items():
            (root[node] if node in root else root.require_group(node)).attrs.update(attributes)
        found[name] = done
        noted |= {one: sums[one] for one in own}
    return found, noted


def _is_sound(root: Any, path: str, sums: Mapping[str, str]) -> bool:
    try:
        return checksums.once(path, checksums.parts(root[path])) == sums[path]
    except Exception:  # noqa: BLE001 - damage has many types, and is mended by doing it again
        return False


def _link(source: Path, target: Path) -> None:
    """Give the files of an array a second name; copy them where the file system has no links.

    File by file: `shutil.copytree` gathers what fails in an error that no longer says how the system refused.
    """
    if not source.is_dir():
        return
    target.mkdir()
    for one in sorted(source.rglob("*")):
        place = target / one.relative_to(source)
        if one.is_dir():
            place.mkdir()
        else:
            disk.link(one, place)
