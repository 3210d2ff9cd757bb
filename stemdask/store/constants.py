"""The constants that a run prepares once: in the store for readers, and from there for every worker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stemdask.analyses import chain
from stemdask.errors import StoreError
from stemdask.model import Array, Plan
from stemdask.store.layout import open_group, writable


def read_constants(plan: Plan) -> dict[str, Array]:
    """Return the constants of a run, by path.

    Raises
    ------
    StoreError
        One of them is damaged.
    """
    root = open_group(plan.store)
    found: dict[str, Array] = {}
    for variable in chain.declared(plan.source.kind, plan.steps, "prepare"):
        try:
            array = root[variable.path]
            if array.nchunks_initialized < array.nchunks:
                raise StoreError("a part is missing")  # would be read as fill values
            found[variable.path] = np.asarray(array[...])
        except Exception as error:  # damage has many types
            raise StoreError(f"{variable.path} is damaged: {error}", where=plan.store, remedy="Run again") from error
    return found


def write_constants(plan: Plan, constants: Mapping[str, Array]) -> None:
    """Write the constants of a run anew."""
    root = open_group(plan.store, "r+")
    for variable in chain.declared(plan.source.kind, plan.steps, "prepare"):
        writable(root, variable.path)[...] = constants[variable.path]
