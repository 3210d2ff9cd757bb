"""HyperSpy's own HDF5 files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stemdask.kernels.arrays import Array
from stemdask.sources.images.hdf5 import KEPT_BYTES, hdf5_format, hdf5_signals
from stemdask.sources.images.signals import ImageSignal
from stemdask.sources.images.stack import OpenStack


def open_hspy(path: str) -> list[OpenStack]:
    """Open every image of a file."""
    return [image.opened(_direct_reader(path, image)) for image in hdf5_signals(path, "rsciio.hspy")]


def _direct_reader(path: str, image: ImageSignal) -> Callable[[int], Array] | None:
    """Return a reader of frames without Dask; None where the file is laid out in another way.

    A dask array with a chunk for every frame, as rosettasciio makes it, takes longer to index than a frame to read.
    """
    import h5py

    n_frames, ny, nx = image.frames.shape
    file = h5py.File(path, "r", rdcc_nbytes=KEPT_BYTES)
    try:
        data = list(file["Experiments"].values())[image.number]["data"]
        whole = data.shape[-2:] == (ny, nx) and data.size == n_frames * ny * nx
    except (KeyError, IndexError):
        whole = False
    if not whole:
        file.close()
        return None
    scanned = data.shape[:-2]

    def read(index: int) -> Array:
        return np.asarray(data[np.unravel_index(index, scanned)] if scanned else data[...])

    return read


FORMAT = hdf5_format("hspy", open_hspy)
