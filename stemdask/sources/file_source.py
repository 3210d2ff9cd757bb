"""Frames in files as a source: what images and structures have in common."""

from __future__ import annotations

import os

import numpy as np
from pydantic import BaseModel, ConfigDict

from stemdask.errors import InputError
from stemdask.sources.packed import unpack
from stemdask.sources.source_file import SourceFile


class FileSource(BaseModel):
    """Frames in files of one format; plain data that a task carries to another machine."""

    model_config = ConfigDict(frozen=True)

    format: str
    """Name in the table of formats."""
    files: tuple[SourceFile, ...]
    ends: str
    """Number of frames up to the end of each file; packed integers."""
    selection: tuple[int, int, int]
    """Start, stop and step of the chosen frames among all."""
    warnings: tuple[str, ...] = ()

    @property
    def n_frames(self) -> int:
        """Number of chosen frames."""
        return len(range(*self.selection))

    def file_of(self, index: int) -> str:
        """Return the path of the file that holds the frame."""
        return self.locate(index)[0].path

    def identity(self) -> list[tuple[str, int, str]]:
        """Return (name, size in bytes, hash of head and tail) of every file; a folder that was moved is the same."""
        return [(os.path.basename(file.path), file.size, file.digest) for file in self.files]  # noqa: PTH119

    def file_number(self, index: int) -> int:
        """Return the place among the files of the one that holds the frame."""
        return int(np.searchsorted(unpack(self.ends), range(*self.selection)[index], side="right"))

    def locate(self, index: int) -> tuple[SourceFile, int, int]:
        """Return the file of a frame, the frame's number among all and that of the first frame in the file."""
        number = range(*self.selection)[index]
        ends = unpack(self.ends)
        which = self.file_number(index)
        return self.files[which], number, int(ends[which - 1]) if which else 0


def select(frames: slice | None, n_frames: int, where: str) -> tuple[int, int, int]:
    """Return the selection that a slice means among all frames; raise InputError where it chooses none."""
    chosen = (frames or slice(None)).indices(n_frames)
    if not range(*chosen):
        raise InputError(f"the range of frames selects none of {n_frames}", where=where)
    return chosen
