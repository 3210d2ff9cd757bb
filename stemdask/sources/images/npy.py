"""Arrays that numpy saved: the last two dimensions are y and x, all before are frames."""

from __future__ import annotations

import io
from math import prod
from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import check_size, read_head
from stemdask.sources.images.stack import OpenStack, Stack, calibrate


def check_header(path: str) -> list[str]:
    """Refuse objects, which only running code can read, and an array that is larger than its file."""
    head, size = read_head(path)
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject or dtype.names:
        raise InputError("an array of Python objects or records", where=path, allowed="numbers")
    check_size(path, stream.tell() + prod(shape) * dtype.itemsize, size)
    return []


def open_npy(path: str) -> list[OpenStack]:
    """Open an array of two dimensions or more as one stack."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim < 2:
        raise InputError(f"holds no image ({array.dtype} {array.shape})", where=path)
    frames = array.reshape(-1, *array.shape[-2:])
    stack = Stack(Path(path).stem, frames.shape, array.dtype, calibrate([]))
    return [OpenStack(stack, lambda index: np.array(frames[index]))]


FORMAT = ImageFormat(
    name="npy",
    suffixes=(".npy",),
    noun="a NumPy file",
    magic=((0, b"\x93NUMPY"),),
    general=True,
    check=check_header,
    open=open_npy,
)
