"""Images in zarr groups, as xarray or zarr itself writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.stack import OpenStack, Stack, calibrate

_RUNS_CODE = re.compile(r"\"(?:id|name)\": \"((?:numcodecs\.)?pickle)\"", re.I)


def open_zarr(path: str) -> list[OpenStack]:
    """Open the numeric arrays of two or three dimensions in a zarr group, with xarray's or stemdask's attributes.

    A store of results has one image, the average of the aligned frames where they were registered.
    """
    arrays = _arrays(path, zarr.open(path, mode="r"))
    stacks = []
    for name, array in arrays.items():
        if array.ndim not in (2, 3) or array.dtype.kind not in "iufb":
            continue
        _check_codecs(path, array)
        dims = _dims(array)
        axes = [_zarr_axis(arrays.get(dim)) for dim in dims[-2:]]
        n_frames = array.shape[0] if array.ndim == 3 else 1
        shape = (n_frames, array.shape[-2], array.shape[-1])
        missing = array.nchunks - array.nchunks_initialized
        problems = []
        if missing:
            problems.append(f"{missing} of {array.nchunks} chunks of {name} are missing: they read as the fill value")
        if array.ndim == 3 and _goes_on(path, array):
            problems.append(f"more chunks of {name} are there than its shape of {array.shape} takes: they aren't read")
        stack = Stack(name, shape, array.dtype, calibrate(axes), tuple(problems))
        stacks.append(OpenStack(stack, _zarr_reader(array)))
    if not stacks:
        held = ", ".join(f"{array.dtype} {array.shape}" for array in list(arrays.values())[:4])
        raise InputError(
            f"holds no image ({held or 'nothing'})", where=path, allowed="real numbers of 2 or 3 dimensions"
        )
    return stacks


def _arrays(path: str, node: Any) -> dict[str, Any]:
    """Return the arrays of a group by name; of a store of results the average and its axes."""
    if isinstance(node, zarr.Array):
        return {Path(path).stem: node}
    return _averaged(path, node) if "stemdask_version" in node.attrs else dict(node.arrays())


def _averaged(path: str, store: Any) -> dict[str, Any]:
    average = "registration/average"
    if average not in store:
        raise InputError(
            "a store of results, without an average of its frames",
            where=path,
            allowed=f"a store with {average}, which is read as one image",
            remedy="Name the files that it was made of; to add an analysis, add it to the config of that run",
        )
    group = store["registration"]
    return {name: group[name] for name in ("average", "y", "x") if name in group}


def _goes_on(path: str, array: Any) -> bool:
    """Tell whether there are frames beyond those that the shape states."""
    size = (getattr(array, "shards", None) or array.chunks)[0]
    key = array.metadata.encode_chunk_key((-(-array.shape[0] // size), 0, 0))
    return Path(path, array.path, key).exists()


def _check_codecs(path: str, array: Any) -> None:
    """Refuse codecs that run code when they decode."""
    text = json.dumps(array.metadata.to_dict(), default=str)
    if named := _RUNS_CODE.search(text):
        raise InputError(f"the array {array.name} is encoded by {named[1]}", where=path, remedy="Save it as numbers")


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


FORMAT = ImageFormat(
    name="zarr",
    suffixes=(".zarr",),
    noun="a zarr group",
    folder=True,
    general=True,
    open=open_zarr,
)
