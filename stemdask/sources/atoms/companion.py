"""Elements of trajectories that hold none: from a structure file of the same name beside (run.xtc and run.pdb)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import AnyIntegers, Floats
from stemdask.sources.atoms import gro, pdb, xyz
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.first_look import look_at
from stemdask.sources.per_file import once_per_file


def with_elements(path: str, positions: Floats, cell: Floats | None, time: float) -> Structure:
    """Return a frame of the trajectory at `path` with its elements.

    Raises
    ------
    InputError
        There is no structure file beside it, or one of another number of atoms.
    """
    words, kinds = _companion(path)
    if len(kinds) != len(positions):
        raise InputError(f"{len(positions)} atoms, but the structure file beside it has {len(kinds)}", where=path)
    boxed = cell is not None and bool(np.any(cell))
    return Structure(positions, words, kinds, cell if boxed else None, (boxed,) * 3, float(time))


def _companion(path: str) -> tuple[list[bytes], AnyIntegers]:
    """Return the elements of the structure file beside a trajectory."""
    for fmt in (pdb.FORMAT, gro.FORMAT, xyz.FORMAT):
        for suffix in fmt.suffixes:
            place = Path(path).with_suffix(suffix)
            if place.is_file():
                return _elements(str(place), fmt)
    raise InputError(
        "the trajectory holds no elements",
        where=path,
        remedy=f"Put one structure of the same atoms beside it, as {Path(path).stem}.pdb, .gro or .xyz",
    )


@once_per_file(8)
def _elements(place: str, fmt: AtomsFormat) -> tuple[list[bytes], AnyIntegers]:
    file = look_at(place)
    found = fmt.index(file)
    first = found.starts[0]
    structure = fmt.read(FramePlace(place, file.size, first, first, found.stops[0], found.n_atoms[0]))
    return list(structure.words), structure.kinds
