"""One frame of a text trajectory, read by its range of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from stemdask.errors import InputError
from stemdask.fence import inside
from stemdask.sources.atoms.frame_index import FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.compressed import is_compressed, read_range
from stemdask.sources.first_look import FirstLook
from stemdask.sources.per_file import once_per_file

_CHUNK = 1 << 24
_LONGEST = 1 << 27


def by_range(parse: Callable[[bytes, int], Structure]) -> Callable[[FramePlace], Structure]:
    """Return a reader of frames, given what parses the text of one with its number of atoms."""

    def read(place: FramePlace) -> Structure:
        # What stands before the first frame, such as CRYST1 before MODEL, holds for all.
        shared = _shared(place.path, place.first)
        return parse(shared + read_range(place.path, place.start, place.stop), place.n_atoms)

    return read


@once_per_file(4)
def _shared(path: str, length: int) -> bytes:
    return read_range(path, 0, length)


def read_whole(stream: IO[bytes]) -> bytes:
    """Read a text that is no trajectory, and close it; raise InputError where it is too long for that."""
    with stream:
        text = stream.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise InputError("a file of one structure is too long", allowed=f"up to {_LONGEST} bytes")
    return text


def last_line(file: FirstLook) -> bytes:
    """Return the end of a file that no end of a line follows; nothing where the last line has one."""
    if is_compressed(file.path):
        with file.plain() as stream:
            tail = b""
            while chunk := stream.read(_CHUNK):
                inside.beat()
                tail = (tail + chunk)[-200:]
        return tail.rpartition(b"\n")[2]
    return (file.head + file.tail)[-200:].rpartition(b"\n")[2]


def ends_with_line(file: FirstLook) -> bool:
    """Tell whether a text ends with the end of a line, as a whole one does."""
    return not last_line(file)
