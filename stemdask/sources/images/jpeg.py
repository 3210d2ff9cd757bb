"""JPEG that is truly grey."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from stemdask.errors import InputError
from stemdask.sources.guard import check_budget
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.pictures import open_picture
from stemdask.sources.images.stack import OpenStack

_LOSSY = "JPEG compression changes intensities, and displacements with them: use the images as they were recorded"
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""What ends a run of coded pixels; an escaped 255 and restarts don't."""
_END, _SCAN, _FIRST_SEGMENT = 0xD9, 0xDA, 0xC0


def check_segments(path: str) -> list[str]:
    """Follow the segments to the end of the image; a file that was cut off would decode to a grey rest.

    Coded pixels carry no checksum: a byte that was changed among them is found only where it makes a marker.
    """
    check_budget(path, Path(path).stat().st_size)
    data = Path(path).read_bytes()
    place = 2
    while (marker := _MARKER.match(data, place)) is not None:
        (kind,) = marker[1]
        if kind == _END:
            return [_LOSSY]
        if kind < _FIRST_SEGMENT or marker.end() + 2 > len(data):
            break
        place = marker.end() + struct.unpack_from(">H", data, marker.end())[0]
        if kind == _SCAN:
            behind = _MARKER.search(data, place)
            place = behind.start() if behind is not None else len(data)
    raise InputError(
        "ends before its image does" if place >= len(data) else f"no segment begins at byte {place}",
        where=path,
        remedy="The file is cut off or damaged; copy it again from its origin",
    )


def open_jpeg(path: str) -> list[OpenStack]:
    """Open the image of a file."""
    from PIL.JpegImagePlugin import JpegImageFile

    return open_picture(path, JpegImageFile, check_segments)


FORMAT = ImageFormat(
    name="jpeg",
    suffixes=(".jpg", ".jpeg"),
    noun="a JPEG file",
    magic=((0, b"\xff\xd8\xff"),),
    general=True,
    check=check_segments,
    open=open_jpeg,
)
