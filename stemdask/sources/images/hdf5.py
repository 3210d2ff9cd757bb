"""HDF5 files are small file systems: what leads out of the file, or into too much of it, is refused."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.guard import check_budget
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.signals import ImageSignal, image_signals
from stemdask.sources.images.stack import OpenStack

KEPT_BYTES = 1 << 27
"""Chunks of several frames are kept up to this size, so that the next frame doesn't decode them again."""
_DEEPEST = 64
_MOST_NODES = 100_000
_cutting = threading.Lock()


def hdf5_format(name: str, open_images: Callable[[str], list[OpenStack]]) -> ImageFormat:
    """Return the record of a format that is laid out in HDF5."""
    return ImageFormat(
        name=name,
        suffixes=(f".{name}",),
        noun="an HDF5 file",
        magic=((0, b"\x89HDF\r\n\x1a\n"),),
        check=check_tree,
        open=open_images,
    )


def hdf5_signals(path: str, reader: str) -> list[ImageSignal]:
    """Return the images of a file, as `image_signals` does, also where their pixels are stored in one piece."""
    with _cut_into_frames():
        return image_signals(path, reader)


@contextmanager
def _cut_into_frames() -> Iterator[None]:
    """Have Dask read what is stored in one piece frame by frame.

    rosettasciio asks it for the chunks of the file, which are none then: Dask refuses that, or takes many frames at
    once.
    """
    import dask.array
    import h5py

    usual: Any = dask.array.from_array

    def cut(values: Any, chunks: Any = "auto", **more: Any) -> Any:
        if isinstance(values, h5py.Dataset) and values.chunks is None and values.ndim:
            chunks = (1,) * (values.ndim - 2) + values.shape[-2:]
        return usual(values, chunks, **more)

    with _cutting:
        dask.array.from_array = cut  # type: ignore[assignment]
        try:
            yield
        finally:
            dask.array.from_array = usual


def check_tree(path: str) -> list[str]:
    """Walk an HDF5 file without following a link out of it; return warnings.

    Raises
    ------
    InputError
        External links or storage, virtual datasets, groups nested too deeply, chunks that don't fit the memory
        budget, unknown filters, pixels that are no numbers.
    """
    import h5py

    warnings: list[str] = []
    with h5py.File(path, "r") as file:
        rooms = [(file["/"], 0)]
        n_nodes = 0
        while rooms:
            group, depth = rooms.pop()
            if depth > _DEEPEST:
                raise InputError(f"groups are nested more than {_DEEPEST} deep", where=path)
            for name in group:
                n_nodes += 1
                if n_nodes > _MOST_NODES:
                    raise InputError(f"holds more than {_MOST_NODES} groups and arrays", where=path)
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise _leads_out(path, f"{group.name}/{name} links to {link.filename}")
                if not isinstance(link, h5py.HardLink):
                    continue
                node = group[name]
                if isinstance(node, h5py.Group):
                    rooms.append((node, depth + 1))
                elif isinstance(node, h5py.Dataset):
                    warnings += _check_array(path, node)
    return warnings


def _check_array(path: str, array: Any) -> list[str]:
    import h5py

    properties = array.id.get_create_plist()
    if properties.get_external_count() or array.is_virtual:
        raise _leads_out(path, f"the pixels of {array.name} lie in other files")
    for k in range(properties.get_nfilters()):
        number, _, _, name = properties.get_filter(k)
        if not h5py.h5z.filter_avail(number):
            raise InputError(
                f"{array.name} is compressed by filter {number} ({name.decode('ascii', 'replace')}), "
                "which isn't installed",
                where=path,
                remedy="Install it (pip install hdf5plugin), or save the file with gzip",
            )
    if array.ndim >= 2 and array.dtype.hasobject and array.name.rpartition("/")[2].lower() == "data":
        raise InputError(f"{array.name} holds {_objects(array.dtype)} instead of pixels", where=path, allowed="numbers")
    item = array.dtype.itemsize if isinstance(array.dtype, np.dtype) else 8
    if array.chunks:
        n_bytes = item
        for length in array.chunks:
            n_bytes *= length
        check_budget(path, n_bytes)
    if array.ndim >= 3:
        _check_shape(path, array)
        if any(most is not None and most > n for n, most in zip(array.shape, array.maxshape, strict=True)):
            return [f"{array.name} has {array.shape} values where there is room for {array.maxshape}"]
    if array.ndim >= 2 and array.size and array.id.get_storage_size() == 0:
        return [f"{array.name} declares {array.shape} values of which none is stored: they read as the fill value"]
    return []


def _check_shape(path: str, array: Any) -> None:
    """Refuse an array with more chunks than its shape takes: frames would be left out without a word."""
    if not array.chunks:
        return
    taken = math.prod(-(-n // length) for n, length in zip(array.shape, array.chunks, strict=True))
    if (held := array.id.get_num_chunks()) > taken:
        raise InputError(
            f"{array.name} holds {held} chunks, and its shape of {array.shape} takes {taken}",
            where=path,
            remedy="The file is damaged; copy it again from its origin",
        )


def _objects(dtype: np.dtype[Any]) -> str:
    import h5py

    if h5py.check_string_dtype(dtype):
        return "texts"
    return "lists of changing length" if h5py.check_vlen_dtype(dtype) else "references"


def _leads_out(path: str, what: str) -> InputError:
    return InputError(what, where=path, remedy="Copy the data into one file; links to other files aren't followed")
