"""A store laid out anew for more analyses, with what it holds of the others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from stemdask.analyses import chain
from stemdask.model import Array, Plan
from stemdask.store import layout, metadata, place


def extend(old: Plan, new: Plan, kept: Collection[str], prepared: Mapping[str, Array]) -> None:
    """Lay out a store for the steps of another plan, all frames pending, and put it in the place of the old one.

    What the kept steps found stays with its checksums, by which a worker knows that it need not repeat it. Until the
    new store is whole the old one is in its place.

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
    own = zip(new.steps, chain.outputs(new.source.kind, new.steps), strict=True)
    stored = [v.path for step, found in own if step.name in kept for v in found if v.stored and v.stage == "run"]
    paths = [*stored, *(variable.path for variable in layout.frame_variables(new) if variable.path != layout.STATUS)]
    place.replace(lambda path: _lay_out(old, new, paths, prepared, path), Path(new.store))


def _lay_out(old: Plan, new: Plan, paths: Collection[str], prepared: Mapping[str, Array], path: Path) -> None:
    store = Path(old.store)
    before = layout.open_group(store)
    layout.create(new, prepared, path)
    root = layout.open_group(path, "r+")
    then, now = before[layout.CHECKSUMS], layout.writable(root, layout.CHECKSUMS)
    columns = {name: number for number, name in enumerate(then.attrs["paths"])}
    rows, known = np.asarray(then[...]), np.zeros(now.shape, now.dtype)
    for number, name in enumerate(now.attrs["paths"]):
        if name in paths and name in columns and before[name].shape == root[name].shape:
            known[:, number] = rows[:, columns[name]]
            _link(store / name / "c", path / name / "c")
    now[...] = known
    kept = {key: before.attrs[key] for key in ("created", "history")}
    attributes = {key: value for key, value in root.attrs.items() if key != metadata.SEAL}
    metadata.lay_out(path, attributes | kept, store)


def _link(source: Path, target: Path) -> None:
    """Give the chunks of an array a second name; copy them where the file system has no links."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_file)


def _link_file(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
