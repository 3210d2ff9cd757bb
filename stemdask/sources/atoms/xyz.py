"""XYZ and extended XYZ: a count, a comment (Lattice, Properties, pbc, time) and one line per atom."""

from __future__ import annotations

import re

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.text.roles import SKIP, WORD
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.structure import Structure, stated_time
from stemdask.sources.atoms.text_frames import by_range, ends_with_line
from stemdask.sources.atoms.text_index import LineReader, cut_off, index_counted
from stemdask.sources.atoms.text_numbers import parse_table
from stemdask.sources.first_look import FirstLook

_KEY = re.compile(rb"(\w+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|\{([^}]*)\}|(\S+))")

_ROLES = {b"pos": [0, 1, 2], b"species": [WORD], b"element": [WORD], b"z": [WORD], b"numbers": [WORD]}


def index(file: FirstLook) -> FrameIndex:
    """Find the byte range and the atom count of every frame."""

    def header(lines: LineReader, first: bytes) -> int:
        words_of_line = first.split()
        if len(words_of_line) != 1 or not re.fullmatch(rb"[+-]?\d{1,15}", words_of_line[0]):
            raise InputError(
                "a frame must begin with its number of atoms",
                where=file.path,
                value=first[:40].decode("ascii", "replace"),
            )
        if lines.line() is None:
            raise cut_off()
        return int(first)

    return index_counted(file, header)


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse one frame."""
    start = text.index(b"\n", len(text) - len(text.lstrip())) + 1
    end = text.find(b"\n", start)
    comment, body = (text[start:end], text[end + 1 :]) if end >= 0 else (text[start:], b"")
    keys = {m[1].lower(): next(g for g in m.groups()[1:] if g is not None) for m in _KEY.finditer(comment)}
    positions, words, kinds = parse_table(body, n_atoms, _roles(keys.get(b"properties")))
    cell = None
    if (lattice := keys.get(b"lattice")) is not None:
        try:
            cell = np.array([float(number) for number in lattice.split()]).reshape(3, 3)
        except ValueError:
            raise InputError("Lattice must be nine numbers", value=lattice[:80].decode("ascii", "replace")) from None
    flags = keys.get(b"pbc", b"T T T" if cell is not None else b"F F F").split()
    periodic = [flag[:1] in (b"T", b"t", b"1") for flag in flags]
    if len(periodic) != 3:
        raise InputError("pbc must be three of T or F", value=keys[b"pbc"][:40].decode("ascii", "replace"))
    return Structure(
        positions=positions,
        words=words,
        kinds=kinds,
        cell=cell,
        periodic=(periodic[0], periodic[1], periodic[2]),
        time=stated_time(comment),
    )


def _roles(properties: bytes | None) -> list[int]:
    """Return what the columns are by ``species:S:1:pos:R:3:…``; symbol, x, y, z where it isn't given."""
    if properties is None:
        return [WORD, 0, 1, 2]
    parts = properties.split(b":")
    roles: list[int] = []
    try:
        for name, _, width in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            if not 0 < int(width) <= 1000:
                raise ValueError
            known = _ROLES.get(name.lower(), [])
            known = known if len(known) == int(width) and known[0] not in roles else []
            roles += known or [SKIP] * int(width)
        return roles[: max(roles.index(WORD), roles.index(2)) + 1]
    except ValueError:
        raise InputError(
            "Properties must name species and pos", value=properties[:80].decode("ascii", "replace")
        ) from None


def looks(head: bytes) -> bool:
    """Tell whether a text begins with a number of atoms alone, and has words with three numbers in its third line."""
    lines = head.split(b"\n", 3)
    if len(lines) < 4 or not lines[0].strip().isdigit():
        return False
    words = lines[2].split()
    try:
        return len([float(word) for word in words[1:4]]) == 3 and (words[0].isalpha() or words[0].isdigit())
    except ValueError:
        return b"Properties=" in lines[1]


FORMAT = AtomsFormat(
    name="xyz",
    suffixes=(".xyz", ".extxyz"),
    noun="an XYZ file",
    text=True,
    looks=looks,
    index=index,
    read=by_range(parse),
    ends_whole=ends_with_line,
)
