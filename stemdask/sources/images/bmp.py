"""BMP that is truly grey."""

from __future__ import annotations

import struct

from stemdask.errors import InputError
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import check_size, read_head
from stemdask.sources.images.pictures import check_depth, open_picture
from stemdask.sources.images.stack import OpenStack


def check_header(path: str) -> list[str]:
    """Refuse a file that is shorter than it says, or has too few levels."""
    head, size = read_head(path)
    if size < 30:
        raise InputError(f"a BMP header has 54 bytes, the file {size}", where=path)
    check_size(path, struct.unpack_from("<I", head, 2)[0], size)
    check_depth(path, struct.unpack_from("<H", head, 28)[0])
    return []


def open_bmp(path: str) -> list[OpenStack]:
    """Open the image of a file."""
    from PIL.BmpImagePlugin import BmpImageFile

    return open_picture(path, BmpImageFile, check_header)


FORMAT = ImageFormat(
    name="bmp",
    suffixes=(".bmp",),
    noun="a BMP file",
    magic=((0, b"BM"),),
    general=True,
    check=check_header,
    open=open_bmp,
)
