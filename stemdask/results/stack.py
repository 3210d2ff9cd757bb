"""The committed results of all frames, for analyses that run once after all frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from stemdask.analyses import chain
from stemdask.errors import StemdaskError
from stemdask.fence import inside
from stemdask.model import Array, Frame, Plan, Step, Variable
from stemdask.store import checksums, disk, finished, metadata
from stemdask.store.finished import Finished
from stemdask.store.layout import create_array, open_group, units_of, writable


class StoreStack:
    """Reads any variable of a store and writes those of stage `finish`; keeps no result in memory."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._root = open_group(Path(plan.store), "r+")
        self._written: set[str] = set()
        self._attributes: dict[str, dict[str, Any]] = {}
        self._writable: dict[str, Variable] = {
            variable.path: variable for variable in chain.declared(plan.source.kind, plan.steps, "finish")
        }
        self.n_frames: int = plan.source.n_frames
        self.blocks: Sequence[slice] = [
            slice(start, min(start + plan.block_frames, self.n_frames))
            for start in range(0, self.n_frames, plan.block_frames)
        ]

    def read(self, path: str, frames: slice = slice(None)) -> Array:
        """Read a variable, frames first; a missing value is NaN or -1."""
        inside.beat(path)
        array = self._root[path]
        per_frame = (array.metadata.dimension_names or ())[:1] == ("frame",)  # a number has no names
        return np.asarray(array[frames] if per_frame else array[...])

    def has(self, path: str) -> bool:
        """Tell whether the store holds the variable."""
        return path in self._root

    def units(self, variable: Variable) -> str:
        """Return the units in which the store holds a variable."""
        return units_of(variable, self._plan.calibrated)

    def frame(self, index: int) -> Frame:
        """Read the input of one frame again."""
        inside.beat(f"frame {index}")
        return self._plan.source.read(index)

    def write(self, path: str, values: Array, frames: slice | None = None) -> None:
        """Write a declared variable of stage `finish`: whole, or the frames of one block.

        Raises
        ------
        StemdaskError
            The variable isn't declared, or the frames aren't whole blocks.
        """
        inside.beat(path)
        variable = self._declared(path)
        self._written.add(path)
        values = np.asarray(values).astype(variable.dtype, casting="same_kind", copy=False)
        if frames is None:
            if path not in self._root or self._root[path].shape != values.shape:
                self._check_shape(variable, values)
                create_array(self._root, variable, values.shape, self._plan, overwrite=True)
            writable(self._root, path)[...] = values
            return
        if frames not in self.blocks:
            raise StemdaskError("frames must be those of one block", where=path, value=frames)
        fits = path in self._root and self._root[path].shape[1:] == values.shape[1:]
        if not fits and frames != self.blocks[0]:
            raise StemdaskError("the blocks of a variable differ in shape", where=path, value=values.shape)
        if not fits:
            shape = (self.n_frames, *values.shape[1:])
            create_array(self._root, variable, shape, self._plan, overwrite=True)
        writable(self._root, path)[frames] = values

    def set_attributes(self, group: str, attributes: Mapping[str, Any]) -> None:
        """Set JSON-able attributes of a group or a variable."""
        node = self._root[group] if group in self._root else self._root.require_group(group)
        node.attrs.update(dict(attributes))
        self._written.add(group)
        self._attributes.setdefault(group, {}).update(attributes)

    def write_file(self, path: str, content: bytes) -> None:
        """Write a file that the config asks for: it is there whole, or as it was before.

        Raises
        ------
        StorageError
            The file system refused.
        """
        inside.beat(path)
        disk.write_file(Path(path), content)

    def forget(self, step: Step) -> None:
        """Register that what an analysis wrote before doesn't hold any more."""
        attributes = self._root.attrs
        found = finished.read(attributes)
        declared = {v.path for v in chain.declared_by(self._plan.source.kind, self._plan.steps, [step.name], "finish")}
        sums = attributes.get("checksums", {})
        if found.pop(step.name, None) or declared & sums.keys():
            kept = {path: sums[path] for path in sums if path not in declared}
            self._update({"checksums": kept, **finished.written(found)})

    def commit(self, step: Step, made_of: str) -> None:
        """Register what an analysis wrote from results of this hash; refuse it if a declared variable is missing."""
        declared = chain.declared(self._plan.source.kind, [step], "finish")
        missing = [variable.path for variable in declared if variable.path not in self._root]
        if missing:
            raise StemdaskError(f"the analysis '{step.name}' did not write what it declares: {', '.join(missing)}")
        sums = dict(self._root.attrs.get("checksums", {}))
        for path in self._written & set(self._writable):
            sums[path] = checksums.once(path, checksums.parts(self._root[path]))
        groups = {str(group) for path in self._written for group in PurePosixPath(path).parents} - {"."}
        done = finished.read(self._root.attrs)
        done[step.name] = Finished(made_of, self._attributes)
        self._update({"checksums": sums, **finished.written(done)}, self._written | groups)
        self._written, self._attributes = set(), {}

    def _update(self, attributes: Mapping[str, Any], written: Collection[str] = ()) -> None:
        metadata.update(Path(self._plan.store), attributes, written)
        self._root = open_group(Path(self._plan.store), "r+")

    def _declared(self, path: str) -> Variable:
        if path not in self._writable:
            raise StemdaskError(
                f"{path} isn't declared as a result of stage 'finish'", allowed=", ".join(sorted(self._writable))
            )
        return self._writable[path]

    def _check_shape(self, variable: Variable, values: Array) -> None:
        known = {"frame": self.n_frames, **self._plan.sizes}
        wrong = values.ndim != len(variable.dims) or any(
            known.get(dim, n) != n for dim, n in zip(variable.dims, values.shape, strict=True)
        )
        if wrong:
            raise StemdaskError(
                f"{variable.path} was returned with the wrong shape",
                value=values.shape,
                allowed=", ".join(f"{dim}: {known.get(dim, 'any')}" for dim in variable.dims),
            )
