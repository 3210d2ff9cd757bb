"""CIF through ASE, whole, once a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

from stemdask.errors import InputError
from stemdask.sources.atoms.ase_atoms import structure_of
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.text_frames import last_line
from stemdask.sources.per_file import once_per_file

_LARGEST = 1 << 27
_LOST = ("Wrong number", "Badly formed number")


def index(path: str, size: int) -> FrameIndex:
    """Count the structures and their atoms; a frame's place is its number."""
    if size > _LARGEST:
        raise InputError(f"a CIF of {size} bytes", where=path, allowed=f"up to {_LARGEST} bytes")
    found = FrameIndex()
    for k, atoms in enumerate(_structures(path)):
        found.add(k, k + 1, len(atoms))
    return found


def read(place: FramePlace) -> Structure:
    """Read one structure."""
    return structure_of(_structures(place.path)[place.start])


@once_per_file(4)
def _structures(path: str) -> list[Any]:
    from ase.io.cif import read_cif

    # An open file: ASE would read an index out of a name that holds "@".
    with Path(path).open(encoding="utf-8", errors="replace") as file, catch_warnings(record=True) as said:
        simplefilter("always")
        found = list(read_cif(file, slice(None)))
    for warning in map(str, (one.message for one in said)):
        if warning.startswith(_LOST):  # and the atoms of that line are left out
            raise InputError("a line is damaged", where=path, value=warning, remedy="Copy the file again, or mend it")
    return found


def _ends_whole(path: str) -> bool:
    """Tell whether a file ends with the end of a line, or with a comment, which holds no number."""
    return last_line(path)[:1] in (b"", b"#")


FORMAT = AtomsFormat(
    name="cif", suffixes=(".cif",), noun="a CIF", text=True, index=index, read=read, ends_whole=_ends_whole
)
