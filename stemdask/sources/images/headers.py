"""What an image file declares, compared with the bytes that it has, before a reader acts on it."""

from __future__ import annotations

from pathlib import Path

from stemdask.errors import InputError

_COLOUR = "Save the frames as grey images; colours have no intensity to measure"


def read_head(path: str) -> tuple[bytes, int]:
    """Return the first 64 kB of a file and its size in bytes."""
    with Path(path).open("rb") as file:
        return file.read(1 << 16), Path(path).stat().st_size


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
    return InputError(f"a colour image ({kind})", where=path, allowed="one intensity per pixel", remedy=_COLOUR)
