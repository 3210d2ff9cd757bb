"""TIA series (.ser) frame by frame: rosettasciio's reader takes the whole file into memory.

Layout: header, dimensions, one element per frame (calibrations, type, size, pixels from the bottom row up), and a table
of the elements' places (Boothroyd, "The TIA file format").
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import check_size
from stemdask.sources.images.stack import OpenStack, Stack, calibrate

_TYPES = {1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8"}
_IMAGES = 0x4122
_ELEMENT = struct.Struct("<ddiddiHii")


def open_ser(path: str) -> list[OpenStack]:
    """Open a series of images as one stack.

    Raises
    ------
    InputError
        A series of spectra, or one that declares more than the file holds, or frames of several sizes.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        version, kind, _, total, valid = struct.unpack("<HIIII", file.read(22)[4:])
        place = np.dtype("<u8" if version >= 0x0220 else "<u4")
        if kind != _IMAGES:
            raise InputError("a TIA series of spectra, not of images", where=path)
        if not 0 < valid <= total:
            raise InputError(f"declares {total} frames of which {valid} are valid", where=path)
        table = int(np.frombuffer(file.read(place.itemsize), place)[0])
        check_size(path, table + place.itemsize * total, size)
        file.seek(table)
        places = np.frombuffer(file.read(place.itemsize * valid), place).astype(np.int64)
        check_size(path, int(places.max()) + _ELEMENT.size, size)
        elements = []
        for start in places.tolist():
            file.seek(start)
            elements.append(_ELEMENT.unpack(file.read(_ELEMENT.size)))
    offset_x, scale_x, _, offset_y, scale_y, _, number, nx, ny = elements[0]
    if number not in _TYPES or min(nx, ny) < 1:
        raise InputError(f"declares {nx} × {ny} pixels of type {number}", where=path, allowed="1 to 8")
    if any(element[6:] != (number, nx, ny) for element in elements):
        raise InputError("its frames differ in size or number format", where=path)
    dtype = np.dtype(_TYPES[number])
    check_size(path, int(places.max()) + _ELEMENT.size + nx * ny * dtype.itemsize, size)

    def read(index: int) -> Array:
        pixels = np.fromfile(path, dtype, nx * ny, offset=int(places[index]) + _ELEMENT.size)
        return pixels.reshape(ny, nx)[::-1]

    calibration = calibrate(
        [
            {"units": "m", "scale": scale_y, "offset": offset_y},
            {"units": "m", "scale": scale_x, "offset": offset_x},
        ]
    )
    problems = (f"of {total} frames that it has room for, {valid} are valid: the others aren't read",)
    stack = Stack(Path(path).stem, (valid, ny, nx), dtype, calibration, problems if valid < total else ())
    return [OpenStack(stack, read)]


FORMAT = ImageFormat(
    name="ser",
    suffixes=(".ser",),
    noun="a TIA file",
    magic=((0, b"II\x97\x01"),),
    open=open_ser,
)
