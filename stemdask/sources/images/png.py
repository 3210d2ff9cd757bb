"""Grey PNG; it states no size of its pixels."""

from __future__ import annotations

import struct
from dataclasses import replace

from stemdask.errors import InputError
from stemdask.sources.guard import check_budget
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import colour, read_head
from stemdask.sources.images.signals import image_signals
from stemdask.sources.images.stack import OpenStack, calibrate

_COLOUR_TYPES = {2: "RGB", 3: "a colour palette", 6: "RGB with transparency"}


def check_header(path: str) -> list[str]:
    """Refuse colours, and an image that doesn't fit the memory budget."""
    head, _ = read_head(path)
    if head[12:16] != b"IHDR":
        raise InputError("the PNG doesn't begin with its header", where=path)
    width, height, depth, kind = struct.unpack_from(">IIBB", head, 16)
    if kind in _COLOUR_TYPES:
        raise colour(path, _COLOUR_TYPES[kind])
    check_budget(path, width * height * max(4, depth // 8))
    return []


def open_png(path: str) -> list[OpenStack]:
    """Open the image of a file."""
    images = image_signals(path, "rsciio.image", navigated=False)
    return [replace(image, calibration=calibrate([])).opened() for image in images]


FORMAT = ImageFormat(
    name="png",
    suffixes=(".png",),
    noun="a PNG file",
    magic=((0, b"\x89PNG\r\n\x1a\n"),),
    general=True,
    check=check_header,
    open=open_png,
)
