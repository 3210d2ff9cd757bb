"""What comes once after, and of what it was made: it stands as long as that is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stemdask.analyses import chain, registry
from stemdask.model import Plan
from stemdask.store import layout

#: Attribute of the root, by analysis.
FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Finished:
    """What an analysis did once after."""

    made_of: str
    """Hash of all that it read."""
    attributes: Mapping[str, Mapping[str, Any]]
    """That it set, by group or variable."""


def read(attributes: Mapping[str, Any]) -> dict[str, Finished]:
    """Return what is finished of a store with these attributes; nothing of the store of an earlier version."""
    found = attributes.get(FINISHED)
    return {name: Finished(**known) for name, known in found.items()} if isinstance(found, Mapping) else {}


def written(found: Mapping[str, Finished]) -> dict[str, Any]:
    """Return it as attributes of a root."""
    return {FINISHED: {name: {"made_of": one.made_of, "attributes": one.attributes} for name, one in found.items()}}


class Ingredients:
    """What the analyses of a run read of a store once after, told by the checksums of its blocks.

    Parameters
    ----------
    plan
        The run, of which no frame is pending.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        root = layout.open_group(plan.store)
        self._sums: dict[str, bytes] = {}
        if layout.CHECKSUMS in root:
            array = root[layout.CHECKSUMS]
            columns = np.ascontiguousarray(np.asarray(array[...]).T)
            self._sums = {path: column.tobytes() for path, column in zip(array.attrs["paths"], columns, strict=True)}

    def of(self, name: str) -> str:
        """Return the hash of what an analysis reads; "" where that isn't known, as in stores of early versions."""
        kind, steps = self._plan.source.kind, self._plan.steps
        if not self._sums or name not in self._plan.analysis_hashes:
            return ""
        analysis = registry.get(kind, name)
        reads = steps if analysis.derives or analysis.repeats else chain.leading_to(kind, steps, [name])
        paths = [v.path for v in chain.declared_by(kind, steps, [step.name for step in reads], "run")]
        paths += [v.path for v in layout.frame_variables(self._plan) if v.path not in layout.VOLATILE]
        found = hashlib.sha256(self._plan.analysis_hashes[name].encode())
        for path in sorted(paths):
            found.update(path.encode() + self._sums[path])
        return found.hexdigest()
