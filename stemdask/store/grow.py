"""More room for frames that overflowed: the store rewritten with larger capacities, between runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemdask.analyses import chain
from stemdask.model import Array, Block, FrameStatus, Plan, Variable
from stemdask.store import checksums, layout, metadata, place, recorded
from stemdask.store.statuses import read_statuses

HEAD_ROOM = 1.1


def make_room(plan: Plan) -> Plan:
    """Rewrite a store so that the frames that overflowed fit, with their blocks pending; return the plan of it.

    A store without such frames is left alone. An interrupted rewrite leaves the old store in its place.
    """
    root = layout.open_group(plan.store)
    overflowed = read_statuses(plan.store) == FrameStatus.OVERFLOW
    if not overflowed.any():
        return plan
    needed = {}
    for dim in layout.ragged_dims(plan):
        most = int(np.max(root[layout.count_of(dim)][:][overflowed]))
        if most > plan.sizes[dim]:
            needed[dim] = 16 * math.ceil(HEAD_ROOM * most / 16)
    larger = dataclasses.replace(plan, sizes={**plan.sizes, **needed})
    place.replace(lambda path: _rewrite(plan, larger, overflowed, path), Path(plan.store))
    return larger


def _rewrite(plan: Plan, larger: Plan, overflowed: NDArray[np.bool_], path: Path) -> None:
    old = layout.Opened(plan.store)
    kind, steps = plan.source.kind, plan.steps
    prepared = {v.path: np.asarray(old[v.path][...]) for v in chain.declared(kind, steps, "prepare")}
    attributes = layout.create_arrays(larger, prepared, path)
    new = layout.open_group(path, "r+")
    sums = layout.writable(new, layout.CHECKSUMS)
    variables = (*layout.frame_variables(plan), *chain.declared(kind, steps, "run"))
    targets = {variable.path: layout.writable(new, variable.path) for variable in variables}
    for start in range(0, plan.source.n_frames, plan.block_frames):
        block = Block(start // plan.block_frames, start, min(start + plan.block_frames, plan.source.n_frames))
        rows = slice(block.start, block.stop)
        pages = None if overflowed[rows].any() else _read(old, variables, block)
        if pages is None:
            continue  # stays pending
        row = dict.fromkeys(sums.attrs["paths"], 0)
        for variable in variables:
            target, values = targets[variable.path], pages[variable.path]
            page = np.full((len(values), *target.shape[1:]), layout.fill_value(variable), target.dtype)
            page[tuple(slice(n) for n in values.shape)] = values
            target[rows] = page
            row[variable.path] = checksums.of_block(variable.path, block.index, page)
        sums[block.index] = np.array(list(row.values()), np.uint32)
    before = metadata.attributes(Path(plan.store))
    kept = {key: before[key] for key in ("created", "history")}
    metadata.lay_out(path, attributes | kept, Path(plan.store))


def _read(root: layout.Opened, variables: Sequence[Variable], block: Block) -> dict[str, Array] | None:
    """Return what a store holds of a block, by path; None where some of it is damaged, and must be found again."""
    sums = recorded.sums_of(root, block)
    if sums is None:
        return None
    sums.pop(layout.STATUS, None)  # that of a block to be repeated was changed since
    found = {}
    for variable in variables:
        values = recorded.read(root, variable.path, block, sums)
        if values is None:
            return None
        found[variable.path] = values
    return found
