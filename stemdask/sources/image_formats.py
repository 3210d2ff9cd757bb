"""One image file of any format as a lazy stack of frames, by rosettasciio where it has a lazy reader."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.model import Array
from stemdask.units import parse_length

_READERS = {
    "dm": "rsciio.digitalmicrograph",
    "hspy": "rsciio.hspy",
    "emd": "rsciio.emd",
    "tiff": "rsciio.tiff",
    "mrc": "rsciio.mrc",
    "ser": "rsciio.tia",
    "png": "rsciio.image",
    "npy": "rsciio.numpy",
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """Size and place of the pixels along (y, x) in nm, or why they aren't known."""

    pixel_size: tuple[float, float] | None
    offset: tuple[float, float] = (0.0, 0.0)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class OpenStack:
    """One file opened in this process: frames are read from it when asked for."""

    title: str
    shape: tuple[int, int, int]
    """(n_frames, ny, nx)."""
    dtype: np.dtype[Any]
    calibration: Calibration
    read: Callable[[int], Array]
    """Return one frame, (ny, nx), in the file's dtype."""


def open_stacks(path: str, fmt: str) -> list[OpenStack]:
    """Open every image or stack of images that a file holds; spectra and tables are left out."""
    if fmt == "zarr":
        return _open_zarr(path)
    reader = importlib.import_module(_READERS[fmt]).file_reader
    stacks = [stack for signal in reader(path, lazy=True) if (stack := _from_signal(path, fmt, signal)) is not None]
    if not stacks:
        raise InputError("holds no image", where=path, remedy="Export the images alone; spectra can't be analysed")
    return stacks


def _from_signal(path: str, fmt: str, signal: Mapping[str, Any]) -> OpenStack | None:
    """Make a stack of a rosettasciio signal; None where it isn't an image."""
    data = signal["data"]
    if data.dtype.names is not None or data.ndim not in (2, 3, 4):
        return None
    general = signal.get("metadata", {}).get("General", {})
    axes = list(signal["axes"])[-2:]
    if len(axes) < 2 or (fmt in ("dm", "hspy", "emd", "ser") and axes[-2].get("navigate")):
        return None
    shape = (math.prod(data.shape[:-2]), data.shape[-2], data.shape[-1])
    frames = data.reshape(shape)
    read = _tiff_reader(path) if fmt == "tiff" and shape[0] > 1 else _dask_reader(frames)
    return OpenStack(
        title=str(general.get("title") or Path(path).stem),
        shape=shape,
        dtype=data.dtype,
        calibration=_calibrate(axes, stated=fmt not in ("npy", "png")),
        read=read,
    )


def _dask_reader(frames: Any) -> Callable[[int], Array]:
    # The caller is a worker thread already: no second pool of threads.
    return lambda index: np.asarray(frames[index].compute(scheduler="synchronous"))


def _tiff_reader(path: str) -> Callable[[int], Array]:
    """Read single pages: rosettasciio's lazy TIFF array is one chunk, the whole file."""
    import tifffile

    def read(index: int) -> Array:
        with tifffile.TiffFile(path) as tiff:
            return np.asarray(tiff.asarray(key=index, series=0))

    return read


def _calibrate(axes: Sequence[Mapping[str, Any]], *, stated: bool) -> Calibration:
    """Read scale and offset of the (y, x) axes; a scale without a unit says nothing."""
    units = [str(axis.get("units") or "") for axis in axes]
    scales = [float(axis.get("scale", 1.0)) for axis in axes]
    offsets = [float(axis.get("offset", 0.0)) for axis in axes]
    if not stated or all(unit in ("", "<undefined>", "px") for unit in units):
        bare = [scale for scale in scales if scale != 1.0]
        hint = f"; its scale {bare[0]:.6g} has no unit" if bare else ""
        return Calibration(None, problem=f"the file states no pixel size{hint}")
    try:
        lengths = [parse_length(repr(scale), unit.replace(" ", "")) for scale, unit in zip(scales, units, strict=True)]
        size = [length.nm() for length in lengths]
        factor = [parse_length("1", unit.replace(" ", "")).nm() for unit in units]
    except ValueError:
        return Calibration(None, problem=f"the axes are in {' and '.join(units)}, not a length")
    if not all(math.isfinite(value) and value > 0 for value in size):
        return Calibration(None, problem=f"the pixel size of the file is {size[0]:g} × {size[1]:g} nm")
    place = [offset * nm for offset, nm in zip(offsets, factor, strict=True)]
    return Calibration((size[0], size[1]), (place[0], place[1]))


def _open_zarr(path: str) -> list[OpenStack]:
    """Open the numeric arrays of two or three dimensions in a zarr group, with xarray's or stemdask's attributes."""
    import zarr

    node = zarr.open(path, mode="r")
    arrays = {Path(path).stem: node} if isinstance(node, zarr.Array) else dict(node.arrays())
    stacks = []
    for name, array in arrays.items():
        if array.ndim not in (2, 3) or array.dtype.kind not in "iufb":
            continue
        dims = _dims(array)
        axes = [_zarr_axis(arrays.get(dim)) for dim in dims[-2:]]
        n_frames = array.shape[0] if array.ndim == 3 else 1
        stacks.append(
            OpenStack(
                title=name,
                shape=(n_frames, array.shape[-2], array.shape[-1]),
                dtype=array.dtype,
                calibration=_calibrate(axes, stated=True),
                read=_zarr_reader(array),
            )
        )
    if not stacks:
        raise InputError("holds no image (a numeric array of 2 or 3 dimensions)", where=path)
    return stacks


def _zarr_reader(array: Any) -> Callable[[int], Array]:
    return lambda index: np.asarray(array[index] if array.ndim == 3 else array[...])


def _dims(array: Any) -> list[str]:
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return [str(name) for name in names] if names else [""] * array.ndim


def _zarr_axis(coordinate: Any) -> dict[str, Any]:
    if coordinate is None or coordinate.ndim != 1 or coordinate.shape[0] < 2:
        return {"units": "", "scale": 1.0, "offset": 0.0}
    values = np.asarray(coordinate[...], dtype=float)
    steps = np.diff(values)
    if not np.allclose(steps, steps[0], rtol=1e-3):
        return {"units": "", "scale": 1.0, "offset": 0.0}
    scale = (values[-1] - values[0]) / (len(values) - 1)
    return {"units": coordinate.attrs.get("units", ""), "scale": scale, "offset": values[0]}
