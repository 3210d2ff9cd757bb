"""MRC of either byte order."""

from __future__ import annotations

import struct
from dataclasses import replace

from stemdask.errors import InputError
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import check_size, read_head
from stemdask.sources.images.signals import image_signals
from stemdask.sources.images.stack import OpenStack

_MODES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
"""Bytes a pixel of int8, int16, float32, uint16 and float16."""


def check_header(path: str) -> list[str]:
    """Refuse a file that declares more pixels than it holds, or pixels of an unknown kind."""
    head, size = read_head(path)
    if size < 1024:
        raise InputError(f"an MRC header has 1024 bytes, the file {size}", where=path)
    order = _byte_order(head)
    nx, ny, nz, mode = struct.unpack_from(order + "4i", head)
    (extended,) = struct.unpack_from(order + "i", head, 92)
    if mode not in _MODES:
        raise InputError("MRC mode not supported", where=path, value=mode, allowed="0, 1, 2, 6, 12")
    if min(nx, ny, nz) < 1 or extended < 0:
        raise InputError(f"declares {nx} × {ny} × {nz} pixels and {extended} bytes of header", where=path)
    check_size(path, 1024 + extended + nx * ny * nz * _MODES[mode], size)
    return []


def open_mrc(path: str) -> list[OpenStack]:
    """Open the stack of a file."""
    order = _byte_order(read_head(path)[0])
    images = image_signals(path, "rsciio.mrc", navigated=False, endianness=order, metadata_file=None)
    if order == ">":  # the reader swaps the header alone
        images = [replace(image, frames=image.frames.view(image.frames.dtype.newbyteorder(">"))) for image in images]
    return [image.opened() for image in images]


def _byte_order(head: bytes) -> str:
    """Return "<" or ">", by the machine stamp."""
    return ">" if head[212:213] == b"\x11" else "<"


FORMAT = ImageFormat(
    name="mrc",
    suffixes=(".mrc",),
    noun="an MRC file",
    magic=((208, b"MAP "), (208, b"MAP\0")),
    check=check_header,
    open=open_mrc,
)
