"""Arrays that numpy saved: the last two dimensions are y and x, all before are frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.stack import OpenStack, Stack, calibrate
from stemdask.sources.npy_header import MAGIC, check_header, holds_positions


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
    magic=MAGIC,
    looks=lambda head: not holds_positions(head),
    general=True,
    check=check_header,
    open=open_npy,
)
