"""What the store holds already of the frames of a block that is to be done, of analyses that haven't changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stemdask.analyses import chain
from stemdask.model import Array, Block, Plan
from stemdask.store import checksums, layout


@dataclass(frozen=True, slots=True)
class Recalled:
    """What earlier runs found of a frame."""

    input_hash: int
    """Of the frame that they read."""
    values: Mapping[str, Array]
    """By path, all of an analysis or nothing, with their true lengths."""


def recall(plan: Plan, block: Block) -> dict[int, Recalled]:
    """Return what is known of frames of a block, by index; a value that its checksum doesn't confirm isn't known.

    A frame that failed is unknown.
    """
    root = layout.open_group(plan.store)
    if layout.CHECKSUMS not in root:
        return {}
    try:
        row = np.asarray(root[layout.CHECKSUMS][block.index]).tolist()
    except Exception:  # noqa: BLE001 - damage has many types, and is mended by doing the block again
        return {}
    sums = dict(zip(root[layout.CHECKSUMS].attrs["paths"], row, strict=True))
    counts = {dim: layout.count_of(dim) for dim in layout.ragged_dims(plan)}
    about = _read(root, (layout.ERROR, layout.INPUT_HASH, *counts.values()), block, sums)
    if about is None:
        return {}
    values: dict[str, Array] = {}
    dims: dict[str, tuple[str, ...]] = {}
    for own in chain.outputs(plan.source.kind, plan.steps):
        stored = {variable.path: variable.dims[1:] for variable in own if variable.stored and variable.stage == "run"}
        dims |= stored
        values |= _read(root, stored, block, sums) or {}
    found = {}
    for row, index in enumerate(range(block.start, block.stop)):
        if not str(about[layout.ERROR][row]) and values:
            parts = {dim: slice(int(about[path][row])) for dim, path in counts.items()}
            cut = {p: a[row][tuple(parts.get(dim, slice(None)) for dim in dims[p])] for p, a in values.items()}
            found[index] = Recalled(int(about[layout.INPUT_HASH][row]), cut)
    return found


def _read(root: Any, paths: Iterable[str], block: Block, sums: Mapping[str, int]) -> dict[str, Array] | None:
    """Return variables of a block; None where one of them isn't what its checksum says."""
    found = {}
    for path in paths:
        if not sums.get(path):
            return None
        try:
            found[path] = np.asarray(root[path][block.start : block.stop])
        except Exception:  # noqa: BLE001 - damage has many types, and is mended by doing the block again
            return None
        if checksums.of_block(path, block.index, found[path]) != sums[path]:
            return None
    return found
