"""DCD, the trajectories of CHARMM, NAMD and LAMMPS."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.geometry import cellpar_to_cell

from stemdask.kernels.arrays import Floats
from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import READING, cut_off, index_equal, library
from stemdask.sources.per_file import once_per_file


def index(path: str, size: int) -> FrameIndex:
    """Count the frames; the library leaves one out that was cut off."""
    file = _opened(path)
    behind = size - file._header_size - file._firstframesize
    if behind < 0 or behind % file._framesize:
        raise cut_off(path)
    return index_equal(len(file), int(file.header["natoms"]))


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
    a, gamma, b, beta, alpha, c = unitcell
    angles = [float(np.degrees(np.arccos(x))) if -1 <= x <= 1 else x for x in (alpha, beta, gamma)]
    return np.asarray(cellpar_to_cell([a, b, c, *angles]))  # type: ignore[no-untyped-call]


@once_per_file(4)
def _opened(path: str) -> Any:
    return library("MDAnalysis.lib.formats.libdcd", path).DCDFile(path)


FORMAT = AtomsFormat(name="dcd", suffixes=(".dcd",), noun="a DCD file", index=index, read=read)
