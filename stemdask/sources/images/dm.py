"""DigitalMicrograph 3 and 4."""

from __future__ import annotations

import math

from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.signals import ImageSignal, image_signals
from stemdask.sources.images.stack import OpenStack


def open_dm(path: str) -> list[OpenStack]:
    """Open every image of a file."""
    return [_opened(image) for image in image_signals(path, "rsciio.digitalmicrograph")]


def _opened(image: ImageSignal) -> OpenStack:
    shape = image.frames.shape
    if image.stored > math.prod(shape):
        return image.opened(problems=(f"{image.stored} values are stored, and its shape of {shape} takes fewer",))
    return image.opened()


FORMAT = ImageFormat(
    name="dm",
    suffixes=(".dm3", ".dm4"),
    noun="a DigitalMicrograph file",
    magic=((0, b"\0\0\0\x03"), (0, b"\0\0\0\x04")),
    stores_pixels=True,
    open=open_dm,
)
