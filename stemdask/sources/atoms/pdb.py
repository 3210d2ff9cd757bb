"""PDB by its fixed columns; serial numbers, which writers overflow in many ways, are not read."""

from __future__ import annotations

import numpy as np
from ase.geometry import cellpar_to_cell
from numpy.typing import NDArray

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array, Floats, Integers
from stemdask.kernels.text.pdb import ENDMDL, MODEL, atom_lines, element_kinds, separators
from stemdask.sources.atoms.elements import atomic_number
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.structure import Structure, stated_time
from stemdask.sources.atoms.text_frames import by_range, last_line
from stemdask.sources.atoms.text_index import line_blocks
from stemdask.sources.atoms.text_numbers import parse_fields

_MOST_WORDS = 255
_WHOLE_ATOM = 78
"""Characters of an atom line up to the end of its element."""


def index(path: str, size: int) -> FrameIndex:
    """Find the byte range and the atom count of every MODEL, or of every structure closed by END.

    An END behind the last frame is no frame. A file that closes its models by ENDMDL must close the last one too.
    """
    found = FrameIndex()
    begin = seen = taken = n_closed = 0
    in_model = False
    for offset, text in line_blocks(path):
        places, kinds, counts, total = separators(np.frombuffer(text, np.uint8))
        for place, kind, count in zip(places.tolist(), kinds.tolist(), counts.tolist(), strict=True):
            n_atoms = seen + count - taken
            if in_model and n_closed and kind != ENDMDL:
                raise _cut_off(path, found)
            if n_atoms or in_model:
                found.add(begin, offset + place, n_atoms)
            taken += n_atoms
            n_closed += kind == ENDMDL
            in_model = kind == MODEL
            begin = offset + place
        seen += total
    if in_model and n_closed:
        raise _cut_off(path, found)
    if in_model:
        found.warnings.append(f"{path}: model {len(found.starts) + 1} has no ENDMDL: it may be cut off")
    if seen > taken or in_model:
        found.add(begin, size, seen - taken)
    return found


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse one frame; of alternative locations the first is taken."""
    buffer = np.frombuffer(text, np.uint8)
    lines, ends = atom_lines(buffer, n_atoms)
    if len(lines) != n_atoms:
        raise InputError("an atom line has less than 54 characters, where z ends", remedy="The file is cut off")
    head = text[: lines[0]] if n_atoms else text
    other = buffer[lines + 16]
    if (named := other[other != 32]).size:
        kept = (other == 32) | (other == named[0])
        lines, ends = lines[kept], ends[kept]
    words, kinds = _elements(buffer, lines, ends)
    cell = _cell(head)
    return Structure(
        positions=parse_fields(text, (lines[:, None] + np.array([30, 38, 46])).reshape(-1), 8).reshape(-1, 3),
        words=words,
        kinds=kinds,
        cell=cell,
        periodic=(cell is not None,) * 3,
        time=next((stated_time(line) for line in head.split(b"\n") if line.startswith(b"TITLE")), None),
    )


def _elements(buffer: Array, lines: Integers, ends: Integers) -> tuple[list[bytes], NDArray[np.uint8]]:
    """Return the element column (77-78); where it is blank, what the atom name (13-16) says."""
    kinds = np.empty(lines.size, np.uint8)
    codes = np.empty(_MOST_WORDS, np.uint32)
    n_words = element_kinds(buffer, lines, ends, kinds, codes)
    if n_words > _MOST_WORDS:
        raise InputError(f"more than {_MOST_WORDS} different elements and atom names")
    words = [int(code).to_bytes(4, "little").rstrip(b"\0") for code in codes[:n_words]]
    return [word.strip() if len(word) <= 2 else _symbol_of_name(word) for word in words], kinds


def _symbol_of_name(name: bytes) -> bytes:
    """Return the letters of an atom name where they are an element (PT1 is Pt), otherwise their first (OW is O)."""
    letters = "".join(c for c in name.decode("ascii", "replace") if c.isalpha())
    return (letters if atomic_number(letters) else letters[:1]).encode()[:2]


def _cell(head: bytes) -> Floats | None:
    at = 0 if head.startswith(b"CRYST1") else head.find(b"\nCRYST1") + 1
    if at == 0 and not head.startswith(b"CRYST1"):
        return None
    a, b, c, *angles = parse_fields(head, at + np.array([6, 15, 24, 33, 40, 47]), np.array([9, 9, 9, 7, 7, 7]))
    if a == b == c == 1.0:  # the standard's way to say that there is no cell
        return None
    return np.asarray(cellpar_to_cell([a, b, c, *angles]), dtype=np.float64)  # type: ignore[no-untyped-call]


def _cut_off(path: str, found: FrameIndex) -> InputError:
    return InputError(
        f"model {len(found.starts) + 1} has no ENDMDL: the file is cut off",
        where=path,
        remedy="Copy the file again, or remove its last model if a program still writes it",
    )


def _ends_whole(path: str) -> bool:
    """Tell whether a file ends with the end of a line or with a whole one."""
    last = last_line(path)
    return (
        not last or last in (b"END", b"ENDMDL") or (last.startswith((b"ATOM", b"HETATM")) and len(last) >= _WHOLE_ATOM)
    )


FORMAT = AtomsFormat(
    name="pdb",
    suffixes=(".pdb", ".ent"),
    noun="a PDB file",
    text=True,
    index=index,
    read=by_range(parse),
    ends_whole=_ends_whole,
)
