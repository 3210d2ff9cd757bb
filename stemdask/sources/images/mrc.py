"""MRC and stacks of it, frame by frame: header, extended header, sections (Cheng et al., J. Struct. Biol. 192, 146)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import check_size, colour, read_head
from stemdask.sources.images.stack import Calibration, OpenStack, Stack, calibrate

_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_REFUSED = {3: "complex numbers", 4: "complex numbers", 101: "4 bits a pixel"}
_HEADER_BYTES = 1024
_MAP = b"MAP"
_FEI_BYTES = 131_072
"""Length of the extended header of FEI's older programs; the header itself then holds no pixel size."""
_IMOD_STAMP = 1_146_047_817
_SIGNED_SINCE = 20_140
"""Version of the format that gave bytes a sign."""


@dataclass(frozen=True, slots=True)
class _Header:
    """The first bytes of a file, and how to read them."""

    content: bytes
    order: str
    """ "<" or ">"."""

    def ints(self, place: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"{self.order}{count}i", self.content, place)

    def floats(self, place: int, count: int) -> tuple[float, ...]:
        return struct.unpack_from(f"{self.order}{count}f", self.content, place)


def open_mrc(path: str) -> list[OpenStack]:
    """Open the sections of a file as one stack.

    Raises
    ------
    InputError
        The file declares more pixels than it holds, or pixels that aren't intensities.
    """
    head, size = read_head(path)
    if size < _HEADER_BYTES:
        raise InputError(f"an MRC header has {_HEADER_BYTES} bytes, the file {size}", where=path)
    header = _Header(head, _byte_order(head))
    nx, ny, nz, mode = header.ints(0, 4)
    space_group, extended = header.ints(88, 2)
    if min(nx, ny, nz) < 1 or extended < 0:
        raise InputError(f"declares {nx} × {ny} × {nz} pixels and {extended} bytes of header", where=path)
    dtype = _dtype(path, header, mode)
    start, frame_bytes = _HEADER_BYTES + extended, nx * ny * dtype.itemsize
    check_size(path, start + nz * frame_bytes, size)

    def read(index: int) -> Array:
        return np.fromfile(path, dtype, nx * ny, offset=start + index * frame_bytes).reshape(ny, nx)

    problems = []
    if dtype == np.int8 and not _tells_sign(header):
        problems.append("bytes are read as -128 to 127; older programs wrote 0 to 255, and the header doesn't tell")
    if space_group > 0 and nz > 1:
        problems.append(f"declares a volume: its {nz} sections are read as frames")
    if (held := (size - start) // frame_bytes) > nz:
        problems.append(f"declares {nz} frames, but has the bytes of {held}: the last {held - nz} are left out")
    stack = Stack(Path(path).stem, (nz, ny, nx), dtype, _calibration(header, extended), tuple(problems))
    return [OpenStack(stack, read)]


def _is_older(head: bytes) -> bool:
    """Tell whether what has no signature is of before 2000, when the format got one: by its axes and its mode."""
    if len(head) < _HEADER_BYTES:
        return False
    header = _Header(head, _byte_order(head))
    nx, ny, nz, mode = header.ints(0, 4)
    return min(nx, ny, nz) > 0 and mode in {*_TYPES, *_REFUSED} and sorted(header.ints(64, 3)) == [1, 2, 3]


def _byte_order(head: bytes) -> str:
    """Go by the machine stamp; without one by the axis that columns run along, which is 1, 2 or 3."""
    stamp = head[212:213] if head[208:211] == _MAP else b""
    if stamp in (b"\x11", b"\x44"):
        return ">" if stamp == b"\x11" else "<"
    return ">" if struct.unpack_from(">i", head, 64)[0] in (1, 2, 3) else "<"


def _dtype(path: str, header: _Header, mode: int) -> np.dtype[np.generic]:
    if mode == 16:
        raise colour(path, "MRC mode 16")
    if mode not in _TYPES:
        raise InputError(
            f"MRC mode {mode} ({_REFUSED.get(mode, 'unknown')}) is not read",
            where=path,
            allowed="modes 0, 1, 2, 6, 12",
            remedy="Save the frames as 16 bit integers or 32 bit floats",
        )
    return np.dtype("u1" if mode == 0 and not _has_sign(header) else header.order + _TYPES[mode])


def _has_sign(header: _Header) -> bool:
    """Tell whether bytes have a sign: by IMOD's flag, else the largest pixel that is stated, else the standard."""
    stamp, flags = header.ints(152, 2)
    return bool(flags & 1) if stamp == _IMOD_STAMP else header.floats(80, 1)[0] <= 127


def _tells_sign(header: _Header) -> bool:
    lowest, highest = header.floats(76, 2)
    return header.ints(152, 1)[0] == _IMOD_STAMP or lowest < highest or header.ints(108, 1)[0] >= _SIGNED_SINCE


def _calibration(header: _Header, extended: int) -> Calibration:
    """Read the pixel size: FEI's, in m, or the cell over its samples; a size of 0 says that it isn't known."""
    if extended == _FEI_BYTES and 0 < (metres := header.floats(_HEADER_BYTES + 44, 1)[0]) < 1e-6:
        return calibrate([{"units": "m", "scale": metres}] * 2)
    samples, cell, origin = header.ints(28, 3), header.floats(40, 3), header.floats(196, 3)
    columns, rows = header.ints(64, 2)
    x, y = (columns - 1, rows - 1) if {columns, rows} <= {1, 2, 3} else (0, 1)
    return calibrate(
        [
            {"units": "angstrom", "scale": cell[k] / samples[k] if samples[k] else 0.0, "offset": origin[k]}
            for k in (y, x)
        ]
    )


FORMAT = ImageFormat(
    name="mrc",
    suffixes=(".mrc", ".mrcs"),
    noun="an MRC file",
    magic=((208, _MAP + b" "), (208, _MAP + b"\0")),
    unsigned=_is_older,
    open=open_mrc,
)
