"""PDB by its fixed columns; serial numbers, which writers overflow in many ways, are not read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array, Floats, Integers
from stemdask.sources.atoms.elements import symbol_of_name
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.structure import Structure, stated_time
from stemdask.sources.atoms.text_frames import by_range, last_line
from stemdask.sources.atoms.text_index import line_blocks
from stemdask.sources.atoms.text_numbers import parse_fields
from stemdask.sources.first_look import FirstLook

_MOST_WORDS = 255
_WHOLE_ATOM = 78
_Z_POINT = 51
"""Characters of an atom line up to the point of its z."""
#: Names of records (wwPDB format 3.3 and older ones), without their numbers.
_RECORDS = frozenset(
    b" HEADER OBSLTE TITLE SPLIT CAVEAT COMPND SOURCE KEYWDS EXPDTA NUMMDL MDLTYP AUTHOR REVDAT SPRSDE JRNL REMARK "
    b"DBREF SEQADV SEQRES MODRES HET HETNAM HETSYN FORMUL HELIX SHEET TURN SSBOND LINK HYDBND SLTBRG CISPEP SITE "
    b"CRYST ORIGX SCALE MTRIX TVECT MODEL ATOM HETATM SIGATM ANISOU SIGUIJ TER ENDMDL CONECT MASTER END FTNOTE "
    b"USER".split(b" ")
)


def index(file: FirstLook) -> FrameIndex:
    """Find the byte range and the atom count of every MODEL, or of every structure closed by END.

    An END behind the last frame is no frame. A file that closes its models by ENDMDL must close the last one too, and
    one of a single model must close it by that or by END.
    """
    from stemdask.kernels.text.pdb import ENDMDL, MODEL, separators

    found = FrameIndex()
    begin = seen = taken = n_closed = end = 0
    in_model = False
    records = _Records(file.path)
    for offset, text in line_blocks(file):
        end = offset + len(text)
        records.see(text)
        places, kinds, counts, total = separators(np.frombuffer(text, np.uint8))
        for place, kind, count in zip(places.tolist(), kinds.tolist(), counts.tolist(), strict=True):
            n_atoms = seen + count - taken
            if in_model and n_closed and kind != ENDMDL:
                raise _cut_off(file.path, found)
            if n_atoms or in_model:
                found.add(begin, offset + place, n_atoms)
            taken += n_atoms
            n_closed += kind == ENDMDL
            in_model = kind == MODEL
            begin = offset + place
        seen += total
    if in_model and (n_closed or not found.starts):
        raise _cut_off(file.path, found)
    if in_model:  # of a writer that closes no model
        found.warnings.append(f"{file.path}: model {len(found.starts) + 1} has no ENDMDL: it may be cut off")
    if seen > taken or in_model:
        found.add(begin, end, seen - taken)
    found.warnings += records.warnings()
    return found


class _Records:
    """What tells that atoms are missing: records that the format doesn't know, and gaps in the serial numbers."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._last, self._gaps, self._after = 0, 0, 0
        self._unknown: dict[str, None] = {}

    def see(self, text: bytes) -> None:
        """Go through whole lines.

        Raises
        ------
        InputError
            A line is laid out as an atom, and its record has another name: one damaged letter would hide an atom.
        """
        buffer = np.frombuffer(text + b"\n" * _Z_POINT, np.uint8)
        starts = np.concatenate([[0], np.flatnonzero(buffer[: len(text) - 1] == 10) + 1])
        names = np.ascontiguousarray(buffer[starts[:, None] + np.arange(6)]).view("S6")[:, 0]
        is_atom = (names == b"ATOM  ") | (names == b"HETATM")
        points = np.array([34, 42, _Z_POINT - 1])
        for start, name in zip(starts[~is_atom].tolist(), names[~is_atom].tolist(), strict=True):
            word = name.split(b"\n")[0].rstrip()
            if word in _RECORDS or word.rstrip(b"0123456789") in _RECORDS:
                continue
            shown = word.decode("ascii", "replace")
            if (buffer[start + points] == 46).all():
                raise InputError(
                    "an atom in a record of unknown name",
                    where=self._path,
                    value=shown,
                    allowed="ATOM or HETATM",
                    remedy="The line is damaged: correct it, or copy the file again",
                )
            self._unknown.setdefault(shown)
        self._count_gaps(buffer[starts[is_atom][:, None] + np.arange(6, 11)], np.cumsum(names == b"TER   ")[is_atom])

    def _count_gaps(self, fields: Array, n_closed: Array) -> None:
        """Count where serial numbers jump, other than by the TER between; not where they begin again, or overflow."""
        digits = (fields >= 48) & (fields <= 57)
        plain = (digits | (fields == 32)).all(axis=1) & digits[:, -1]
        serials = np.where(digits, fields - 48, 0).astype(np.int64) @ 10 ** np.arange(4, -1, -1)
        serials = np.where(plain, serials, -1) - np.where(plain, n_closed, 0)
        if not serials.size:
            return
        before = np.concatenate([[self._last], serials[:-1]])
        jumps = np.flatnonzero((before > 0) & (serials > before + 1))
        if jumps.size and not self._gaps:
            self._after = int(before[jumps[0]] + n_closed[max(jumps[0] - 1, 0)])
        self._gaps += jumps.size
        self._last = int(serials[-1] + (n_closed[-1] if plain[-1] else 0))

    def warnings(self) -> list[str]:
        """Say what was found."""
        said = []
        if self._unknown:
            said.append(f"{self._path}: unknown records are left out: {', '.join(list(self._unknown)[:5])}")
        if self._gaps:
            jumps = f"serial numbers jump {self._gaps} times, first after atom {self._after}"
            said.append(f"{self._path}: {jumps}: atoms may be missing")
        return said


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse one frame; of alternative locations the first is taken."""
    from stemdask.kernels.text.pdb import atom_lines

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
    from stemdask.kernels.text.pdb import element_kinds

    kinds = np.empty(lines.size, np.uint8)
    codes = np.empty(_MOST_WORDS, np.uint32)
    n_words = element_kinds(buffer, lines, ends, kinds, codes)
    if n_words > _MOST_WORDS:
        raise InputError(f"more than {_MOST_WORDS} different elements and atom names")
    words = [int(code).to_bytes(4, "little").rstrip(b"\0") for code in codes[:n_words]]
    return [word.strip() if len(word) <= 2 else symbol_of_name(word) for word in words], kinds


def _cell(head: bytes) -> Floats | None:
    from ase.geometry import cellpar_to_cell

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
        remedy="Copy the file again, remove its last model if a program still writes it, or append ENDMDL if it is all",
    )


def _ends_whole(file: FirstLook) -> bool:
    """Tell whether a file ends with the end of a line or with a whole one."""
    last = last_line(file)
    return (
        not last or last in (b"END", b"ENDMDL") or (last.startswith((b"ATOM", b"HETATM")) and len(last) >= _WHOLE_ATOM)
    )


FORMAT = AtomsFormat(
    name="pdb",
    suffixes=(".pdb", ".ent"),
    noun="a PDB file",
    text=True,
    looks=lambda head: any(line.startswith((b"ATOM  ", b"HETATM")) and len(line) >= 54 for line in head.splitlines()),
    index=index,
    read=by_range(parse),
    ends_whole=_ends_whole,
)
