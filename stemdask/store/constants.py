"""The constants that a run prepares once: in the store for readers, and from there for every worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stemdask.analyses import chain
from stemdask.errors import StoreError
from stemdask.model import Array, Plan
from stemdask.store import checksums, metadata
from stemdask.store.layout import open_group, writable


def read_constants(plan: Plan) -> dict[str, Array]:
    """Return the constants of a run, by path.

    Raises
    ------
    StoreError
        One of them is damaged.
    """
    root = open_group(plan.store)
    sums = root.attrs.get("checksums", {})
    found: dict[str, Array] = {}
    for variable in chain.declared(plan.source.kind, plan.steps, "prepare"):
        path = variable.path
        try:
            array = root[path]
            if array.nchunks_initialized < array.nchunks:
                raise StoreError("a part is missing")  # would be read as fill values
            found[path] = np.asarray(array[...])
            if path in sums and sums[path] != checksums.once(path, [found[path]]):
                raise StoreError("its parts aren't those that were written")
        except Exception as error:  # damage has many types
            raise StoreError(f"{path} is damaged: {error}", where=plan.store, remedy="Run again") from error
    return found


def write_constants(plan: Plan, constants: Mapping[str, Array]) -> None:
    """Write the constants of a run anew."""
    root = open_group(plan.store, "r+")
    sums = dict(root.attrs.get("checksums", {}))
    for variable in chain.declared(plan.source.kind, plan.steps, "prepare"):
        array = writable(root, variable.path)
        array[...] = constants[variable.path]
        sums[variable.path] = checksums.once(variable.path, checksums.parts(array))
    metadata.update(Path(plan.store), {"checksums": sums})
