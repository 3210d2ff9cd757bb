"""What an image file declares, held against the bytes that it has, before a reader believes it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.guard import check_budget

_MRC_MODES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
"""Bytes a pixel of int8, int16, float32, uint16 and float16."""
_COLOUR_TYPES = {2: "RGB", 3: "a colour palette", 6: "RGB with transparency"}
_COLOUR = "Save the frames as grey images; colours have no intensity to measure"


def check_header(path: str, fmt: str, size: int) -> None:
    """Refuse a file that declares more than it holds, or something that isn't a stack of grey images."""
    if check := _CHECKS.get(fmt):
        with Path(path).open("rb") as file:
            head = file.read(1 << 16)
        check(path, head, size)


def check_size(path: str, declared: int, size: int) -> None:
    """Refuse a file with fewer bytes than it declares."""
    if declared > size:
        raise InputError(
            f"declares {declared} bytes of pixels and headers, the file has {size}",
            where=path,
            remedy="The file is cut off or damaged; copy it again from its origin",
        )


def colour(path: str, kind: str) -> InputError:
    """Return the error for a colour image."""
    return InputError(f"a colour image ({kind})", where=path, allowed="one intensity a pixel", remedy=_COLOUR)


def _npy(path: str, head: bytes, size: int) -> None:
    import io

    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject or dtype.names:
        raise InputError("an array of Python objects or records", where=path, allowed="numbers")
    check_size(path, stream.tell() + prod(shape) * dtype.itemsize, size)


def _mrc(path: str, head: bytes, size: int) -> None:
    if size < 1024:
        raise InputError(f"an MRC header has 1024 bytes, the file {size}", where=path)
    order = _mrc_order(head)
    nx, ny, nz, mode = struct.unpack_from(order + "4i", head)
    (extended,) = struct.unpack_from(order + "i", head, 92)
    if mode not in _MRC_MODES:
        raise InputError("MRC mode not supported", where=path, value=mode, allowed="0, 1, 2, 6, 12")
    if min(nx, ny, nz) < 1 or extended < 0:
        raise InputError(f"declares {nx} × {ny} × {nz} pixels and {extended} bytes of header", where=path)
    check_size(path, 1024 + extended + nx * ny * nz * _MRC_MODES[mode], size)


def mrc_order(path: str) -> str:
    """Return the byte order of an MRC file, "<" or ">", by its machine stamp."""
    with Path(path).open("rb") as file:
        return _mrc_order(file.read(256))


def _mrc_order(head: bytes) -> str:
    return ">" if head[212:213] == b"\x11" else "<"


def _png(path: str, head: bytes, size: int) -> None:
    del size
    if head[12:16] != b"IHDR":
        raise InputError("the PNG doesn't begin with its header", where=path)
    width, height, depth, kind = struct.unpack_from(">IIBB", head, 16)
    if kind in _COLOUR_TYPES:
        raise colour(path, _COLOUR_TYPES[kind])
    check_budget(path, width * height * max(4, depth // 8))


_CHECKS: dict[str, Callable[[str, bytes, int], None]] = {"npy": _npy, "mrc": _mrc, "png": _png}
