"""What a format of images is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stemdask.sources.format import Format
from stemdask.sources.images.stack import OpenStack


def _nothing(path: str) -> list[str]:
    del path
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFormat(Format):
    """How a file of images is checked and opened."""

    open: Callable[[str], list[OpenStack]]
    """Return every image, or stack of images, of a file; raise InputError where it holds none."""
    check: Callable[[str], list[str]] = _nothing
    """Refuse a file that declares more than it holds before a reader believes it; return warnings."""
    stores_pixels: bool = False
    """Whether the pixels lie in the file as they are: a stack of more bytes than the file is refused."""
