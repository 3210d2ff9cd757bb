"""The header of an array that numpy saved, read and checked before numpy believes it."""

from __future__ import annotations

import re
from io import BytesIO
from math import prod
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.images.headers import check_size, read_head

MAGIC = ((0, b"\x93NUMPY"),)
_THREE_WIDE = re.compile(rb",\s*3L?\s*,?\s*\)")


def read_header(stream: BytesIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of the elements; the stream stands at the first of them then. ValueError where it's cut."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def check_header(path: str) -> list[str]:
    """Refuse objects, which only running code can read, and an array that is larger than its file; return warnings."""
    head, size = read_head(path)
    stream = BytesIO(head)
    shape, dtype = read_header(stream)
    if dtype.hasobject or dtype.names:
        raise InputError("an array of Python objects or records", where=path, allowed="numbers")
    end = stream.tell() + prod(shape) * dtype.itemsize
    check_size(path, end, size)
    if size > end:
        return [f"{size - end} bytes lie beyond the array of {shape} that its header states, and aren't read"]
    return []


def holds_positions(head: bytes) -> bool:
    """Tell whether an array has rows of three numbers with a point, as positions do; no image is three pixels wide."""
    if not _THREE_WIDE.search(head, 0, 256):  # before numpy parses what may be the header of the 100,000th file
        return False
    try:
        shape, dtype = read_header(BytesIO(head))
    except ValueError:
        return False
    return len(shape) == 2 and shape[1] == 3 and dtype.kind == "f"
