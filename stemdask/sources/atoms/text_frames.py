"""One frame of a text trajectory, read by its range of bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from stemdask.sources.atoms.frame_index import FramePlace
from stemdask.sources.atoms.structure import Structure


def by_range(parse: Callable[[bytes, int], Structure]) -> Callable[[FramePlace], Structure]:
    """Return a reader of frames, given what parses the text of one with its number of atoms."""

    def read(place: FramePlace) -> Structure:
        with Path(place.path).open("rb", buffering=0) as stream:
            # What stands before the first frame, such as CRYST1 before MODEL, holds for all.
            shared = stream.read(place.first)
            stream.seek(place.start)
            text = stream.read(place.stop - place.start)
        return parse(shared + text, place.n_atoms)

    return read


def last_line(path: str) -> bytes:
    """Return the end of a file that no end of a line follows; nothing where the last line has one."""
    with Path(path).open("rb") as file:
        file.seek(-min(200, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read().rpartition(b"\n")[2]


def ends_with_line(path: str) -> bool:
    """Tell whether a text ends with the end of a line, as a whole one does."""
    return not last_line(path)
