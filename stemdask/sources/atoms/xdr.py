"""What XTC and TRR, the trajectories of GROMACS, have in common: frames in nm, through the classes of MDAnalysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import READING, check_end, index_equal, library
from stemdask.sources.per_file import once_per_file

#: First bytes of every frame: 1995 and 1993.
XTC, TRR = b"\0\0\x07\xcb", b"\0\0\x07\xc9"
_ANGSTROM = 10.0
_HEAD = 100
#: Most atoms whose coordinates XTC doesn't compress.
_UNPACKED = 9


def index(path: str, size: int) -> FrameIndex:
    """Count the frames."""
    file = _opened(path)
    n_frames = len(file)
    last = int(file.offsets[-1]) if n_frames else 0
    with Path(path).open("rb") as stream:
        stream.seek(last)
        head = stream.read(_HEAD)
    length = _trr_length(head) if head.startswith(TRR) else _xtc_length(head)
    check_end(path, last + length, size)
    return index_equal(n_frames, int(file.n_atoms))


def _xtc_length(head: bytes) -> int:
    """Return the bytes of a frame: 52 of magic, number of atoms, step, time and box, then the coordinates."""
    n_atoms = int.from_bytes(head[4:8], "big")
    if n_atoms <= _UNPACKED:
        return 56 + 12 * n_atoms
    packed = int.from_bytes(head[88:92], "big")
    return 92 + 4 * -(-packed // 4)


def _trr_length(head: bytes) -> int:
    """Return the bytes of a frame: 24 of magic and name, then sizes of parts, 13 numbers in all, time and lambda."""
    sizes = [int.from_bytes(head[at : at + 4], "big") for at in range(24, 76, 4)]
    parts, n_atoms = sizes[:10], sizes[10]
    double = sizes[2] == 72 or (sizes[2] == 0 and n_atoms > 0 and max(sizes[7:10]) == 24 * n_atoms)
    return 76 + (16 if double else 8) + sum(parts)


def read(place: FramePlace) -> Structure:
    """Read one frame."""
    with READING:
        file = _opened(place.path)
        file.seek(place.start)
        frame = file.read()
    if not getattr(frame, "hasx", True):
        raise InputError(
            "the frame holds no positions", remedy="Write them to the trajectory (nstxout), or use another"
        )
    positions, box = (_ANGSTROM * part.astype(np.float64) for part in (frame.x, frame.box))
    return with_elements(place.path, positions, box, frame.time)


@once_per_file(4)
def _opened(path: str) -> Any:
    module = library("MDAnalysis.lib.formats.libmdaxdr", path)
    with Path(path).open("rb") as stream:
        is_trr = stream.read(len(TRR)) == TRR
    return (module.TRRFile if is_trr else module.XTCFile)(path)
