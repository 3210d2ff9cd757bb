"""CFG, the structures of AtomEye (Li, Modelling Simul. Mater. Sci. Eng. 11, 173 (2003)), standard and extended."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.text_frames import by_range, ends_with_line, read_whole
from stemdask.sources.first_look import FirstLook

_COUNT = re.compile(rb"^\s*Number of particles\s*=\s*(\d{1,12})\s*$", re.MULTILINE)
_ENTRY = re.compile(rb"^(H0|Transform|eta)\(([123]),\s*([123])\)$")


def index(file: FirstLook) -> FrameIndex:
    """Return the one structure of the file, whose atoms are counted."""
    text = read_whole(file.plain())
    stated = _COUNT.search(text)
    if stated is None:
        raise InputError("doesn't state 'Number of particles'", where=file.path)
    n_atoms = int(stated[1])
    n_found = sum(1 for _ in _atoms(text))
    if n_found != n_atoms:
        raise InputError(
            f"{n_atoms} atoms are stated, {n_found} are there",
            where=file.path,
            remedy="Copy the file again from its origin",
        )
    return FrameIndex([0], [len(text)], [n_atoms])


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse the structure."""
    cell = _cell(text)
    names = dict[bytes, int]()
    points, kinds = np.empty((n_atoms, 3)), np.empty(n_atoms, np.int64)
    for k, (symbol, words) in enumerate(_atoms(text)):
        try:
            points[k] = [float(word) for word in words]
        except ValueError:
            shown = b" ".join(words)[:60].decode("ascii", "replace")
            raise InputError(f"atom {k} has no three coordinates", value=shown) from None
        kinds[k] = names.setdefault(symbol, len(names))
    return Structure(points @ cell, list(names), kinds, cell, (True, True, True))


def _atoms(text: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield symbol and reduced coordinates of each atom.

    A line of a standard file holds mass, symbol, coordinates and velocity. In an extended one the mass and the symbol
    stand on lines of their own before the atoms that have them.
    """
    symbol = b""
    extended = b"entry_count" in text
    for line in text.split(b"\n"):
        words = line.split()
        if not words or b"=" in line or words[0].startswith((b"#", b".NO_VELOCITY.")):
            continue
        if not extended:
            yield (words[1] if len(words) > 1 else b""), words[2:5]
        elif len(words) > 1:
            yield symbol, words[:3]
        elif words[0].isalpha():
            symbol = words[0]


def _cell(text: bytes) -> np.ndarray:
    """Return the cell in angstrom: H0 in units of A. A deformation of it is refused."""
    values = {"H0": np.zeros((3, 3)), "Transform": np.eye(3), "eta": np.zeros((3, 3))}
    unit = 1.0
    for line in text.split(b"\n"):
        key, equals, value = line.partition(b"=")
        entry = _ENTRY.match(key.strip())
        try:
            if equals and key.strip() == b"A":
                unit = float(value.split()[0])
            elif equals and entry:
                values[entry[1].decode()][int(entry[2]) - 1, int(entry[3]) - 1] = float(value.split()[0])
        except (ValueError, IndexError):
            raise InputError("a number was expected", value=line[:60].decode("ascii", "replace")) from None
    if values["eta"].any() or (values["Transform"] != np.eye(3)).any():
        raise InputError(
            "a cell with Transform or eta isn't read", remedy="Write the deformed cell as H0, or another format"
        )
    return unit * values["H0"]


def looks(head: bytes) -> bool:
    """Tell whether a text states its number of particles, and a cell."""
    return bool(_COUNT.search(head)) and b"H0(1,1)" in head


FORMAT = AtomsFormat(
    name="cfg",
    suffixes=(".cfg",),
    noun="an AtomEye CFG file",
    text=True,
    incidental=True,
    looks=looks,
    index=index,
    read=by_range(parse),
    ends_whole=ends_with_line,
)
