"""Binary trajectories of simulations: GSD (HOOMD), XTC (GROMACS) and DCD (CHARMM, NAMD, LAMMPS).

Their readers are extras: gsd, and the file classes of MDAnalysis, which read any frame without the ones before. XTC and
DCD hold no elements: these stand in a structure file of the same name beside them (run.xtc and run.pdb).
"""

from __future__ import annotations

import threading
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from ase.geometry import cellpar_to_cell
from numpy.typing import NDArray

from stemdask.errors import InputError
from stemdask.model import Array
from stemdask.sources import pdb, xyz
from stemdask.sources.structure import Structure
from stemdask.sources.text_index import FrameIndex

_COMPANIONS = {".pdb": pdb, ".xyz": xyz, ".extxyz": xyz}
_READING = threading.Lock()
"""The readers keep the place in their file, which threads of one process share."""


def index(path: str, size: int, fmt: str) -> FrameIndex:
    """Count the frames and their atoms; a frame's place is its number."""
    found = FrameIndex()
    file = _opened(path, fmt, size)
    n_atoms = 0
    for k in range(len(file)):
        if fmt != "gsd":
            n_atoms = int(file.n_atoms if fmt == "xtc" else file.header["natoms"])
        elif k == 0 or file.file.chunk_exists(frame=k, name="particles/N"):
            n_atoms = int(file.file.read_chunk(frame=k, name="particles/N")[0])
        found.add(k, k + 1, n_atoms)
    return found


def read(path: str, fmt: str, number: int, size: int) -> Structure:
    """Read one frame."""
    with _READING:
        return {"gsd": _gsd, "xtc": _xtc, "dcd": _dcd}[fmt](_opened(path, fmt, size), path, number)


def _gsd(file: Any, path: str, number: int) -> Structure:
    frame = file[number]
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


def _xtc(file: Any, path: str, number: int) -> Structure:
    file.seek(number)
    frame = file.read()
    return _with_elements(path, 10.0 * frame.x.astype(np.float64), 10.0 * frame.box.astype(np.float64), frame.time)


def _dcd(file: Any, path: str, number: int) -> Structure:
    file.seek(number)
    frame = file.read()
    cell = None
    if file.is_periodic:
        a, gamma, b, beta, alpha, c = frame.unitcell.tolist()
        angles = [float(np.degrees(np.arccos(x))) if -1 <= x <= 1 else x for x in (alpha, beta, gamma)]
        cell = np.asarray(cellpar_to_cell([a, b, c, *angles]))  # type: ignore[no-untyped-call]
    step = file.header["istart"] + number * file.header["nsavc"]
    return _with_elements(path, frame.xyz.astype(np.float64), cell, step)


def _with_elements(path: str, positions: Array, cell: NDArray[np.float64] | None, time: float) -> Structure:
    words, kinds = _companion(path)
    if len(kinds) != len(positions):
        raise InputError(f"{len(positions)} atoms, but the structure file beside it has {len(kinds)}", where=path)
    boxed = cell is not None and bool(np.any(cell))
    return Structure(positions, words, kinds, cell if boxed else None, (boxed,) * 3, float(time))


@lru_cache(maxsize=8)
def _companion(path: str) -> tuple[list[bytes], Array]:
    """Read the elements of the atoms from the structure file beside a trajectory."""
    for suffix, parser in _COMPANIONS.items():
        place = Path(path).with_suffix(suffix)
        if place.is_file():
            found = parser.index(str(place), place.stat().st_size)
            structure = parser.parse(place.read_bytes()[: found.stops[0]], found.n_atoms[0])
            return list(structure.words), structure.kinds
    raise InputError(
        "the trajectory holds no elements",
        where=path,
        remedy=f"Put one structure of the same atoms beside it, as {Path(path).stem}.pdb or .xyz",
    )


@lru_cache(maxsize=4)
def _opened(path: str, fmt: str, size: int) -> Any:
    del size  # part of the key only: a file that grew is opened again
    try:
        if fmt == "gsd":
            return import_module("gsd.hoomd").open(path, "r")
        if fmt == "xtc":
            return import_module("MDAnalysis.lib.formats.libmdaxdr").XTCFile(path)
        return import_module("MDAnalysis.lib.formats.libdcd").DCDFile(path)
    except ImportError:
        raise InputError(
            f"reading {Path(path).suffix} needs {'gsd' if fmt == 'gsd' else 'MDAnalysis'}, which isn't installed",
            where=path,
            remedy="Run: pip install 'stemdask[trajectories]'",
        ) from None
