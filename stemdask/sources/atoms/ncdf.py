"""NetCDF trajectories of AMBER (ambermd.org/netcdf/nctraj.xhtml)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import index_equal
from stemdask.sources.first_look import FirstLook
from stemdask.sources.per_file import once_per_file
from stemdask.units import parse_length

#: How a file of 64-bit data begins, which OVITO writes.
_WIDE = b"CDF\x05"
#: Variables begin at multiples of so many bytes.
_PADDING = 4


def index(file: FirstLook) -> FrameIndex:
    """Count the frames."""
    opened = _opened(file.path)
    n_frames, n_atoms, _ = opened.variables["coordinates"].shape
    held = _frames_held(opened, file.size)
    if held != n_frames:
        raise InputError(
            f"its header states {n_frames} frames, and it holds {'more' if held > n_frames else held}",
            where=file.path,
            remedy="Copy the file again from its origin, or wait until the simulation has written it",
        )
    return index_equal(n_frames, n_atoms)


def _frames_held(file: Any, size: int) -> float:
    """Return for how many frames the file has room, whatever its header says.

    Frames are records, one after the other up to the end of the file. Their variables are views of the file.
    """
    variables = file.variables.values()
    records = [variable.data for variable in variables if variable.isrec]
    views = records or [variable.data for variable in variables]
    whole = views[0]
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    start = _address(whole)
    if records:
        return int((size - min(map(_address, records)) + start) // records[0].strides[0])
    # The number of frames is fixed, and nothing may come after the last variable but padding.
    left = size - max(_address(view) + view.nbytes for view in views) + start
    n_frames = int(file.variables["coordinates"].shape[0])
    return n_frames if left < _PADDING else math.inf


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


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

    with Path(path).open("rb") as stream:
        if stream.read(len(_WIDE)) == _WIDE:
            raise InputError(
                "NetCDF of 64-bit data (CDF-5) isn't read",
                where=path,
                allowed="the classic format and that of 64-bit offsets",
                remedy="Convert it: nccopy -k 64-bit-offset in.nc out.nc",
            )
    file = netcdf_file(path, "r", mmap=True)
    coordinates = file.variables.get("coordinates")
    if coordinates is None or coordinates.dimensions != ("frame", "atom", "spatial") or coordinates.shape[2] != 3:
        raise InputError("not an AMBER trajectory: it has no coordinates (frame, atom, spatial)", where=path)
    return file


FORMAT = AtomsFormat(
    name="ncdf",
    suffixes=(".ncdf", ".nc"),
    noun="an AMBER trajectory in NetCDF",
    magic=((0, b"CDF\x01"), (0, b"CDF\x02"), (0, _WIDE)),
    general=True,
    incidental=True,
    index=index,
    read=read,
)
