"""ASE's own trajectories."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

from stemdask.sources.atoms.ase_atoms import structure_of
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.first_look import FirstLook
from stemdask.sources.per_file import once_per_file


def index(file: FirstLook) -> FrameIndex:
    """Count the frames and their atoms; a frame's place is its number."""
    found = FrameIndex()
    frames = _frames(file.path)
    for k in range(len(frames)):
        found.add(k, k + 1, frames.backend[k].proxy("positions").shape[0])
    return found


def read(place: FramePlace) -> Structure:
    """Read one frame."""
    return structure_of(_frames(place.path)[place.start])


@once_per_file(4)
def _frames(path: str) -> Any:
    from ase.io.trajectory import TrajectoryReader

    # An open file: ASE would read an index out of a name that holds "@".
    file = Path(path).open("rb")  # noqa: SIM115 (closed with the reader)
    try:
        reader = TrajectoryReader(file)  # type: ignore[no-untyped-call]
    except BaseException:
        file.close()
        raise
    weakref.finalize(reader, file.close)
    return reader


FORMAT = AtomsFormat(
    name="traj",
    suffixes=(".traj",),
    noun="an ASE trajectory",
    magic=((0, b"- of Ulm"),),
    index=index,
    read=read,
)
