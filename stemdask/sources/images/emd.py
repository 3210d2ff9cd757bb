"""EMD of Velox, of NCEM and of py4DSTEM: HDF5, whose chunks may hold several frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from stemdask.kernels.arrays import Array
from stemdask.sources.images.hdf5 import KEPT_BYTES, hdf5_format, hdf5_signals
from stemdask.sources.images.signals import ImageSignal, computed
from stemdask.sources.images.stack import OpenStack


def open_emd(path: str) -> list[OpenStack]:
    """Open every image of a file."""
    return [_opened(image) for image in hdf5_signals(path, "rsciio.emd")]


def _opened(image: ImageSignal) -> OpenStack:
    depth = image.frames.chunksize[0]
    if depth * image.frame_bytes > KEPT_BYTES:
        problem = f"its chunks hold {depth} frames each: reading one frame reads them all, which is slow"
        return image.opened(_chunk_reader(image), (problem,))
    return image.opened(_chunk_reader(image))


def _chunk_reader(image: ImageSignal) -> Callable[[int], Array]:
    """Read frames, and keep the last chunks where a chunk holds several of them."""
    frames = image.frames
    ends = np.cumsum(frames.chunks[0])

    @lru_cache(maxsize=2)
    def chunk(start: int, stop: int) -> Array:
        return computed(frames[start:stop])

    def read(index: int) -> Array:
        which = int(np.searchsorted(ends, index, side="right"))
        start, stop = int(ends[which - 1]) if which else 0, int(ends[which])
        if stop - start == 1 or (stop - start) * image.frame_bytes > KEPT_BYTES:
            return image.read(index)
        return np.asarray(chunk(start, stop)[index - start])

    return read


FORMAT = hdf5_format("emd", open_emd)
