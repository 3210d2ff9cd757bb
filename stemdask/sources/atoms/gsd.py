"""GSD, the trajectories of HOOMD."""

from __future__ import annotations

from typing import Any

import numpy as np

from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import READING, library
from stemdask.sources.first_look import FirstLook
from stemdask.sources.per_file import once_per_file


def index(file: FirstLook) -> FrameIndex:
    """Count the frames and their atoms, which a frame states only where they change; a frame's place is its number."""
    found = FrameIndex()
    frames = _frames(file.path)
    n_atoms = 0
    for k in range(len(frames)):
        if k == 0 or frames.file.chunk_exists(frame=k, name="particles/N"):
            n_atoms = int(frames.file.read_chunk(frame=k, name="particles/N")[0])
        found.add(k, k + 1, n_atoms)
    return found


def read(place: FramePlace) -> Structure:
    """Read one frame."""
    with READING:
        frame = _frames(place.path)[place.start]
    length, tilt = frame.configuration.box[:3], frame.configuration.box[3:]
    cell = np.diag(length.astype(float))
    cell[1, 0], cell[2, 0], cell[2, 1] = tilt[0] * length[1], tilt[1] * length[2], tilt[2] * length[2]
    return Structure(
        positions=frame.particles.position.astype(np.float64),
        words=[name.encode() for name in frame.particles.types],
        kinds=frame.particles.typeid,
        cell=cell if length.all() else None,
        periodic=(bool(length.all()),) * 3,
        time=float(frame.configuration.step),
    )


@once_per_file(4)
def _frames(path: str) -> Any:
    return library("gsd.hoomd", path).open(path, "r")


FORMAT = AtomsFormat(
    name="gsd",
    suffixes=(".gsd",),
    noun="a GSD file",
    magic=((0, b"\xdf\x65\xdf\x65\xdf\x65\xdf\x65"),),
    index=index,
    read=read,
)
