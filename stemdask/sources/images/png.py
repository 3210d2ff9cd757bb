"""PNG that is truly grey, of 8 or 16 bits."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from stemdask.errors import InputError
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import check_size
from stemdask.sources.images.pictures import check_depth, open_picture
from stemdask.sources.images.stack import OpenStack

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = 0
"""Colour type of one channel."""
_PIECE = 1 << 20


def check_chunks(path: str) -> list[str]:
    """Hold every chunk against its checksum; refuse what would lose levels or frames."""
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        place, kind = file.seek(len(_SIGNATURE)), b""
        while kind != b"IEND":
            check_size(path, place + 12, size)
            length, kind = struct.unpack(">I4s", file.read(8))
            check_size(path, place + 12 + length, size)
            if (place == len(_SIGNATURE)) != (kind == b"IHDR"):
                raise InputError("the PNG doesn't begin with its header", where=path)
            head = file.read(min(length, _PIECE))
            checksum = zlib.crc32(head, zlib.crc32(kind))
            for done in range(len(head), length, _PIECE):
                checksum = zlib.crc32(file.read(min(length - done, _PIECE)), checksum)
            if struct.pack(">I", checksum) != file.read(4):
                raise InputError(
                    f"the chunk at byte {place} doesn't match its checksum",
                    where=path,
                    remedy="The file is damaged; copy it again from its origin",
                )
            if kind == b"IHDR":
                _check_header(path, head)
            elif kind == b"acTL":
                raise InputError("an animated PNG", where=path, remedy="Save each frame in a file of its own")
            place += 12 + length
    return []


def _check_header(path: str, head: bytes) -> None:
    _, _, bits, colour_type = struct.unpack_from(">IIBB", head)
    check_depth(path, bits)
    if bits > 8 and colour_type != _GREY:
        raise InputError(
            "a PNG of several channels of 16 bits, which the decoder would cut to 8",
            where=path,
            allowed="16 bits in one channel",
            remedy="Save the frames as grey images",
        )


def open_png(path: str) -> list[OpenStack]:
    """Open the image of a file."""
    from PIL.PngImagePlugin import PngImageFile

    return open_picture(path, PngImageFile, check_chunks)


FORMAT = ImageFormat(
    name="png",
    suffixes=(".png",),
    noun="a PNG file",
    magic=((0, _SIGNATURE),),
    general=True,
    check=check_chunks,
    open=open_png,
)
