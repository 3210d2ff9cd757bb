"""A store as an export sees it: variables with their descriptions, and blocks of frames to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from stemdask.model import Array, FrameStatus
from stemdask.store.layout import CHECKSUMS, FRAME, STATUS, count_of, open_group


@dataclass(frozen=True, slots=True)
class Stored:
    """One variable of the store."""

    path: str
    dims: tuple[str, ...]
    dtype: np.dtype[Any]
    units: str
    long_name: str
    flags: Mapping[int, str] = field(hash=False)
    """Meaning of its integer values, where they are flags."""
    error: str | None = None
    """Path of the variable that holds its standard error."""

    @property
    def meaning(self) -> str:
        """The flags in words: "0 no, 1 yes"."""
        return ", ".join(f"{value} {word}" for value, word in self.flags.items())

    @property
    def group(self) -> str:
        """Group of the store that holds it."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Name within its group."""
        return self.path.rpartition("/")[2]


class Blocks:
    """Read access to a store by variable and block of frames; what is on disk, whether or not the run is finished."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._root = open_group(store)
        self.variables = {
            path: _stored(path, array)
            for path, array in sorted(_arrays(self._root))
            if path not in (CHECKSUMS, FRAME.path)  # a table counts its frames by itself
        }
        status = self._root[STATUS]
        self.n_frames = int(status.shape[0])
        self._block = int(status.chunks[0])
        self._good = np.asarray(status[...]) == FrameStatus.OK

    def blocks(self) -> Iterator[slice]:
        """Yield the frames of each block."""
        for start in range(0, self.n_frames, self._block):
            yield slice(start, min(start + self._block, self.n_frames))

    def good(self, frames: slice) -> Array:
        """Tell which frames of a block have results."""
        return np.asarray(self._good[frames])

    def lengths(self, dim: str, frames: slice) -> Array | None:
        """Return the true length of a ragged dimension in each frame; None if every frame has the same."""
        path = count_of(dim)
        if path not in self.variables:
            return None
        return np.where(self._good[frames], np.maximum(self.read(path, frames), 0), 0)

    def read(self, path: str, part: slice = slice(None)) -> Array:
        """Read a variable, or a part along its first dimension."""
        array = self._root[path]
        return np.asarray(array[part] if array.ndim else array[()])

    def lazy(self, path: str) -> Any:
        """Return a variable as a dask array, one chunk for each of the store's."""
        import dask.array as da

        return da.from_zarr(self._root[path])  # type: ignore[no-untyped-call]

    def shape(self, path: str) -> tuple[int, ...]:
        """Return the shape of a variable."""
        return tuple(int(length) for length in self._root[path].shape)

    def has(self, path: str) -> bool:
        """Tell whether the store holds a variable."""
        return path in self.variables


def _arrays(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, array in group.arrays():
        yield prefix + name, array
    for name, inner in group.groups():
        yield from _arrays(inner, f"{prefix}{name}/")


def _stored(path: str, array: Any) -> Stored:
    attributes = dict(array.attrs)
    words = str(attributes.get("flag_meanings", "")).split()
    values = [int(value) for value in np.atleast_1d(attributes.get("flag_values", ()))]
    error = attributes.get("ancillary_variables")
    return Stored(
        path=path,
        dims=tuple(array.metadata.dimension_names or ()),
        dtype=np.dtype(object) if array.dtype.kind in "TUO" else np.dtype(array.dtype),
        units=str(attributes.get("units", "1")),
        long_name=str(attributes.get("long_name", "")),
        flags=dict(zip(values, words, strict=False)),
        error=str(PurePosixPath(path).parent / error) if error and "/" not in error else error,
    )
