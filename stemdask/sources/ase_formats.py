"""Formats read through ASE: CIF and ASE's own trajectories. Both are opened once a process and read by frame."""

from __future__ import annotations

import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.structure import Structure
from stemdask.sources.text_index import FrameIndex

_LARGEST_CIF = 1 << 27


def index(path: str, size: int, fmt: str) -> FrameIndex:
    """Count the frames and their atoms; a frame's place is its number."""
    if fmt == "cif" and size > _LARGEST_CIF:
        raise InputError(f"a CIF of {size} bytes", where=path, allowed=f"up to {_LARGEST_CIF} bytes")
    found = FrameIndex()
    frames = _frames(path, fmt, size)
    for k in range(len(frames)):
        found.add(k, k + 1, len(frames[k]) if fmt == "cif" else frames.backend[k].proxy("positions").shape[0])
    return found


def read(path: str, fmt: str, number: int, size: int) -> Structure:
    """Read one frame."""
    atoms = _frames(path, fmt, size)[number]
    numbers, kinds = np.unique(atoms.numbers, return_inverse=True)
    periodic = [bool(flag) for flag in atoms.pbc]
    time = atoms.info.get("time")
    return Structure(
        positions=np.ascontiguousarray(atoms.positions, dtype=np.float64),
        words=[str(number).encode() for number in numbers],
        kinds=kinds,
        cell=np.array(atoms.cell) if atoms.cell.rank == 3 else None,
        periodic=(periodic[0], periodic[1], periodic[2]),
        time=float(time) if time is not None else None,
    )


@lru_cache(maxsize=4)
def _frames(path: str, fmt: str, size: int) -> Any:
    del size  # part of the key only: a file that grew is opened again
    # Open files: ASE would read an index out of a name that holds "@".
    if fmt == "traj":
        return _trajectory(path)
    from ase.io.cif import read_cif

    with Path(path).open(encoding="utf-8", errors="replace") as file:
        return list(read_cif(file, slice(None)))


def _trajectory(path: str) -> Any:
    from ase.io.trajectory import TrajectoryReader

    file = Path(path).open("rb")  # noqa: SIM115 (closed with the reader)
    try:
        reader = TrajectoryReader(file)  # type: ignore[no-untyped-call]
    except BaseException:
        file.close()
        raise
    weakref.finalize(reader, file.close)
    return reader
