"""DigitalMicrograph 3 and 4."""

from __future__ import annotations

from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.signals import image_signals
from stemdask.sources.images.stack import OpenStack


def open_dm(path: str) -> list[OpenStack]:
    """Open every image of a file."""
    return [image.opened() for image in image_signals(path, "rsciio.digitalmicrograph")]


FORMAT = ImageFormat(
    name="dm",
    suffixes=(".dm3", ".dm4"),
    noun="a DigitalMicrograph file",
    magic=((0, b"\0\0\0\x03"), (0, b"\0\0\0\x04")),
    stores_pixels=True,
    open=open_dm,
)
