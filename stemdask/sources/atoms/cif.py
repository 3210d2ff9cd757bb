"""CIF through ASE, whole, once a process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import IO, Any
from warnings import catch_warnings, simplefilter

from stemdask.errors import InputError
from stemdask.sources.atoms.ase_atoms import structure_of
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.text_frames import last_line, read_whole
from stemdask.sources.compressed import open_plain
from stemdask.sources.first_look import FirstLook
from stemdask.sources.per_file import once_per_file

_BLOCK = re.compile(r"^data_", re.MULTILINE | re.IGNORECASE)
_FORMULA = re.compile(r"^\s*_chemical_formula_sum\s+['\"]?([A-Za-z0-9. ]+)", re.MULTILINE)
_UNITS = re.compile(r"^\s*_cell_formula_units_Z\s+(\d{1,6})", re.MULTILINE)
_ELEMENT = re.compile(r"[A-Z][a-z]?(\d+(?:\.\d+)?)?")
_LOST = ("Wrong number", "Badly formed number")


def index(file: FirstLook) -> FrameIndex:
    """Count the structures and their atoms; a frame's place is its number."""
    found = FrameIndex()
    for k, atoms in enumerate(_structures(file.path)):
        found.add(k, k + 1, len(atoms))
    found.warnings += _fewer_than_stated(file, found.n_atoms)
    return found


def _fewer_than_stated(file: FirstLook, n_atoms: Sequence[int]) -> list[str]:
    """Say where a structure has fewer atoms than its formula: nothing else tells that a file was cut between lines."""
    blocks = _BLOCK.split(_text(file.plain()))[1:]
    said = []
    for block, n in zip(blocks, n_atoms, strict=False):
        formula, units = _FORMULA.search(block), _UNITS.search(block)
        stated = sum(float(count or 1) for count in _ELEMENT.findall(formula[1])) if formula else 0.0
        stated *= int(units[1]) if units else 1
        if n < stated:
            said.append(f"{file.path}: its formula has {stated:g} atoms, {n} are there: atoms may be missing")
    return said


def _text(stream: IO[bytes]) -> str:
    return read_whole(stream).decode("utf-8", "replace")


def read(place: FramePlace) -> Structure:
    """Read one structure."""
    return structure_of(_structures(place.path)[place.start])


@once_per_file(4)
def _structures(path: str) -> list[Any]:
    from ase.io.cif import read_cif

    # A stream: ASE would read an index out of a name that holds "@".
    with StringIO(_text(open_plain(path))) as file, catch_warnings(record=True) as said:
        simplefilter("always")
        found = list(read_cif(file, slice(None)))
    for warning in map(str, (one.message for one in said)):
        if warning.startswith(_LOST):  # and the atoms of that line are left out
            raise InputError("a line is damaged", where=path, value=warning, remedy="Copy the file again, or fix it")
    return found


def _ends_whole(file: FirstLook) -> bool:
    """Tell whether a file ends with the end of a line, or with a comment, which holds no number."""
    return last_line(file)[:1] in (b"", b"#")


FORMAT = AtomsFormat(
    name="cif",
    suffixes=(".cif",),
    noun="a CIF",
    text=True,
    looks=lambda head: _BLOCK.search(head.decode("utf-8", "replace")) is not None,
    index=index,
    read=read,
    ends_whole=_ends_whole,
)
