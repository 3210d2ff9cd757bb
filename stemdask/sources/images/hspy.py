"""HyperSpy's own HDF5 files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.images.hdf5 import KEPT_BYTES, hdf5_format
from stemdask.sources.images.signals import ImageSignal, image_signals
from stemdask.sources.images.stack import OpenStack


def open_hspy(path: str) -> list[OpenStack]:
    """Open every image of a file."""
    _check_chunks(path)
    return [image.opened(_direct_reader(path, image)) for image in image_signals(path, "rsciio.hspy")]


def _check_chunks(path: str) -> None:
    """Refuse pixels that are stored in one piece, of which rosettasciio reads no part."""
    import h5py

    with h5py.File(path, "r") as file:
        for experiment in file.get("Experiments", {}).values():
            data = experiment.get("data") if isinstance(experiment, h5py.Group) else None
            if isinstance(data, h5py.Dataset) and data.ndim and data.chunks is None:
                raise InputError(
                    f"{data.name} is stored in one piece, of which no single frame can be read",
                    where=path,
                    allowed="chunks, as HyperSpy writes them",
                    remedy="Save it again with HyperSpy, or by 'h5repack -l CHUNK=1x512x512'",
                )


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
