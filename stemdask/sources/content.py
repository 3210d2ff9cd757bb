"""What can be known about a file from its kind, size and first bytes, before a reader is called.

Readers trust their input: a header of 1 kB may make them allocate terabytes, a FIFO makes them wait indefinitely.
"""

from __future__ import annotations

import stat
from pathlib import Path

from stemdask.errors import InputError
from stemdask.sources import formats
from stemdask.sources.compressed import open_plain
from stemdask.sources.format import Format
from stemdask.sources.guard import os_error, reading


def check_file(path: str, fmt: Format) -> int:
    """Check that `path` is a regular, readable file whose first bytes fit its format; return its size in bytes."""
    place = Path(path)
    if fmt.folder:
        with reading(path):
            return sum(p.stat().st_size for p in place.rglob("*") if p.is_file())
    try:
        status = place.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("not a regular file", where=path, remedy="Name a file, not a folder, pipe or device")
        if status.st_size == 0:
            raise InputError("the file is empty (0 bytes)", where=path, remedy="Copy it again from its origin")
    except OSError as error:
        raise os_error(path, error) from None
    with reading(path), open_plain(path) as file:
        head = file.read(formats.HEAD)
    if not fmt.fits(head):
        raise _wrong_content(path, head)
    return status.st_size


def _wrong_content(path: str, head: bytes) -> InputError:
    if found := formats.of_content(head):
        return InputError(
            f"the content is {found[1].noun}, the suffix says {Path(path).suffix}",
            where=path,
            remedy="Give the file the suffix of its content",
        )
    return InputError(
        f"the content doesn't match the suffix {Path(path).suffix}",
        where=path,
        remedy="The file may be damaged; copy it again from its origin",
    )
