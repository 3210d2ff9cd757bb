"""NetCDF trajectories of AMBER (ambermd.org/netcdf/nctraj.xhtml)."""

from __future__ import annotations

from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import index_equal
from stemdask.sources.per_file import once_per_file
from stemdask.units import parse_length


def index(path: str, size: int) -> FrameIndex:
    """Count the frames."""
    shape = _opened(path).variables["coordinates"].shape
    return index_equal(shape[0], shape[1])


def read(place: FramePlace) -> Structure:
    """Read one frame."""
    from ase.geometry import cellpar_to_cell

    held = _opened(place.path).variables
    positions = _values(held["coordinates"], place.start)
    unit = getattr(held["coordinates"], "units", b"angstrom").decode("ascii", "replace")
    angstrom = parse_length(f"1 {unit}", "angstrom").angstrom()
    cell = None
    if "cell_lengths" in held and "cell_angles" in held:
        lengths, angles = _values(held["cell_lengths"], place.start), _values(held["cell_angles"], place.start)
        if lengths.all():
            cell = angstrom * np.asarray(cellpar_to_cell([*lengths, *angles]))  # type: ignore[no-untyped-call]
    time = float(_values(held["time"], place.start)) if "time" in held else float(place.start)
    return with_elements(place.path, angstrom * positions, cell, time)


def _values(variable: Any, frame: int) -> Any:
    """Return a copy of what a variable has in one frame; a view would hold the file open."""
    return np.array(variable[frame], dtype=np.float64) * getattr(variable, "scale_factor", 1.0)


@once_per_file(4)
def _opened(path: str) -> Any:
    from scipy.io import netcdf_file

    file = netcdf_file(path, "r", mmap=True)
    coordinates = file.variables.get("coordinates")
    if coordinates is None or coordinates.dimensions != ("frame", "atom", "spatial") or coordinates.shape[2] != 3:
        raise InputError("not an AMBER trajectory: it has no coordinates (frame, atom, spatial)", where=path)
    return file


FORMAT = AtomsFormat(
    name="ncdf",
    suffixes=(".ncdf", ".nc"),
    noun="an AMBER trajectory in NetCDF",
    magic=((0, b"CDF\x01"), (0, b"CDF\x02")),
    general=True,
    incidental=True,
    index=index,
    read=read,
)
