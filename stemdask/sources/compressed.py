"""Text that gzip, bzip2 or xz compressed, read forward as if it weren't."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from stemdask.sources.per_file import once_per_file

_OPEN: Mapping[str, Callable[[Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SUFFIXES = tuple(_OPEN)
_READING = threading.Lock()
"""Held while a stream is read that threads of one process share."""


def suffix_of(path: str | Path) -> str:
    """Return the suffix of a path in lower case."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - of many files, much faster


def is_compressed(path: str | Path) -> bool:
    """Tell by the suffix whether a file is compressed."""
    return suffix_of(path) in _OPEN


def plain_name(path: str | Path) -> str:
    """Return the name that a file has when it is unpacked."""
    name = os.path.basename(str(path).rstrip("/"))  # noqa: PTH119 - as for the suffix
    return os.path.splitext(name)[0] if is_compressed(name) else name  # noqa: PTH122


def open_plain(path: str | Path) -> IO[bytes]:
    """Open a file for reading what it holds when it is unpacked; unbuffered where it isn't compressed."""
    if is_compressed(path):
        stream: IO[bytes] = _OPEN[suffix_of(path)](str(path))
        return stream
    return Path(path).open("rb", buffering=0)


def unpacked(stream: IO[bytes], path: str) -> IO[bytes]:
    """Return what a stream of a file's bytes holds when it is unpacked."""
    if is_compressed(path):
        stream = _OPEN[suffix_of(path)](stream)
    return stream


def most_bytes(path: str, size: int) -> int:
    """Return the most bytes that a file of `size` bytes may hold: of a compressed one, its size says nothing."""
    return sys.maxsize if is_compressed(path) else size


def read_range(path: str, start: int, stop: int) -> bytes:
    """Read a range of the unpacked bytes.

    A compressed file is unpacked from the last range on, so that frames in their order cost one pass in each process,
    and memory of one frame; a range that lies before costs a pass from the beginning.
    """
    if not is_compressed(path):
        with open_plain(path) as stream:
            stream.seek(start)
            return stream.read(stop - start)
    with _READING:
        stream = _stream(path)
        stream.seek(start)
        return bytes(stream.read(stop - start))


@once_per_file(4)
def _stream(path: str) -> Any:
    return open_plain(path)
