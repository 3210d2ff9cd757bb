"""XYZ and extended XYZ: a count, a comment (Lattice, Properties, pbc, time) and one line an atom."""

from __future__ import annotations

import re

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.structure import Structure, stated_time, words
from stemdask.sources.text_index import FrameIndex, LineReader, cut_off, index_counted
from stemdask.sources.text_numbers import parse_fields, split_lines

_KEY = re.compile(rb"(\w+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|\{([^}]*)\}|(\S+))")


def index(path: str, size: int) -> FrameIndex:
    """Find the byte range and the atom count of every frame."""

    def header(lines: LineReader, first: bytes) -> int:
        words_of_line = first.split()
        if len(words_of_line) != 1 or not re.fullmatch(rb"[+-]?\d{1,15}", words_of_line[0]):
            raise InputError(
                "a frame must begin with its number of atoms", where=path, value=first[:40].decode("ascii", "replace")
            )
        if lines.line() is None:
            raise cut_off()
        return int(first)

    return index_counted(path, size, header)


def parse(text: bytes) -> Structure:
    """Parse one frame."""
    count, comment, body = text.lstrip().split(b"\n", 2) if text.count(b"\n") > 1 else (*text.split(b"\n", 1), b"")
    n_atoms = int(count)
    keys = {m[1].lower(): next(g for g in m.groups()[1:] if g is not None) for m in _KEY.finditer(comment)}
    symbol, place = _columns(keys.get(b"properties"))
    starts, stops = split_lines(body, n_atoms, max(symbol, place + 2) + 1)
    coordinates = parse_fields(body, starts[:, place : place + 3].reshape(-1), stops[:, place : place + 3].reshape(-1))
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
        positions=coordinates.reshape(-1, 3),
        symbols=words(body, starts[:, symbol], stops[:, symbol]),
        cell=cell,
        periodic=(periodic[0], periodic[1], periodic[2]),
        time=stated_time(comment),
    )


def _columns(properties: bytes | None) -> tuple[int, int]:
    """Return the columns of the symbol and of x, from ``species:S:1:pos:R:3:…``."""
    if properties is None:
        return 0, 1
    parts = properties.split(b":")
    column, found = 0, dict[bytes, int]()
    try:
        for name, _, width in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            found[name.lower()] = column
            column += int(width)
            if not 0 < int(width) <= 1000:
                raise ValueError
        symbol = next(found[name] for name in (b"species", b"element", b"z", b"numbers") if name in found)
        return symbol, found[b"pos"]
    except (ValueError, KeyError, StopIteration):
        raise InputError(
            "Properties must name species and pos", value=properties[:80].decode("ascii", "replace")
        ) from None
