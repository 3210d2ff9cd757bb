"""XTC, the trajectories of GROMACS, in nm."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.fence import inside
from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import READING, cut_off, index_equal, library
from stemdask.sources.per_file import once_per_file

_LIBRARY = "MDAnalysis.lib.formats.libmdaxdr"
#: First word of a frame, and how it gives the bytes of its positions.
_LENGTH = {1995: ">I", 2023: ">Q"}
_PLAIN = 9
_A_BEAT = 100_000


def index(path: str, size: int) -> FrameIndex:
    """Count the frames in the library's place, which leaves out one that was cut off and crashes over a damaged one.

    A frame is a head of 14 words, then the positions, compressed where there are more than nine.
    """
    library(_LIBRARY, path)
    n_frames = n_atoms = at = 0
    with Path(path).open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(96).ljust(96, b"\0")
            magic, n = struct.unpack_from(">ii", head)
            if magic not in _LENGTH or n < 0 or (n_frames and n != n_atoms):
                raise cut_off(path)
            n_frames, n_atoms = n_frames + 1, n
            if n <= _PLAIN:
                at += 56 + 12 * n
            else:
                (n_bytes,) = struct.unpack_from(length := _LENGTH[magic], head, 88)
                at += 88 + struct.calcsize(length) + -(-n_bytes // 4) * 4
            if n_frames % _A_BEAT == 0:
                inside.beat(path)
    if at != size:
        raise cut_off(path)
    return index_equal(n_frames, n_atoms)


def read(place: FramePlace) -> Structure:
    """Read one frame."""
    with READING:
        file = _opened(place.path)
        file.seek(place.start)
        frame = file.read()
    positions, box = 10.0 * frame.x.astype(np.float64), 10.0 * frame.box.astype(np.float64)
    return with_elements(place.path, positions, box, frame.time)


@once_per_file(4)
def _opened(path: str) -> Any:
    return library(_LIBRARY, path).XTCFile(path)


FORMAT = AtomsFormat(name="xtc", suffixes=(".xtc",), noun="an XTC file", index=index, read=read)
