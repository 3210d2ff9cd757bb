"""DCD, the trajectories of CHARMM, NAMD and LAMMPS."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Floats
from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import READING, check_end, index_equal, library
from stemdask.sources.first_look import FirstLook
from stemdask.sources.per_file import once_per_file

#: Bytes of the first record, and places of what it controls (CHARMM): number of fixed atoms, cell, fourth dimension.
_HEADER, _FIXED, _CELL, _FOURTH = 84, 8, 10, 11


def index(file: FirstLook) -> FrameIndex:
    """Count the frames; the library leaves one out that was cut off."""
    opened = _opened(file.path)
    n_frames = len(opened)
    stated, end = _stated(file.path, n_frames)
    check_end(file.path, end, file.size)
    if stated > n_frames:
        raise InputError(f"states {stated} frames, {n_frames} are there", where=file.path, remedy="Copy the file again")
    return index_equal(n_frames, int(opened.header["natoms"]))


def _stated(path: str, n_frames: int) -> tuple[int, int]:
    """Return the number of frames that the header states, and where so many as there are end.

    A file is made of records with their length before and behind: two of the header, the number of atoms, which of them
    are free where some are fixed, and for each frame the cell, if there is one, and each coordinate of the free atoms.
    """
    with Path(path).open("rb") as stream:
        order = "<" if stream.read(4) == struct.pack("<i", _HEADER) else ">"
        control = struct.unpack(f"{order}20i", stream.read(_HEADER)[4:])
        end = _HEADER + 8
        lengths = []
        for _ in range(2 + bool(control[_FIXED])):
            stream.seek(end)
            lengths.append(struct.unpack(f"{order}i", stream.read(4))[0])
            n_atoms = struct.unpack(f"{order}i", stream.read(4))[0]
            end += lengths[-1] + 8
            if len(lengths) == 2:
                n = n_atoms
    cell = 56 if control[_CELL] else 0
    axes = 4 if control[_FOURTH] else 3
    first, other = (cell + axes * (4 * free + 8) for free in (n, n - control[_FIXED]))
    return control[0], end + (first + (n_frames - 1) * other if n_frames else 0)


def read(place: FramePlace) -> Structure:
    """Read one frame; its time is the step of the simulation."""
    with READING:
        file = _opened(place.path)
        file.seek(place.start)
        frame = file.read()
    step = file.header["istart"] + place.start * file.header["nsavc"]
    cell = _cell(frame.unitcell.tolist()) if file.is_periodic else None
    return with_elements(place.path, frame.xyz.astype(np.float64), cell, step)


def _cell(unitcell: list[float]) -> Floats:
    """Return the cell of six numbers, whose angles some writers give as cosines."""
    from ase.geometry import cellpar_to_cell

    a, gamma, b, beta, alpha, c = unitcell
    angles = [float(np.degrees(np.arccos(x))) if -1 <= x <= 1 else x for x in (alpha, beta, gamma)]
    return np.asarray(cellpar_to_cell([a, b, c, *angles]))  # type: ignore[no-untyped-call]


@once_per_file(4)
def _opened(path: str) -> Any:
    return library("MDAnalysis.lib.formats.libdcd", path).DCDFile(path)


FORMAT = AtomsFormat(
    name="dcd",
    suffixes=(".dcd",),
    noun="a DCD file",
    magic=((4, b"CORD"),),  # after the length of the first record, in either order of bytes
    index=index,
    read=read,
)
