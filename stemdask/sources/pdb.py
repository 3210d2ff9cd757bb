"""PDB by its fixed columns; serial numbers, which writers overflow in many ways, are not read."""

from __future__ import annotations

import numpy as np
from ase.geometry import cellpar_to_cell
from numba import njit
from numpy.typing import NDArray

from stemdask.errors import InputError
from stemdask.model import Array
from stemdask.sources.elements import atomic_number
from stemdask.sources.structure import Structure, stated_time
from stemdask.sources.text_index import FrameIndex, line_blocks
from stemdask.sources.text_numbers import parse_fields

_ATOM, _MODEL, _ENDMDL, _END = 1, 2, 3, 4
_MOST_WORDS = 255


def index(path: str, size: int) -> FrameIndex:
    """Find the byte range and the atom count of every MODEL, or of every structure closed by END.

    An END behind the last frame is no frame. A file that closes its models by ENDMDL must close the last one too.
    """
    found = FrameIndex()
    begin = seen = taken = n_closed = 0
    in_model = False
    for offset, text in line_blocks(path):
        places, kinds, counts, total = _separators(np.frombuffer(text, np.uint8))
        for place, kind, count in zip(places.tolist(), kinds.tolist(), counts.tolist(), strict=True):
            n_atoms = seen + count - taken
            if in_model and n_closed and kind != _ENDMDL:
                raise _cut_off(path, found)
            if n_atoms or in_model:
                found.add(begin, offset + place, n_atoms)
            taken += n_atoms
            n_closed += kind == _ENDMDL
            in_model = kind == _MODEL
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
    lines, ends = _atom_lines(buffer, n_atoms)
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


def _elements(
    buffer: Array, lines: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[list[bytes], NDArray[np.uint8]]:
    """Return the element column (77-78); where it is blank, what the atom name (13-16) says."""
    kinds = np.empty(lines.size, np.uint8)
    codes = np.empty(_MOST_WORDS, np.uint32)
    n_words = _element_kinds(buffer, lines, ends, kinds, codes)
    if n_words > _MOST_WORDS:
        raise InputError(f"more than {_MOST_WORDS} different elements and atom names")
    words = [int(code).to_bytes(4, "little").rstrip(b"\0") for code in codes[:n_words]]
    return [word.strip() if len(word) <= 2 else _symbol_of_name(word) for word in words], kinds


def _symbol_of_name(name: bytes) -> bytes:
    """Return the letters of an atom name where they are an element (PT1 is Pt), otherwise their first (OW is O)."""
    letters = "".join(c for c in name.decode("ascii", "replace") if c.isalpha())
    return (letters if atomic_number(letters) else letters[:1]).encode()[:2]


def _cell(head: bytes) -> NDArray[np.float64] | None:
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


@njit(cache=True, nogil=True, error_model="numpy")
def _record(text: Array, at: int) -> int:
    """Tell which record begins at `at`, of those that matter here."""
    left = text.size - at
    c = text[at]
    if c == 65 and left >= 6:  # ATOM
        if text[at + 1] == 84 and text[at + 2] == 79 and text[at + 3] == 77:
            return _ATOM
    elif c == 72 and left >= 6:  # HETATM
        if text[at + 1] == 69 and text[at + 2] == 84 and text[at + 3] == 65 and text[at + 4] == 84:
            return _ATOM
    elif c == 77 and left >= 5:  # MODEL
        if text[at + 1] == 79 and text[at + 2] == 68 and text[at + 3] == 69 and text[at + 4] == 76:
            return _MODEL
    elif c == 69 and left >= 3 and text[at + 1] == 78 and text[at + 2] == 68:  # END, ENDMDL
        if left >= 6 and text[at + 3] == 77 and text[at + 4] == 68 and text[at + 5] == 76:
            return _ENDMDL
        if left == 3 or text[at + 3] <= 32:
            return _END
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def _separators(text: Array) -> tuple[Array, Array, Array, int]:
    """Find MODEL, ENDMDL and END; return their places, kinds, the atom lines before each, and all atom lines."""
    capacity = 0
    for k in range(text.size - 2):  # M O D, E N D
        if text[k + 2] == 68 and (text[k + 1] == 79 or text[k + 1] == 78):
            capacity += 1
    places = np.empty(capacity, np.int64)
    kinds = np.empty(capacity, np.int64)
    counts = np.empty(capacity, np.int64)
    found = n_atoms = at = 0
    while at < text.size:
        record = _record(text, at)
        if record == _ATOM:
            n_atoms += 1
        elif record != 0:
            places[found] = at
            kinds[found] = record
            counts[found] = n_atoms
            found += 1
        while at < text.size and text[at] != 10:
            at += 1
        at += 1
    return places[:found], kinds[:found], counts[:found], n_atoms


@njit(cache=True, nogil=True, error_model="numpy")
def _atom_lines(text: Array, n_atoms: int) -> tuple[Array, Array]:
    """Return where the ATOM and HETATM lines of at least 54 characters begin and end.

    The search for their end starts behind z, so that a short line makes the count come out wrong.
    """
    starts = np.empty(n_atoms, np.int64)
    ends = np.empty(n_atoms, np.int64)
    found = at = 0
    while at < text.size:
        is_atom = _record(text, at) == _ATOM
        if is_atom:
            if at + 54 > text.size or found == n_atoms:
                return starts[:0], ends[:0]
            starts[found] = at
            at += 54
        while at < text.size and text[at] != 10:
            at += 1
        if is_atom:
            ends[found] = at
            found += 1
        at += 1
    return starts[:found], ends[:found]


@njit(cache=True, nogil=True, error_model="numpy")
def _element_kinds(text: Array, lines: Array, ends: Array, kinds: Array, codes: Array) -> int:
    """Find the different elements (two bytes) or, where blank, atom names (four bytes); return how many."""
    n_words = 0
    kind = 0
    for k in range(lines.size):
        at = lines[k]
        code = np.uint32(0)
        for column in range(76, min(78, ends[k] - at)):
            if text[at + column] > 32:
                code = code * np.uint32(256) + np.uint32(text[at + column])
        if code == 0:
            for column in range(15, 11, -1):
                code = code * np.uint32(256) + np.uint32(text[at + column])
        elif code > 255:
            code = (code % np.uint32(256)) * np.uint32(256) + code // np.uint32(256)
        if n_words == 0 or codes[kind] != code:
            kind = 0
            while kind < n_words and codes[kind] != code:
                kind += 1
            if kind == codes.size:
                return n_words + 1
            if kind == n_words:
                codes[kind] = code
                n_words += 1
        kinds[k] = kind
    return n_words
