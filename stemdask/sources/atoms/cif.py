"""CIF through ASE, whole, once a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from stemdask.errors import InputError
from stemdask.sources.atoms.ase_atoms import structure_of
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.text_frames import last_line

_LARGEST = 1 << 27


def index(path: str, size: int) -> FrameIndex:
    """Count the structures and their atoms; a frame's place is its number."""
    if size > _LARGEST:
        raise InputError(f"a CIF of {size} bytes", where=path, allowed=f"up to {_LARGEST} bytes")
    found = FrameIndex()
    for k, atoms in enumerate(_structures(path, size)):
        found.add(k, k + 1, len(atoms))
    return found


def read(place: FramePlace) -> Structure:
    """Read one structure."""
    return structure_of(_structures(place.path, place.size)[place.start])


@lru_cache(maxsize=4)
def _structures(path: str, size: int) -> list[Any]:
    del size  # part of the key only: a file that grew is opened again
    from ase.io.cif import read_cif

    # An open file: ASE would read an index out of a name that holds "@".
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        return list(read_cif(file, slice(None)))


def _ends_whole(path: str) -> bool:
    """Tell whether a file ends with the end of a line, or with a comment, which holds no number."""
    return last_line(path)[:1] in (b"", b"#")


FORMAT = AtomsFormat(
    name="cif", suffixes=(".cif",), noun="a CIF", text=True, index=index, read=read, ends_whole=_ends_whole
)
