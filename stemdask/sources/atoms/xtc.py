"""XTC, the trajectories of GROMACS, in nm."""

from __future__ import annotations

from typing import Any

import numpy as np

from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import READING, index_equal, library
from stemdask.sources.per_file import once_per_file


def index(path: str, size: int) -> FrameIndex:
    """Count the frames."""
    file = _opened(path)
    return index_equal(len(file), int(file.n_atoms))


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
    return library("MDAnalysis.lib.formats.libmdaxdr", path).XTCFile(path)


FORMAT = AtomsFormat(name="xtc", suffixes=(".xtc",), noun="an XTC file", index=index, read=read)
