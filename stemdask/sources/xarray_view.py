"""Sources as lazy xarray objects: a frame is read when it is indexed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from stemdask.kernels.arrays import Array
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.images.source import ImageSource


class _Frames(BackendArray):
    """(frame, …) over a source; a frame is read when it is indexed."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, read: Callable[[int], Array]) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._read = read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._take)

    def _take(self, key: tuple[Any, ...]) -> Any:
        chosen = np.arange(self.shape[0])[key[0]]
        if np.ndim(chosen) == 0:
            return self._read(int(chosen))[key[1:]]
        rest = np.empty(self.shape[1:], self.dtype)[key[1:]].shape
        taken = np.empty((len(chosen), *rest), self.dtype)
        for at, index in enumerate(chosen):
            taken[at] = self._read(int(index))[key[1:]]
        return taken


def image_dataset(source: ImageSource) -> xr.Dataset:
    """Return a source as a dataset with the variable `image` (frame, y, x) and coordinates in nm, or in pixels."""
    unit = "nm" if source.calibrated else "pixel"
    shape = (source.n_frames, *source.shape)
    frames = _Frames(shape, np.float64 if source.wide else np.float32, lambda index: source.read(index).pixels)
    coordinates = {
        name: (name, start + step * np.arange(length), {"units": unit, "long_name": f"position along {name}"})
        for name, start, step, length in zip("yx", source.offset, source.pixel_size, source.shape, strict=True)
    }
    variable = xr.Variable(
        ("frame", "y", "x"),
        indexing.LazilyIndexedArray(frames),
        {"units": "1", "long_name": "intensity"},
        {"preferred_chunks": {"frame": 1, "y": source.shape[0], "x": source.shape[1]}},
    )
    attributes = {"title": source.title, "pixel_size": list(source.pixel_size), "warnings": list(source.warnings)}
    return xr.Dataset({"image": variable}, coordinates, attributes)


def image_array(source: ImageSource) -> xr.DataArray:
    """Return a source as a DataArray (frame, y, x) over dask, one chunk per frame."""
    dataset = image_dataset(source).chunk(frame=1)
    return dataset["image"].assign_attrs(dataset.attrs)


def atoms_dataset(source: AtomsSource) -> xr.Dataset:
    """Return a trajectory as positions (frame, atom, xyz) in angstrom and elements (frame, atom), read by frame.

    Frames with fewer atoms are padded with NaN and 0.
    """
    capacity = int(source.n_atoms.max(initial=0))

    def positions(index: int) -> Array:
        padded = np.full((capacity, 3), np.nan)
        frame = source.read(index)
        padded[: len(frame.positions)] = frame.positions
        return padded

    def element(index: int) -> Array:
        padded = np.zeros(capacity, np.uint8)
        frame = source.read(index)
        padded[: len(frame.numbers)] = frame.numbers
        return padded

    lazy_positions = _Frames((source.n_frames, capacity, 3), np.float64, positions)
    lazy_element = _Frames((source.n_frames, capacity), np.uint8, element)
    return xr.Dataset(
        {
            "positions": (
                ("frame", "atom", "xyz"),
                indexing.LazilyIndexedArray(lazy_positions),
                {"units": "angstrom", "long_name": "position of the atom"},
            ),
            "element": (
                ("frame", "atom"),
                indexing.LazilyIndexedArray(lazy_element),
                {"units": "1", "long_name": "atomic number, 0 where there is no atom"},
            ),
            "n_atoms": ("frame", source.n_atoms, {"units": "1", "long_name": "number of atoms"}),
        },
        {"xyz": list("xyz")},
        {"warnings": list(source.warnings)},
    )
