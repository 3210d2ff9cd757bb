"""One image file of any format as a lazy stack of frames, by rosettasciio where it has a lazy reader."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.model import Array
from stemdask.sources.hdf5 import hspy_reader
from stemdask.sources.headers import colour, mrc_order
from stemdask.sources.ser import open_ser
from stemdask.sources.stack import OpenStack, Stack, calibrate
from stemdask.sources.tiff import open_tiff
from stemdask.sources.zarr_images import open_zarr

_READERS = {
    "dm": "rsciio.digitalmicrograph",
    "hspy": "rsciio.hspy",
    "emd": "rsciio.emd",
    "mrc": "rsciio.mrc",
    "png": "rsciio.image",
}
#: Formats that say which axes are scanned: an image has none of them among its last two.
_NAVIGATED = frozenset({"dm", "hspy", "emd"})
#: Chunks of several frames are kept after the first up to this size, so that the others don't decode them again.
_KEPT_BYTES = 1 << 27


def open_stacks(path: str, fmt: str) -> list[OpenStack]:
    """Open every image or stack of images that a file holds; spectra and tables are left out."""
    if fmt == "zarr":
        return open_zarr(path)
    if fmt == "tiff":
        return [open_tiff(path)]
    if fmt == "ser":
        return [open_ser(path)]
    if fmt == "npy":
        return [_open_npy(path)]
    reader = importlib.import_module(_READERS[fmt]).file_reader
    options = {"endianness": mrc_order(path), "metadata_file": None} if fmt == "mrc" else {}
    signals = reader(path, lazy=True, **options)
    stacks = [
        stack for number, signal in enumerate(signals) if (stack := _from_signal(path, fmt, signal, number)) is not None
    ]
    if not stacks:
        held = ", ".join(f"{signal['data'].dtype} {signal['data'].shape}" for signal in signals[:4])
        raise InputError(
            f"holds no image ({held or 'nothing'})", where=path, remedy="Export the images; spectra can't be analysed"
        )
    return stacks


def _open_npy(path: str) -> OpenStack:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim < 2:
        raise InputError(f"holds no image ({array.dtype} {array.shape})", where=path)
    frames = array.reshape(-1, *array.shape[-2:])
    stack = Stack(Path(path).stem, frames.shape, array.dtype, calibrate([]))
    return OpenStack(stack, lambda index: np.array(frames[index]))


def _from_signal(path: str, fmt: str, signal: Mapping[str, Any], number: int) -> OpenStack | None:
    """Make a stack of a rosettasciio signal; None where it isn't an image."""
    data = signal["data"]
    if fmt == "mrc" and mrc_order(path) == ">":
        data = data.view(data.dtype.newbyteorder(">"))  # the reader swaps the header alone
    if data.dtype.names is not None:
        raise colour(path, "RGB")
    axes = [dict(axis) for axis in signal["axes"]]
    if data.ndim < 2 or data.ndim != len(axes) or (fmt in _NAVIGATED and axes[-2].get("navigate")):
        return None
    if data.dtype.kind == "c" or _is_spectral(signal, axes):  # complex: a Fourier transform or a phase contrast
        return None
    order = _image_axes_last([str(axis.get("name") or "") for axis in axes])
    data, axes = data.transpose(order), [axes[k] for k in order]
    shape = (math.prod(data.shape[:-2]), data.shape[-2], data.shape[-1])
    frames = data.reshape(shape)
    problems: tuple[str, ...] = ()
    if fmt == "emd" and (depth := frames.chunksize[0]) * shape[1] * shape[2] * data.dtype.itemsize > _KEPT_BYTES:
        problems = (f"its chunks hold {depth} frames each: reading one frame reads them all, which is slow",)
    read = (hspy_reader(path, number, shape) if fmt == "hspy" else None) or _dask_reader(frames, keep=fmt == "emd")
    title = signal.get("metadata", {}).get("General", {}).get("title") or Path(path).stem
    calibration = calibrate(axes[-2:] if fmt != "png" else [])
    return OpenStack(Stack(str(title), shape, data.dtype, calibration, problems), read)


def _is_spectral(signal: Mapping[str, Any], axes: list[dict[str, Any]]) -> bool:
    """Tell a spectrum image, whose "frames" would be channels of energy."""
    kind = str(signal.get("metadata", {}).get("Signal", {}).get("signal_type", ""))
    if kind.startswith(("EELS", "EDS")) or any(str(axis.get("units")) in ("eV", "keV") for axis in axes):
        return True
    tags: Any = signal.get("original_metadata", {})
    for name in ("ImageList", "TagGroup0", "ImageTags", "Meta Data", "Format"):
        tags = tags.get(name, {}) if isinstance(tags, Mapping) else {}
    return str(tags).startswith("Spectrum")


def _image_axes_last(names: list[str]) -> list[int]:
    """Return the order of axes that puts y and x last, where both are named; writers of EMD differ in it."""
    order = list(range(len(names)))
    if names.count("y") == names.count("x") == 1:
        last = [names.index("y"), names.index("x")]
        order = [k for k in order if k not in last] + last
    return order


def _dask_reader(frames: Any, *, keep: bool) -> Callable[[int], Array]:
    """Read frames of a dask array; with `keep`, the last chunks too, where a chunk holds several frames.

    The caller is a worker thread already, hence no second pool of threads.
    """
    ends = np.cumsum(frames.chunks[0])
    frame_bytes = max(1, math.prod(frames.shape[1:]) * frames.dtype.itemsize)

    @lru_cache(maxsize=2)
    def slab(start: int, stop: int) -> Array:
        return np.asarray(frames[start:stop].compute(scheduler="synchronous"))

    def read(index: int) -> Array:
        chunk = int(np.searchsorted(ends, index, side="right"))
        start, stop = int(ends[chunk - 1]) if chunk else 0, int(ends[chunk])
        if not keep or stop - start == 1 or (stop - start) * frame_bytes > _KEPT_BYTES:
            return np.asarray(frames[index].compute(scheduler="synchronous"))
        return np.asarray(slab(start, stop)[index - start])

    return read
